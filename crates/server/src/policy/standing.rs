//! When a key could be used, as its history tells: from its issue or a reinstatement until it was suspended or ended.

use domain::{Event, SuspendReason, Timestamp};
use projection::StoredEvent;

/// What changed whether a key could be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Issued, imported or reinstated: whoever did so wanted it to be used from then on.
    Begun(Timestamp),
    /// Suspended; without a reason by a reported leak.
    Suspended(Timestamp, Option<SuspendReason>),
    /// Revoked, recalled or expired.
    Ended(Timestamp),
}

/// The turns of a history, oldest first; what cannot be read is left out.
pub(crate) fn turns(events: &[StoredEvent]) -> Vec<Turn> {
    let turn = |event: &StoredEvent| {
        let envelope = event.read().ok()?;
        let at = envelope.occurred_at;
        match envelope.event {
            Event::KeyIssued(_) | Event::KeyImported(_) | Event::KeyReinstated(_) => Some(Turn::Begun(at)),
            Event::KeySuspended(suspended) => Some(Turn::Suspended(at, Some(suspended.reason))),
            Event::KeyLeaked(_) => Some(Turn::Suspended(at, None)),
            Event::KeyRevoked(_)
            | Event::KeysRecalled(_)
            | Event::KeyExpired(_)
            | Event::RotationFinished(_) => Some(Turn::Ended(at)),
            _ => None,
        }
    };
    events.iter().filter_map(turn).collect()
}

/// What is suspended because nobody uses it goes on being idle; whatever else is suspended waits for somebody's word.
pub(crate) const fn still_idle(reason: Option<SuspendReason>) -> bool {
    matches!(reason, Some(SuspendReason::Unused | SuspendReason::Policy))
}

/// The spans in which a key counts as idle when it is not used. `goes_on` tells which suspensions do not interrupt one.
pub(crate) fn spans(
    turns: &[Turn],
    until: Timestamp,
    goes_on: impl Fn(Option<SuspendReason>) -> bool,
) -> Vec<(Timestamp, Timestamp)> {
    let (mut spans, mut open) = (Vec::new(), None);
    let mut close = |open: &mut Option<Timestamp>, at: Timestamp| {
        let at = at.min(until);
        spans.extend(open.take().filter(|from| *from < at).map(|from| (from, at)));
    };
    for turn in turns {
        match *turn {
            Turn::Begun(at) => {
                close(&mut open, at);
                open = Some(at);
            }
            Turn::Suspended(_, reason) if goes_on(reason) => {}
            Turn::Suspended(at, _) | Turn::Ended(at) => close(&mut open, at),
        }
    }
    close(&mut open, until);
    spans
}

/// The last time that somebody wanted the key to be used.
pub(crate) fn begun(turns: &[Turn]) -> Option<Timestamp> {
    let begun = |turn: &Turn| match turn {
        Turn::Begun(at) => Some(*at),
        Turn::Suspended(..) | Turn::Ended(_) => None,
    };
    turns.iter().filter_map(begun).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_suspension_interrupts_unless_it_is_for_disuse() {
        let turns = [
            Turn::Begun(at(10)),
            Turn::Suspended(at(20), Some(SuspendReason::Policy)),
            Turn::Begun(at(30)),
            Turn::Suspended(at(40), Some(SuspendReason::Investigating)),
            Turn::Begun(at(50)),
            Turn::Ended(at(60)),
        ];
        let shown = |goes_on: fn(Option<SuspendReason>) -> bool, until| -> Vec<(u64, u64)> {
            let spans = spans(&turns, at(until), goes_on);
            spans.iter().map(|(from, to)| (from.as_millis(), to.as_millis())).collect()
        };
        assert_eq!(shown(|_| false, 100), [(10, 20), (30, 40), (50, 60)]);
        assert_eq!(shown(still_idle, 100), [(10, 30), (30, 40), (50, 60)]);
        assert_eq!(shown(still_idle, 35), [(10, 30), (30, 35)]);
        assert_eq!(begun(&turns), Some(at(50)));
        assert!(!still_idle(None), "what a leak has suspended waits for somebody");
    }
}
