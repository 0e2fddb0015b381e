//! An index of one key, made from the log by the writer of the live one.

use std::net::IpAddr;
use std::time::Duration;

use domain::{KeyId, Position, Scope, Standing, TenantId, Timestamp};
use eventlog::Recorded;
use verify::{IndexWriter, Moment, Verdict, new_index};

use crate::index_worker::Rows;

/// Any time: nothing that was read from the log itself can be stale.
const FRESH: Duration = Duration::from_secs(1);

/// What the live index of a server knew of one key when it had taken in so much.
pub(super) struct Scratch {
    rows: Rows,
}

impl Scratch {
    pub(super) fn new(planted: Planted) -> Self {
        let (index, writer) = new_index(FRESH);
        index.prove_fresh(0);
        let writer = planted.prepare(writer);
        Self { rows: Rows::new(writer, Position::NONE) }
    }

    /// Takes in the next event, and answers whether what it names is refused for it: it cannot be read, or not follow.
    pub(super) fn take(&mut self, event: &Recorded) -> bool {
        let (_, why) = self.rows.apply(event);
        self.rows.applied = event.position;
        self.rows.writer.advance(event.position);
        self.rows.keep_recalls_few();
        why.is_some()
    }

    /// What the index made of the key; none if it has not heard of it.
    pub(super) fn standing(&self, tenant: &TenantId, key_id: KeyId) -> Option<Standing> {
        self.rows.writer.index().key(tenant, key_id).map(|state| state.key.standing)
    }

    /// The verdict for whoever presents the key at `now`, and since when it holds if it is an end.
    pub(super) fn judge(
        &self,
        (tenant, key_id): (&TenantId, KeyId),
        (scope, network): (Option<&Scope>, Option<IpAddr>),
        now: Timestamp,
    ) -> (Verdict, Option<Timestamp>) {
        let moment = Moment { now, boot_ms: 0 };
        let judgement = self.rows.writer.index().judge_key(tenant, key_id, scope, network, moment);
        (judgement.verdict, judgement.holder.and_then(|holder| holder.since()))
    }
}

/// What is done wrong about the past, for the simulation to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "planted"),
    expect(unreachable_pub, dead_code, reason = "told to the simulation alone")
)]
pub enum PastBug {
    /// The event behind the position counts as well.
    OneTooMany,
    /// The event at the position does not count.
    OneTooFew,
    /// A recall is compared with keys as if it stood behind their issue, wherever it stands.
    RecallHitsLater,
    /// A key expires by the log's time and not by the moment that is asked for.
    ExpiresByLogTime,
}

/// The bug that is planted; without the feature `planted` there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Planted {
    #[cfg(feature = "planted")]
    bug: Option<PastBug>,
}

impl Planted {
    #[cfg(feature = "planted")]
    pub(super) const fn plant(&mut self, bug: PastBug) {
        self.bug = Some(bug);
    }

    #[cfg(feature = "planted")]
    fn is(self, bug: PastBug) -> bool {
        self.bug == Some(bug)
    }

    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "the planted twin reads a field")]
    const fn is(self, _bug: PastBug) -> bool {
        false
    }

    pub(super) fn end(self, position: Position) -> Position {
        if self.is(PastBug::OneTooMany) {
            position.next()
        } else if self.is(PastBug::OneTooFew) {
            Position::new(position.get().saturating_sub(1))
        } else {
            position
        }
    }

    #[cfg(feature = "planted")]
    fn prepare(self, mut writer: IndexWriter) -> IndexWriter {
        if self.is(PastBug::RecallHitsLater) {
            writer.plant_recall_bug(verify::RecallBug::HitsLater);
        }
        writer
    }

    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "the planted twin reads a field")]
    const fn prepare(self, writer: IndexWriter) -> IndexWriter {
        writer
    }

    pub(super) fn moment(self, now: Timestamp, last: Option<&Recorded>) -> Timestamp {
        let log_time = last.filter(|_| self.is(PastBug::ExpiresByLogTime)).and_then(|event| {
            let stream = event.stream.as_str().parse().ok()?;
            wire::decode(&stream, &event.payload).ok()
        });
        log_time.map_or(now, |envelope| envelope.occurred_at)
    }
}
