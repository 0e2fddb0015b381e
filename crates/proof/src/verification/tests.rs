//! What is done to a small archive is found and named, at every place of it.

use bytes::Bytes;
use domain::{EventId, LogId};
use zeroize::Zeroizing;

use super::*;
use crate::frontier::Frontier;
use crate::leaf::LogEvent;
use crate::signer::SignerFile;

/// Several tiles and a bit, so that every kind of edge is there.
const EVENTS: u64 = 600;

fn log_id() -> LogId {
    LogId::from_u128(7)
}

fn file(seed: u8) -> SignerFile {
    SignerFile::create(&origin_of(log_id()), Zeroizing::new([seed; 32]))
}

fn event(n: u64, text: &str) -> LogEvent {
    LogEvent {
        position: Position::new(n),
        stream: "acme._tenant".into(),
        id: EventId::from_u128(n.into()),
        payload: Bytes::from(format!("{text} {n}")),
    }
}

fn events() -> Vec<LogEvent> {
    (1..=EVENTS).map(|n| event(n, "list")).collect()
}

/// Which parts of an archive the attacker makes anew after the events were changed.
#[derive(Clone, Copy, PartialEq)]
enum Strength {
    Events,
    Tree,
    Signature,
}

/// Writes an archive of `signed`, then what `stands` in it after an attack.
fn attacked(root: &Path, signed: &[LogEvent], stands: &[LogEvent], strength: Strength) {
    let tree = if strength == Strength::Events { signed } else { stands };
    let head = if strength == Strength::Signature { stands } else { signed };
    let mut archive = Archive::create(root, log_id()).unwrap();
    let mut writer = archive.writer();
    for (event, n) in stands.iter().zip(1..) {
        writer.append(&LogEvent { position: Position::new(n), ..event.clone() }).unwrap();
    }
    writer.finish().unwrap();
    let mut levels = archive.levels().write_on(Frontier::default()).unwrap();
    for (event, n) in tree.iter().zip(1..) {
        levels.push(leaf_of(event, n)).unwrap();
    }
    levels.sync().unwrap();
    let sign = |size: usize| {
        let mut frontier = Frontier::default();
        head[..size].iter().zip(1..).for_each(|(event, n)| frontier.push(leaf_of(event, n), |_, _| {}));
        Checkpoint::sign(&origin_of(log_id()), frontier.size(), frontier.root(), &file(1).signers().unwrap())
    };
    let chain: Vec<u8> = [100, 300].iter().flat_map(|size| sign(*size).to_bytes()).collect();
    archive.put_checkpoints(&sign(head.len()).to_bytes(), &chain).unwrap();
}

fn leaf_of(event: &LogEvent, n: u64) -> Hash {
    crate::leaf::leaf_hash(Position::new(n), &event.payload)
}

fn trust(known: &[LogEvent]) -> Trust {
    let mut frontier = Frontier::default();
    known.iter().zip(1..).for_each(|(event, n)| frontier.push(leaf_of(event, n), |_, _| {}));
    let signers = file(1).signers().unwrap();
    let seen = Checkpoint::sign(&origin_of(log_id()), frontier.size(), frontier.root(), &signers);
    Trust {
        signers: signers.vkeys().cloned().collect(),
        witnesses: Vec::new(),
        known: if known.is_empty() { Vec::new() } else { vec![seen] },
    }
}

fn verify(root: &Path, trust: &Trust) -> Report {
    verify_archive(root, trust, &mut |_| {}).unwrap()
}

/// What is found first after an attack of some strength.
#[track_caller]
fn first_found(stands: &[LogEvent], strength: Strength, known: &[LogEvent]) -> Finding {
    let dir = tempfile::tempdir().unwrap();
    attacked(dir.path(), &events(), stands, strength);
    let report = verify(dir.path(), &trust(known));
    report.findings.first().cloned().expect("something was done to it")
}

fn changed(at: usize, change: impl FnOnce(&mut Vec<LogEvent>, usize)) -> Vec<LogEvent> {
    let mut stands = events();
    change(&mut stands, at);
    stands
}

fn flip(stands: &mut [LogEvent], at: usize) {
    stands[at].payload = Bytes::from_static(b"campaign");
}

