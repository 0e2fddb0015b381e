//! Whatever is written is read back the same.

use super::*;
use crate::arbitrary::Source;
use crate::decode::decode;

/// Envelopes of each event, enough that every field is seen there and absent.
const DRAWS: u64 = 300;

#[test]
fn every_event_is_read_back_as_it_was_written() {
    for name in Event::NAMES {
        for seed in 0..DRAWS {
            let envelope = Source::seeded(seed).envelope(name);
            assert_eq!(envelope.event.name(), *name);
            let bytes = encode(&envelope);
            assert_eq!(decode(&envelope.stream, &bytes).as_ref(), Ok(&envelope), "{name}, seed {seed}");
            assert_eq!(encode(&envelope), bytes, "{name}, seed {seed}");
        }
    }
}

#[test]
fn no_byte_that_was_changed_is_read_as_what_was_written() {
    for name in Event::NAMES {
        let envelope = Source::seeded(1).envelope(name);
        let bytes = encode(&envelope);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            // What it says at the top about who may read it is no part of what happened.
            let same = decode(&envelope.stream, &changed).as_ref() == Ok(&envelope);
            assert!(!same || at < 2, "{name}: byte {at} makes no difference");
        }
    }
}

#[test]
fn only_what_the_first_readers_know_is_for_them() {
    let envelope = Source::seeded(1).envelope("KeyRevoked");
    let level = |actor: Actor, cause| min_reader(&Envelope { actor, cause, ..envelope.clone() });
    let source = "github".parse().expect("a source");
    assert_eq!(level(Actor::System, Cause::Command), 1);
    assert_eq!(level(Actor::System, Cause::Policy), 2);
    assert_eq!(level(Actor::Holder { network: None }, Cause::Command), 2);
    assert_eq!(level(Actor::Scanner { source }, Cause::Command), 2);
    for name in Event::NAMES {
        let first = match *name {
            "TenantOpened" | "KeyIssued" | "KeyRevoked" | "KeyExpired" => 1,
            "OwnerErased" => 3,
            _ => 2,
        };
        let envelope =
            Envelope { actor: Actor::System, cause: Cause::Command, ..Source::seeded(1).envelope(name) };
        assert_eq!(min_reader(&envelope), first, "{name}");
        assert!(first <= READER_LEVEL);
    }
}
