//! An archive gives back what was put in, or says where it does not.

use bytes::Bytes;
use domain::EventId;

use super::*;
use crate::leaf::{LogEvent, MAX_PAYLOAD};

fn log_id() -> LogId {
    LogId::from_u128(7)
}

fn event(n: u64) -> LogEvent {
    LogEvent {
        position: Position::new(n),
        stream: "acme._tenant".into(),
        id: EventId::from_u128(u128::from(n) * 3),
        payload: Bytes::from(format!("list {n}")),
    }
}

fn archive_of(root: &Path, parts: &[u64]) -> Archive {
    let mut archive = Archive::create(root, log_id()).unwrap();
    for to in parts {
        let mut writer = archive.writer();
        while writer.next() <= Position::new(*to) {
            let next = event(writer.next().get());
            writer.append(&next).unwrap();
        }
        writer.finish().unwrap();
    }
    archive
}

fn read(archive: &Archive, after: u64) -> Result<Vec<LogEvent>, ArchiveError> {
    archive.events(Position::new(after)).collect()
}

#[test]
fn events_come_back_byte_for_byte_from_any_position() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("export");
    archive_of(&root, &[3, 3, 10]);
    let archive = Archive::open(&root).unwrap();
    assert_eq!((archive.last(), archive.log_id()), (Position::new(10), log_id()));
    for after in 0..=10 {
        let expected: Vec<LogEvent> = (after + 1..=10).map(event).collect();
        assert_eq!(read(&archive, after).unwrap(), expected, "after {after}");
    }
}

#[test]
fn a_writer_cuts_segments_and_goes_on_where_a_stopped_one_left_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut archive = archive_of(dir.path(), &[]);
    let mut writer = archive.writer();
    (1..=65_540).for_each(|n| writer.append(&event(n)).unwrap());
    assert_eq!(writer.durable(), Position::new(65_536));
    drop(writer);
    let mut archive = Archive::create(dir.path(), log_id()).unwrap();
    assert_eq!(archive.last(), Position::new(65_536));
    assert_eq!(fs::read_dir(dir.path().join(SEGMENTS)).unwrap().count(), 1, "the unfinished one is gone");
    let mut writer = archive.writer();
    writer.append(&event(65_537)).unwrap();
    writer.finish().unwrap();
    assert_eq!(read(&archive, 65_535).unwrap(), [event(65_536), event(65_537)]);
}

#[test]
fn only_the_next_event_is_taken_and_only_one_that_a_log_can_hold() {
    let dir = tempfile::tempdir().unwrap();
    let mut archive = archive_of(dir.path(), &[2]);
    let mut writer = archive.writer();
    for wrong in [2, 4] {
        let error = writer.append(&event(wrong)).unwrap_err();
        assert!(error.to_string().contains("position 3"), "{error}");
    }
    let largest = |n| LogEvent { payload: Bytes::from(vec![7; MAX_PAYLOAD]), ..event(n) };
    writer.append(&largest(3)).unwrap();
    let larger = LogEvent { payload: Bytes::from(vec![7; MAX_PAYLOAD + 1]), ..event(4) };
    assert!(matches!(writer.append(&larger), Err(ArchiveError::Damaged { .. })));
    writer.finish().unwrap();
    assert_eq!(read(&archive, 2).unwrap(), [largest(3)]);
}

#[test]
fn every_flipped_bit_and_every_cut_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let archive = archive_of(dir.path(), &[4]);
    let path = archive.segments[0].path.clone();
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(read(&archive, 0), Err(ArchiveError::Damaged { .. })), "byte {at}");
        fs::write(&path, &whole[..at]).unwrap();
        assert!(matches!(read(&archive, 0), Err(ArchiveError::Damaged { .. })), "cut to {at}");
    }
    let mut longer = whole.clone();
    record::encode(&event(5), &mut longer).unwrap();
    fs::write(&path, &longer).unwrap();
    assert!(matches!(read(&archive, 0), Err(ArchiveError::Damaged { position, .. }) if position.get() == 5));
}

#[test]
fn a_folder_of_another_log_or_of_other_things_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    archive_of(dir.path(), &[1]);
    let error = Archive::create(dir.path(), LogId::from_u128(8)).unwrap_err();
    assert!(matches!(error, ArchiveError::OtherLog { .. }), "{error}");
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("notes.txt"), "campaigns").unwrap();
    let error = Archive::create(other.path(), log_id()).unwrap_err();
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert!(matches!(Archive::open(other.path()), Err(ArchiveError::NotAnArchive { .. })));
}

#[test]
fn a_segment_that_is_gone_is_a_hole() {
    let dir = tempfile::tempdir().unwrap();
    let archive = archive_of(dir.path(), &[2, 4, 6]);
    fs::remove_file(&archive.segments[1].path).unwrap();
    let error = Archive::open(dir.path()).unwrap_err();
    let hole = |error: &ArchiveError| matches!(error, ArchiveError::Broken { expected, found, .. } if (expected.get(), found.get()) == (3, 5));
    assert!(hole(&error), "{error}");
}

#[test]
fn checkpoints_are_put_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let archive = archive_of(dir.path(), &[1]);
    assert_eq!((archive.checkpoint().unwrap(), archive.checkpoints().unwrap()), (None, Vec::new()));
    archive.put_checkpoints(b"last", b"before").unwrap();
    assert_eq!(archive.checkpoint().unwrap().as_deref(), Some(&b"last"[..]));
    assert_eq!(archive.checkpoints().unwrap(), b"before");
}