#[test]
fn an_archive_as_it_was_signed_is_good() {
    let dir = tempfile::tempdir().unwrap();
    attacked(dir.path(), &events(), &events(), Strength::Events);
    let mut told = Vec::new();
    let report =
        verify_archive(dir.path(), &trust(&events()[..250]), &mut |position| told.push(position)).unwrap();
    assert!(report.is_good() && report.is_held_against_others(), "{report:?}");
    assert_eq!((report.events, report.checkpoint), (Position::new(EVENTS), Some(Position::new(EVENTS))));
    assert_eq!((report.checkpoints, report.signed_by.len()), (3, 1));
    assert_eq!(told.last(), Some(&Position::new(EVENTS)));
    assert!(!verify(dir.path(), &trust(&[])).is_held_against_others());
}

#[test]
fn whoever_changes_events_alone_is_told_the_very_position() {
    let last = usize::try_from(EVENTS).unwrap() - 1;
    for at in [0, 1, 99, 100, 254, 255, 256, 511, 512, last - 1, last] {
        let place = Position::new(at as u64 + 1);
        let insert = |stands: &mut Vec<LogEvent>, at| stands.insert(at, event(9, "stranger"));
        let mut cases = vec![
            (Wrong::Changed, changed(at, |stands, at| flip(stands, at))),
            (Wrong::Missing, changed(at, |stands, at| drop(stands.remove(at)))),
            (Wrong::Missing, changed(at, Vec::truncate)),
            (Wrong::Added, changed(at, insert)),
        ];
        if at < last {
            cases.push((Wrong::OutOfOrder, changed(at, |stands, at| stands.swap(at, at + 1))));
            cases.push((Wrong::OutOfOrder, changed(at, |stands, at| stands.swap(at, last))));
        }
        for (wrong, stands) in cases {
            let found = first_found(&stands, Strength::Events, &[]);
            assert_eq!((found.wrong, found.first, found.last), (wrong, place, place), "{}", found.seen);
        }
    }
    let beyond =
        first_found(&changed(last, |stands, _| stands.push(event(9, "stranger"))), Strength::Events, &[]);
    assert_eq!((beyond.wrong, beyond.first), (Wrong::Added, Position::new(EVENTS + 1)));
}

#[test]
fn whoever_makes_the_tree_anew_too_is_told_between_two_checkpoints() {
    for (at, first, last) in [(50, 1, 100), (100, 101, 300), (299, 101, 300), (400, 301, EVENTS)] {
        let found = first_found(&changed(at, |stands, at| flip(stands, at)), Strength::Tree, &[]);
        let expected = (Wrong::Changed, Position::new(first), Position::new(last));
        assert_eq!((found.wrong, found.first, found.last), expected, "{at}: {}", found.seen);
    }
}

#[test]
fn whoever_signs_anew_is_told_by_a_known_checkpoint_alone() {
    let stands = changed(400, |stands, at| flip(stands, at));
    let dir = tempfile::tempdir().unwrap();
    attacked(dir.path(), &events(), &stands, Strength::Signature);
    assert!(verify(dir.path(), &trust(&[])).is_good(), "nobody can tell");
    assert!(verify(dir.path(), &trust(&events()[..400])).is_good(), "what was known is not touched");
    let found = first_found(&stands, Strength::Signature, &events()[..401]);
    assert_eq!((found.wrong, found.first, found.last), (Wrong::Forked, Position::new(1), Position::new(401)));
    let cut = first_found(&events()[..500], Strength::Signature, &events());
    assert_eq!(
        (cut.wrong, cut.first, cut.last),
        (Wrong::Truncated, Position::new(501), Position::new(EVENTS))
    );
}

#[test]
fn a_history_that_the_chain_contradicts_is_a_fork() {
    let dir = tempfile::tempdir().unwrap();
    attacked(dir.path(), &events(), &changed(200, |stands, at| flip(stands, at)), Strength::Signature);
    let other = tempfile::tempdir().unwrap();
    attacked(other.path(), &events(), &events(), Strength::Events);
    std::fs::copy(other.path().join("checkpoints"), dir.path().join("checkpoints")).unwrap();
    let found = verify(dir.path(), &trust(&[])).findings;
    assert_eq!(
        (found[0].wrong, found[0].first, found[0].last),
        (Wrong::Forked, Position::new(101), Position::new(300))
    );
}

