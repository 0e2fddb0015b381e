//! What is known to be idle is suspended or revoked; what may be idle waits for those that have not reported.

use application::{CommandError, Request};
use domain::{
    Cause, CommandId, KeyId, Personal, PersonalText, Policy, PolicyName, Position, RevokeKey, RevokeReason,
    Standing, SuspendKey, SuspendReason, Tenant, Timestamp,
};
use metrics::counter;
use projection::{KeyQuery, KeyRow};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{DEEDS, PassError, Worker};
use crate::http::keep_track;
use crate::policy::idle::{Idle, idle_now};
use crate::policy::span::Span;
use crate::policy::standing::{begun, still_idle};
use crate::policy::subject::{meant_by, settled_until, turns_of};
use crate::policy::watch::Pass;

/// After each page of keys it rests so many times as long as that took: people's requests come first.
const REST: u32 = 3;

/// What becomes of an idle key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Suspend,
    Revoke,
}

impl Deed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Revoke => "revoke",
        }
    }

    /// The same on every server, and another after the key was used or reinstated.
    fn command_id(self, policy: &PolicyName, key_id: KeyId, since: Timestamp) -> CommandId {
        let id = format!("idle-{}-{policy}-{key_id}-{}", self.as_str(), since.as_millis());
        id.parse().expect("a name, an id and a number are fewer than 128 printable characters")
    }
}

/// A key that a rule is about, and since when nobody used it.
struct Quiet<'a> {
    row: &'a KeyRow,
    since: Timestamp,
}

impl Worker {
    /// Applies the rules about idle keys; answers the last position that came of it.
    pub(super) async fn idle(
        &self,
        tenant: &Tenant,
        policy: &Policy,
        pass: &mut Pass,
    ) -> Result<Position, PassError> {
        // The use of operators' keys is not counted; the route refuses such a policy too.
        if tenant.id.is_operators() {
            return Ok(Position::NONE);
        }
        let mut last = Position::NONE;
        let rules = &policy.rules;
        if let Some(ms) = rules.revoke_idle_after_ms {
            for standing in [Standing::Active, Standing::Suspended] {
                last = last.max(self.scan(policy, tenant, (standing, Deed::Revoke, ms), pass).await?);
            }
        }
        self.wait_shown(last).await;
        if let Some(ms) = rules.suspend_idle_after_ms {
            last = last.max(self.scan(policy, tenant, (Standing::Active, Deed::Suspend, ms), pass).await?);
        }
        Ok(last)
    }

    /// Goes through the keys of a standing, a page at a time.
    async fn scan(
        &self,
        policy: &Policy,
        tenant: &Tenant,
        (standing, deed, span_ms): (Standing, Deed, u64),
        pass: &mut Pass,
    ) -> Result<Position, PassError> {
        let (mut last, mut cursor) = (Position::NONE, None);
        loop {
            let began = Instant::now();
            let until = settled_until(&self.app);
            let query = KeyQuery {
                standing: Some(standing),
                issued_before: Some(Timestamp::from_millis(until.as_millis().saturating_sub(span_ms) + 1)),
                cursor,
                ..meant_by(&tenant.id, &policy.selector)
            };
            let page = self.app.keys.list(query).await?;
            last = last.max(self.judge(policy, &page.keys, (deed, span_ms, until), pass).await?);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(last);
            }
            sleep(began.elapsed() * REST).await;
        }
    }

    async fn judge(
        &self,
        policy: &Policy,
        rows: &[KeyRow],
        (deed, span_ms, until): (Deed, u64, Timestamp),
        pass: &mut Pass,
    ) -> Result<Position, PassError> {
        let Some(first) = rows.first() else { return Ok(Position::NONE) };
        let keys = rows.iter().map(|row| row.key_id).collect();
        let used = self.app.usage.last_used_of(&first.tenant, keys).await?;
        let mut last = Position::NONE;
        for (row, used) in rows.iter().zip(used) {
            pass.keys += 1;
            let Some(grant) = &row.grant else { continue };
            // Somebody else's suspension is not disuse.
            if row.standing == Standing::Suspended && !still_idle(row.suspended) {
                continue;
            }
            let since = grant.issued_at.max(used.unwrap_or_default());
            if since.plus_millis(span_ms) > until {
                continue;
            }
            let since = since.max(begun(&turns_of(&self.app, row, grant).await?).unwrap_or_default());
            let unknown = self.app.usage.coverage(&first.tenant, since, until);
            match idle_now(since, until, unknown.unknown(), span_ms) {
                Idle::For(_) => {
                    let done = self.act(policy, &Quiet { row, since }, (deed, span_ms), pass).await;
                    last = last.max(done);
                }
                Idle::Unknown(spans) => {
                    pass.waiting += 1;
                    spans.iter().for_each(|span| pass.waits_for(span.whom.as_deref()));
                }
                Idle::Not => {}
            }
        }
        Ok(last)
    }

    async fn act(
        &self,
        policy: &Policy,
        quiet: &Quiet<'_>,
        (deed, span_ms): (Deed, u64),
        pass: &mut Pass,
    ) -> Position {
        let Quiet { row, since } = quiet;
        let (tenant, key_id) = (row.tenant.clone(), row.key_id);
        let mut request = Request::system(Cause::Policy, deed.command_id(&policy.name, key_id, *since));
        // On the key as it was looked at: who changed it meanwhile has dealt with it.
        request.if_match = Some(row.revision);
        let note = PersonalText::note(&format!("policy {}: not used for {}", policy.name, Span(span_ms)));
        let note = note.ok().map(Personal::Plain);
        let done = match deed {
            Deed::Suspend => {
                let reason = SuspendReason::Policy;
                let command = SuspendKey { tenant, key_id, reason, note, until: None };
                self.app.application.suspend_key(&request, command).await
            }
            Deed::Revoke => {
                let command = RevokeKey { tenant, key_id, reason: RevokeReason::Policy, note };
                self.app.application.revoke_key(&request, command).await
            }
        };
        match done {
            Ok(changed) if changed.repeated => changed.position,
            Ok(changed) => {
                counter!(DEEDS, "action" => deed.as_str()).increment(1);
                keep_track(&self.app, &row.tenant, &changed).await;
                match deed {
                    Deed::Suspend => pass.suspended += 1,
                    Deed::Revoke => pass.revoked += 1,
                }
                let (policy, action) = (policy.name.as_str(), deed.as_str());
                info!(key.id = %key_id, policy, action, "a policy ended the use of an idle key");
                changed.position
            }
            // Ended, suspended or changed meanwhile, or the last operator: the next pass looks again.
            Err(
                CommandError::Refused(_)
                | CommandError::RevisionMismatch { .. }
                | CommandError::CommandIdReused
                | CommandError::NotFound,
            ) => Position::NONE,
            Err(error) => {
                warn!(key.id = %key_id, error = %error, "a policy could not act on an idle key; it is tried again");
                Position::NONE
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_id_is_the_same_everywhere_and_fits() {
        let name: PolicyName = "x".repeat(63).parse().unwrap();
        let id = |deed: Deed, since| deed.command_id(&name, KeyId::from_u128(7), since);
        let latest = Timestamp::MAX;
        assert!(id(Deed::Suspend, latest).as_str().len() <= CommandId::MAX_LEN);
        assert_ne!(id(Deed::Suspend, latest), id(Deed::Revoke, latest));
        assert_ne!(id(Deed::Suspend, latest), id(Deed::Suspend, Timestamp::from_millis(5)));
    }
}
