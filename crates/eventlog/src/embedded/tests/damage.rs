//! What opening refuses, and that no damage goes unnoticed.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use domain::EventId;
use redb::{Database, TableDefinition};

use super::disk::{Dice, Disk};
use super::*;
use crate::port::{NewEvent, Queue};

const LOG_ID: LogId = LogId::from_u128(7);
/// Enough for branch pages above the leaves.
const EVENTS: u64 = 120;

fn stream(number: u64) -> StreamId {
    format!("acme.list-{}", number % 7).parse().unwrap()
}

/// A payload that is easily found in a file.
fn payload(number: u64) -> Bytes {
    Bytes::from(format!("<{number}>{}", "campaign ".repeat(20)))
}

async fn append(log: &EmbeddedLog, number: u64) {
    let event = NewEvent { id: EventId::from_u128(u128::from(number)), payload: payload(number) };
    let stream = stream(number);
    let unit = Unit::single(stream.clone(), log.shared().last(&stream), event, Queue::Normal);
    assert_eq!(log.append(unit).await.unwrap(), Outcome::Appended { positions: vec![Position::new(number)] });
}

fn open(disk: &Disk) -> Result<EmbeddedLog, OpenError> {
    EmbeddedLog::open_with_backend(Path::new("disk"), disk.storage(), LOG_ID)
}

/// A log of [`EVENTS`] events as it lies on the disk: `crashed` in the middle of its life, else closed.
async fn image(crashed: bool) -> Vec<u8> {
    let disk = Disk::default();
    let log = open(&disk).unwrap();
    for number in 1..=EVENTS {
        append(&log, number).await;
    }
    let running = disk.image();
    drop(log);
    if crashed { running } else { disk.image() }
}

/// Reads everything in both ways; how many events there are, if they are the first that were written.
async fn whole(log: &EmbeddedLog) -> Result<u64, String> {
    let head = log.head().await.map_err(|error| error.to_string())?;
    let mut follower = log.follow(Position::NONE).await.map_err(|error| error.to_string())?;
    let mut events = Vec::new();
    while (events.len() as u64) < head.get() {
        events.extend(follower.next().await.map_err(|error| error.to_string())?);
    }
    for number in 0..7 {
        let of_stream: Vec<Recorded> =
            events.iter().filter(|e| e.stream == stream(number)).cloned().collect();
        let read =
            log.read_stream(&stream(number), Position::NONE).await.map_err(|error| error.to_string())?;
        assert_eq!(read, of_stream, "two readers disagree");
    }
    for (event, number) in events.iter().zip(1..) {
        let right = (event.position, event.id, &event.stream, &event.payload)
            == (
                Position::new(number),
                EventId::from_u128(u128::from(number)),
                &stream(number),
                &payload(number),
            );
        assert!(right, "event {number} is read as {event:?}");
    }
    Ok(head.get())
}

/// Offsets all over the bytes that are in use.
fn samples(image: &[u8], dice: &mut Dice) -> Vec<usize> {
    let used = image.chunks(128).enumerate().filter(|(_, chunk)| chunk.iter().any(|&byte| byte != 0));
    used.map(|(chunk, bytes)| chunk * 128 + dice.below(bytes.len() as u64) as usize).collect()
}

#[tokio::test]
async fn a_flipped_bit_in_a_closed_log_is_refused_or_harmless() {
    let good = image(false).await;
    let mut dice = Dice(1);
    let (mut refused, mut named) = (0, 0);
    for offset in samples(&good, &mut dice) {
        let mut bad = good.clone();
        bad[offset] ^= 1 << dice.below(8);
        let disk = Disk::of(bad);
        match open(&disk) {
            Ok(log) => {
                assert_eq!(whole(&log).await, Ok(EVENTS), "bit in byte {offset}");
                append(&log, EVENTS + 1).await;
                drop(log);
                assert_eq!(whole(&open(&disk).unwrap()).await, Ok(EVENTS + 1), "bit in byte {offset}");
            }
            Err(error) => {
                refused += 1;
                named += usize::from(matches!(error, OpenError::Damaged { position: Some(_), .. }));
            }
        }
    }
    assert!(refused > 200 && named > 150, "{refused} refused, {named} with a position");
}

#[tokio::test]
async fn a_flipped_bit_in_a_crashed_log_costs_at_most_the_last_commit() {
    let good = image(true).await;
    let mut dice = Dice(2);
    for offset in samples(&good, &mut dice) {
        let mut bad = good.clone();
        bad[offset] ^= 1 << dice.below(8);
        if let Ok(log) = open(&Disk::of(bad)) {
            let events = whole(&log).await.unwrap();
            assert!(events >= EVENTS - 1, "bit in byte {offset}: only {events} events are there");
        }
    }
}