#[test]
fn signatures_of_others_and_none_at_all_are_told() {
    let dir = tempfile::tempdir().unwrap();
    attacked(dir.path(), &events(), &events(), Strength::Events);
    let stranger =
        Trust { signers: file(2).signers().unwrap().vkeys().cloned().collect(), ..Trust::default() };
    assert!(verify(dir.path(), &stranger).findings.iter().all(|found| found.wrong == Wrong::BadSignature));
    let unwitnessed = Trust { witnesses: vec![witness()], ..trust(&[]) };
    assert_eq!(verify(dir.path(), &unwitnessed).findings[0].wrong, Wrong::Unwitnessed);
    std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
    std::fs::remove_file(dir.path().join("checkpoints")).unwrap();
    assert_eq!(verify(dir.path(), &trust(&[])).findings[0].wrong, Wrong::BadSignature);
    assert!(matches!(
        verify_archive(dir.path(), &Trust::default(), &mut |_| {}),
        Err(VerificationError::NoSigner)
    ));
}

fn witness() -> Vkey {
    let public =
        <base64ct::Base64 as base64ct::Encoding>::encode_string(&[[4].as_slice(), &[0; 32]].concat());
    let id = signed_note::key_id("w", &[[4].as_slice(), &[0; 32]].concat());
    format!("w+{id:08x}+{public}").parse().unwrap()
}

/// An event of a tenant, at any revision.
fn closed(n: u64, revision: u32) -> LogEvent {
    let stream = domain::StreamName::Tenant("acme".parse().unwrap());
    let envelope = domain::Envelope {
        event_id: EventId::from_u128(n.into()),
        stream: stream.clone(),
        revision: domain::Revision::new(revision),
        occurred_at: domain::Timestamp::from_millis(1_790_000_000_000),
        actor: domain::Actor::System,
        command_id: domain::CommandId::from_u128(n.into()),
        request_tag: domain::RequestTag::from_bytes([0; 16]),
        cause: domain::Cause::Command,
        trace_context: None,
        event: domain::Event::TenantClosed(domain::TenantClosed { note: None }),
    };
    let payload = Bytes::from(wire::encode(&envelope));
    LogEvent { position: Position::new(n), stream: stream.to_string().into(), id: envelope.event_id, payload }
}

#[test]
fn a_stream_that_its_own_server_did_not_write_whole_is_named_though_all_is_signed() {
    let whole: Vec<_> = (1..=300).map(|n| closed(n, u32::try_from(n).unwrap())).collect();
    let dir = tempfile::tempdir().unwrap();
    attacked(dir.path(), &whole, &whole, Strength::Events);
    let report = verify(dir.path(), &trust(&[]));
    assert_eq!((report.findings, report.streams, report.unreadable), (Vec::new(), Some(1), 0));
    let gap: Vec<_> = (1..=300).map(|n| closed(n, u32::try_from(n + n / 200).unwrap())).collect();
    let dir = tempfile::tempdir().unwrap();
    attacked(dir.path(), &gap, &gap, Strength::Events);
    let found = verify(dir.path(), &trust(&[])).findings;
    let first = (found[0].wrong, found[0].first, found[0].last);
    assert_eq!(first, (Wrong::StreamBroken, Position::new(200), Position::new(200)), "{}", found[0].seen);
    assert_eq!(found.len(), 1, "once, where it breaks");
}

#[test]
fn damage_on_the_disk_is_named_like_any_change() {
    let dir = tempfile::tempdir().unwrap();
    attacked(dir.path(), &events(), &events(), Strength::Events);
    let path = Archive::open(dir.path()).unwrap().segments()[0].path.clone();
    let whole = std::fs::read(&path).unwrap();
    for at in [20, whole.len() / 2, whole.len() - 3] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let found = verify(dir.path(), &trust(&[])).findings;
        let damaged =
            Archive::open(dir.path()).unwrap().events(Position::NONE).find_map(Result::err).unwrap();
        let ArchiveError::Damaged { position, .. } = damaged else { panic!("{damaged}") };
        assert_eq!(
            (found[0].wrong, found[0].first),
            (Wrong::Changed, position),
            "byte {at}: {}",
            found[0].seen
        );
    }
}
