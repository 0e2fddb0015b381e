//! What the notes of the senders say about the revocation, and whether that is what was promised.

use std::time::Instant;

use serde_json::{Value, json};

use super::sender::Note;

/// A sender's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) accepted: usize,
    pub(super) refused: usize,
    /// Accepted though asked after the revoke was acknowledged.
    pub(super) accepted_after: usize,
    /// Asked at all after the revoke was acknowledged.
    pub(super) asked_after: usize,
}

impl Counts {
    pub(super) fn of(notes: &[Note], acknowledged: Instant) -> Self {
        let mut counts = Self::default();
        for note in notes {
            let after = note.sent >= acknowledged;
            counts.asked_after += usize::from(after);
            if note.accepted {
                counts.accepted += 1;
                counts.accepted_after += usize::from(after);
            } else {
                counts.refused += 1;
            }
        }
        counts
    }
}

/// The revocation as the sender of the revoked key met it, in microseconds after the command was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Revocation {
    pub(super) acknowledged_us: i128,
    pub(super) last_accepted_us: Option<i128>,
    pub(super) first_refused_us: Option<i128>,
}

impl Revocation {
    pub(super) fn of(notes: &[Note], sent: Instant, acknowledged: Instant) -> Self {
        let after = |at: Instant| signed_micros(sent, at);
        Self {
            acknowledged_us: after(acknowledged),
            last_accepted_us: notes
                .iter()
                .filter(|note| note.accepted)
                .map(|note| after(note.answered))
                .max(),
            first_refused_us: notes
                .iter()
                .filter(|note| !note.accepted)
                .map(|note| after(note.answered))
                .min(),
        }
    }

    pub(super) fn to_json(self) -> Value {
        let number = |us: i128| i64::try_from(us).unwrap_or(i64::MAX);
        json!({
            "command_to_acknowledged_us": number(self.acknowledged_us),
            "command_to_last_accepted_us": self.last_accepted_us.map(number),
            "command_to_first_refused_us": self.first_refused_us.map(number),
        })
    }
}

fn signed_micros(from: Instant, to: Instant) -> i128 {
    let micros = |earlier: Instant, later: Instant| {
        i128::try_from(later.saturating_duration_since(earlier).as_micros()).unwrap_or(i128::MAX)
    };
    if to >= from { micros(from, to) } else { -micros(to, from) }
}

/// Everything that is not as promised; nothing = all is.
pub(super) fn broken_promises(revoked: Counts, others: &[(&str, Counts)]) -> Vec<String> {
    let mut broken = Vec::new();
    if revoked.accepted_after > 0 {
        broken.push(format!(
            "{} verifies of the revoked key were accepted after the acknowledgement",
            revoked.accepted_after
        ));
    }
    if revoked.asked_after == 0 || revoked.refused == 0 {
        broken.push(
            "the revoked key was not presented after the acknowledgement, so nothing was shown".to_owned(),
        );
    }
    if revoked.accepted == 0 {
        broken.push("the key was never accepted before it was revoked, so nothing was shown".to_owned());
    }
    for (name, counts) in others {
        if counts.refused > 0 {
            broken
                .push(format!("{} verifies of the {name} were refused, and its key is good", counts.refused));
        }
        if counts.accepted_after == 0 {
            broken.push(format!("the {name} did not go on"));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    fn note(start: Instant, sent: u64, answered: u64, accepted: bool) -> Note {
        let at = |millis| start + Duration::from_millis(millis);
        Note { sent: at(sent), answered: at(answered), accepted }
    }

    #[test]
    fn what_counts_is_when_a_verify_was_sent() {
        let start = clock::now();
        let acknowledged = start + Duration::from_millis(10);
        let notes = [note(start, 0, 1, true), note(start, 9, 12, true), note(start, 10, 13, false)];
        let counts = Counts::of(&notes, acknowledged);
        assert_eq!(counts, Counts { accepted: 2, refused: 1, accepted_after: 0, asked_after: 1 });
        let revocation = Revocation::of(&notes, start + Duration::from_millis(5), acknowledged);
        assert_eq!(revocation.acknowledged_us, 5_000);
        assert_eq!(revocation.last_accepted_us, Some(7_000));
        assert_eq!(revocation.first_refused_us, Some(8_000));
        assert_eq!(signed_micros(acknowledged, start), -10_000);
    }

    #[test]
    fn one_verify_accepted_too_late_breaks_the_promise() {
        let good = Counts { accepted: 5, refused: 3, accepted_after: 0, asked_after: 3 };
        let other = Counts { accepted: 9, refused: 0, accepted_after: 4, asked_after: 4 };
        assert_eq!(broken_promises(good, &[("importer", other)]), Vec::<String>::new());
        for (revoked, other) in [
            (Counts { accepted_after: 1, ..good }, other),
            (Counts { asked_after: 0, ..good }, other),
            (Counts { refused: 0, ..good }, other),
            (Counts { accepted: 0, ..good }, other),
            (good, Counts { refused: 1, ..other }),
            (good, Counts { accepted_after: 0, ..other }),
        ] {
            assert_eq!(broken_promises(revoked, &[("importer", other)]).len(), 1, "{revoked:?} {other:?}");
        }
    }
}
