//! The golden events of a rotation.

use domain::{
    Cause, Envelope, Event, KeyFirstUsed, KeyId, KeyRotated, Revision, RotationCancelled, RotationFinished,
    RotationRule,
};

use super::{AT, DAY_MS, Golden, KEY, OTHER, UNTIL, by_itself, envelope};

pub(super) fn golden() -> Vec<Golden> {
    let successor: KeyId = OTHER.parse().unwrap();
    let rotated = |rule| second("rotate-spring", Event::KeyRotated(KeyRotated { successor, rule }));
    let finished =
        |forced| third("finish-spring", Event::RotationFinished(RotationFinished { successor, forced }));
    let evidence = RotationRule::on_evidence(DAY_MS, 30 * DAY_MS).unwrap();
    let used = second("first-used-spring", Event::KeyFirstUsed(KeyFirstUsed { first_used_at: AT }));
    let cancelled = Event::RotationCancelled(RotationCancelled { successor });
    vec![
        ("KeyRotated-at".to_owned(), rotated(RotationRule::At(UNTIL))),
        ("KeyRotated-by_hand".to_owned(), rotated(RotationRule::ByHand)),
        ("KeyRotated-on_evidence".to_owned(), by_itself(Cause::Policy, rotated(evidence))),
        ("KeyFirstUsed".to_owned(), by_itself(Cause::Rotation, used)),
        ("RotationFinished".to_owned(), by_itself(Cause::Rotation, finished(false))),
        ("RotationFinished-forced".to_owned(), finished(true)),
        ("RotationCancelled".to_owned(), third("cancel-spring", cancelled)),
    ]
}

fn second(command_id: &str, event: Event) -> Envelope {
    Envelope { revision: Revision::new(2), ..envelope(KEY, command_id, event) }
}

fn third(command_id: &str, event: Event) -> Envelope {
    Envelope { revision: Revision::new(3), ..second(command_id, event) }
}
