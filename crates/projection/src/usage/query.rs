//! The questions to the record: of one key, of many, and whether the answer can be relied on.

use std::sync::Arc;

use domain::{KeyId, Position, TenantId, Timestamp};
use tokio::sync::watch;

use super::coverage::{Coverage, UnknownSpan};
use super::key_usage::{Bucket, KeyUsage, Requests, SeenService};
use super::record::Inner;
use super::rows::{self, DAY_MS, HOUR_MS, HOURS_KEPT, KeyRow};
use crate::shelf::QueryError;
use crate::tree::{Tree, TreeError};
use crate::views::split_end;

/// The record's name where it is named among views.
const NAME: &str = "usage";

/// How far the record has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Reports taken in since this server started: grows with each, so that a change is seen.
    pub reports: u64,
    /// All that anybody reported up to here is in the sums; see [`Usage::known_until`].
    pub known_until: Option<Timestamp>,
}

/// Since when a key is known to be quiet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// From here on until the instant asked about, the key was not used and nothing is unknown. None: right up to that
    /// instant it is not known whether it was used.
    pub since: Option<Timestamp>,
    /// The last use that is known.
    pub last_used: Option<Timestamp>,
    /// What is unknown since the last use, and whom it is to be blamed on: without it the key might be known to be quiet
    /// for longer.
    pub held_up_by: Vec<UnknownSpan>,
}

/// Answers from the record of usage. A clone is the same handle; every answer is of this server's record, which has the
/// reports of all servers.
///
/// An answer counts what was reported. Nothing that was reported is ever counted twice; what was not reported is missing
/// without a trace in the answer itself. So **ask [`coverage`](Self::coverage) before concluding anything from what is not
/// there.** To wait for a change, keep a receiver of [`applied`](Self::applied).
#[derive(Clone, Debug)]
pub struct Usage {
    pub(super) inner: Arc<Inner>,
}