#[tokio::test]
async fn damage_in_an_event_names_its_position() {
    let good = image(false).await;
    for number in [1, 2, EVENTS / 2, EVENTS] {
        let mut bad = good.clone();
        let text = payload(number);
        let copies: Vec<usize> =
            (0..bad.len() - text.len()).filter(|&at| bad[at..].starts_with(&text)).collect();
        for at in copies {
            bad[at + 5] ^= 1;
        }
        let error = open(&Disk::of(bad)).unwrap_err();
        let found =
            matches!(error, OpenError::Damaged { position: Some(p), .. } if p == Position::new(number));
        assert!(found, "event {number}: {error}");
        assert!(error.to_string().contains(&format!("damaged at position {number}")), "{error}");
    }
}

#[tokio::test]
async fn a_refused_log_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.redb");
    let mut bad = image(false).await;
    let text = payload(3);
    let at = (0..bad.len()).find(|&at| bad[at..].starts_with(&text)).unwrap();
    bad[at] ^= 1;
    fs::write(&path, &bad).unwrap();
    EmbeddedLog::open(&path, LOG_ID).unwrap_err();
    assert!(fs::read(&path).unwrap() == bad, "the damaged file was written to");
}

#[tokio::test]
async fn a_cut_file_is_refused() {
    for crashed in [false, true] {
        let good = image(crashed).await;
        for len in [1, 9, 100, 512, 4096, 5000, good.len() / 2, good.len() - 4096, good.len() - 1] {
            let error =
                open(&Disk::of(good[..len].to_vec())).map(|_| ()).expect_err("a cut file is a whole log");
            assert!(!matches!(error, OpenError::InUse { .. }), "cut to {len}: {error}");
        }
    }
}

#[tokio::test]
async fn damage_under_a_running_log_is_told_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.redb");
    let log = EmbeddedLog::open(&path, LOG_ID).unwrap();
    for number in 1..=EVENTS {
        append(&log, number).await;
    }
    drop(log);
    let log = EmbeddedLog::open(&path, LOG_ID).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let text = payload(5);
    let copies: Vec<usize> =
        (0..bytes.len() - text.len()).filter(|&at| bytes[at..].starts_with(&text)).collect();
    copies.iter().for_each(|&at| bytes[at + 5] ^= 1);
    fs::write(&path, &bytes).unwrap();
    // The pages may still be in the cache; then they are right.
    match log.read_stream(&stream(5), Position::NONE).await {
        Ok(events) => assert_eq!(events[0].payload, payload(5)),
        Err(error) => {
            assert!(
                matches!(error, ReadError::Damaged { position, .. } if position == Position::new(5)),
                "{error}"
            );
        }
    }
}

fn refused(path: &Path) -> OpenError {
    EmbeddedLog::open(path, LOG_ID).map(|_| ()).expect_err("this is no log that can be opened")
}

#[tokio::test]
async fn a_second_open_is_told_that_the_log_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.redb");
    let log = EmbeddedLog::open(&path, LOG_ID).unwrap();
    let error = refused(&path);
    assert!(matches!(&error, OpenError::InUse { path: named } if *named == path), "{error}");
    assert!(error.to_string().contains("log.redb"), "{error}");
    let follower = log.follow(Position::NONE).await.unwrap();
    drop(log);
    let again = EmbeddedLog::open(&path, LogId::from_u128(8)).unwrap();
    assert_eq!(again.log_id(), LOG_ID, "a new id is for a new log only");
    drop(follower);
}

#[test]
fn what_is_no_log_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    fs::write(at("text"), "campaigns, lists and senders".repeat(1000)).unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::create_dir(at("folder")).unwrap();
    let table: TableDefinition<'_, u64, u64> = TableDefinition::new("senders");
    let foreign = Database::create(at("foreign")).unwrap();
    let transaction = foreign.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    drop(foreign);
    for (name, words) in [
        ("text", "cannot be used as a log"),
        ("empty", "the file is empty"),
        ("folder", "cannot be opened"),
        ("foreign", "a database of something else"),
        ("missing/log.redb", "cannot be opened"),
    ] {
        let error = refused(&at(name)).to_string();
        assert!(error.contains(words) && error.contains(name), "{name}: {error}");
    }
}

#[test]
fn another_format_is_refused_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.redb");
    drop(EmbeddedLog::open(&path, LOG_ID).unwrap());
    let meta: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(meta).unwrap().insert("format", &9_u32.to_be_bytes()[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refused(&path);
    assert!(
        matches!(&error, OpenError::Unknown { .. }) && error.to_string().contains("format is 9"),
        "{error}"
    );
}

#[test]
fn a_first_start_that_crashed_leaves_nothing_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.redb");
    fs::write(folder.path().join(".log.redb.0"), [0; 5000]).unwrap();
    drop(EmbeddedLog::open(&path, LOG_ID).unwrap());
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["log.redb"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