impl Usage {
    /// Changes with every report taken in.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<Applied> {
        self.inner.applied.subscribe()
    }

    /// All that was reported up to here, by anybody, is in the sums; none before the first report has come back. A worker
    /// that looks at spans which end here, and not now, never waits for the last second.
    #[must_use]
    pub fn known_until(&self) -> Option<Timestamp> {
        self.inner.reported.read().heard
    }

    /// Whether everything that happened to a tenant's keys in a span is in the sums, and if not, in which parts not and whom
    /// to ask. `to` is at most now; reports of the last 3 s may be under way without anything being called unknown.
    #[must_use]
    pub fn coverage(&self, tenant: &TenantId, from: Timestamp, to: Timestamp) -> Coverage {
        self.inner.reported.read().coverage(tenant, from, to)
    }

    /// All that is known of one key; empty if nothing is. `now` says which hours and days are the last ones.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn of_key(
        &self,
        tenant: &TenantId,
        key_id: KeyId,
        now: Timestamp,
    ) -> Result<KeyUsage, QueryError> {
        let tenant = tenant.clone();
        self.ask(move |tree| {
            let usage = rows::read(tree, &tenant, key_id)?.shown();
            let (hours, days) =
                (rows::hours(tree, &tenant, key_id, now)?, rows::days(tree, &tenant, key_id, now)?);
            Ok(KeyUsage { hours, days, ..usage })
        })
        .await
    }

    /// When the key got its first verdict `valid`.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn first_used(
        &self,
        tenant: &TenantId,
        key_id: KeyId,
    ) -> Result<Option<Timestamp>, QueryError> {
        let tenant = tenant.clone();
        self.ask(move |tree| Ok(rows::read(tree, &tenant, key_id)?.first_used())).await
    }

    /// When the key got its last verdict `valid`.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn last_used(&self, tenant: &TenantId, key_id: KeyId) -> Result<Option<Timestamp>, QueryError> {
        Ok(self.last_used_of(tenant, vec![key_id]).await?.pop().flatten())
    }

    /// The same of many keys of one tenant, each at its place.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn last_used_of(
        &self,
        tenant: &TenantId,
        keys: Vec<KeyId>,
    ) -> Result<Vec<Option<Timestamp>>, QueryError> {
        let tenant = tenant.clone();
        let last =
            move |tree: &dyn Tree, key_id: &KeyId| Ok(rows::read(tree, &tenant, *key_id)?.last_used(None));
        self.ask(move |tree| keys.iter().map(|key_id| last(tree, key_id)).collect()).await
    }

    /// Since when the key is known to be quiet, seen from `now`: whoever waits for a quiet of W goes on when `since` is W
    /// ago. With a `service`, only what that one asked counts; if it is not among those told apart, it may be among the
    /// others, so theirs counts too.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn quiet_since(
        &self,
        tenant: &TenantId,
        key_id: KeyId,
        service: Option<&str>,
        now: Timestamp,
    ) -> Result<Quiet, QueryError> {
        let (of, service) = (tenant.clone(), service.map(str::to_owned));
        let last_used =
            self.ask(move |tree| Ok(rows::read(tree, &of, key_id)?.last_used(service.as_deref()))).await?;
        let from = last_used.unwrap_or_default();
        let held_up_by = self.coverage(tenant, from, now).unknown().to_vec();
        let known = held_up_by.iter().map(|span| span.to).fold(from, Timestamp::max);
        Ok(Quiet { since: (known < now).then_some(known), last_used, held_up_by })
    }

    /// The services that used the key at or after an instant, each with the network that it named last and when it was seen
    /// last; the latest first. One without a name stands for all that are no longer told apart.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn services_of(
        &self,
        tenant: &TenantId,
        key_id: KeyId,
        since: Timestamp,
    ) -> Result<Vec<SeenService>, QueryError> {
        let tenant = tenant.clone();
        self.ask(move |tree| Ok(rows::read(tree, &tenant, key_id)?.services_since(since))).await
    }

    /// How many verdicts the key got from `from` to `to`: whole hours for the last 7 days before `to`, else whole days, so
    /// rather more than exactly.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn requests_in(
        &self,
        tenant: &TenantId,
        key_id: KeyId,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Requests, QueryError> {
        self.requests_of(tenant, vec![key_id], (from, to)).await
    }

    /// The sum of the same over many keys of one tenant.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn requests_of(
        &self,
        tenant: &TenantId,
        keys: Vec<KeyId>,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Requests, QueryError> {
        let tenant = tenant.clone();
        let by_hour = to.as_millis().saturating_sub(from.as_millis()) <= (HOURS_KEPT - 1) * HOUR_MS;
        let (read, each_ms): (BucketsOf, u64) =
            if by_hour { (rows::hours, HOUR_MS) } else { (rows::days, DAY_MS) };
        self.ask(move |tree| {
            let mut sum = Requests::default();
            for key_id in keys {
                let within = |bucket: &Bucket| bucket.start < to && bucket.start.plus_millis(each_ms) > from;
                for bucket in read(tree, &tenant, key_id, to)?.into_iter().filter(within) {
                    sum += bucket.requests;
                }
            }
            Ok(sum)
        })
        .await
    }

    /// The keys of a tenant of which anything is known, by id, behind `after`: everything but hours and days.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn page(
        &self,
        tenant: &TenantId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<(KeyId, KeyUsage)>, QueryError> {
        let tenant = tenant.clone();
        self.ask(move |tree| {
            let after = after.map(|key_id| rows::key_name(&tenant, key_id));
            let pairs = tree.scan(&rows::keys_of(&tenant), after.as_deref(), limit)?;
            let key = |(name, value): (Vec<u8>, Vec<u8>)| {
                Ok((KeyId::from_bytes(split_end(&name)?.1), KeyRow::decode(&value)?.shown()))
            };
            pairs.into_iter().map(key).collect()
        })
        .await
    }

    /// Answers on a thread that may wait.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Tree) -> Result<T, TreeError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let inner = Arc::clone(&self.inner);
        match self.inner.place.work().run(move || inner.with(work)).await {
            Some(answer) => answer.map_err(|source| QueryError::Failed { view: NAME, source }),
            None => Err(QueryError::NotReady { view: NAME, applied: Position::NONE, head: Position::NONE }),
        }
    }
}

type BucketsOf = fn(&dyn Tree, &TenantId, KeyId, Timestamp) -> Result<Vec<Bucket>, TreeError>;
