//! Measures the verification of a whole archive: `cargo run --release -p proof --example verify [EVENTS]`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use domain::{EventId, KeyId, LogId, Position};
use proof::{Archive, Checkpoint, Frontier, LogEvent, SignerFile, Trust, origin_of, verify_archive};

/// Bytes of a usual event beside what names it: an issue has some 300 in all.
const REST: usize = 240;

fn main() -> Result<(), Box<dyn Error>> {
    let events: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |events| events.parse())?;
    let dir = tempfile::Builder::new().prefix("rescind-verify-").tempdir()?;
    let begun = Instant::now();
    let signers = write(dir.path(), events)?;
    println!("wrote an archive of {events} events in {:.1} s", begun.elapsed().as_secs_f64());
    let trust = Trust { signers: signers.vkeys().cloned().collect(), ..Trust::default() };
    let begun = Instant::now();
    let report = verify_archive(dir.path(), &trust, &mut |_| {})?;
    let took = begun.elapsed().as_secs_f64();
    assert!(report.is_good() && report.events == Position::new(events), "{report:?}");
    println!("verified {events} events in {took:.1} s: {:.0} events/s", events as f64 / took);
    Ok(())
}

/// An archive of a log with one signature.
fn write(root: &Path, events: u64) -> Result<proof::Signers, Box<dyn Error>> {
    let log_id = LogId::from_u128(7);
    let signers = SignerFile::create(&origin_of(log_id), [7; 32].into()).signers()?;
    let mut archive = Archive::create(root, log_id)?;
    let mut levels = archive.levels().write_on(Frontier::default())?;
    let mut writer = archive.writer();
    for n in 1..=events {
        let event = event(n);
        levels.push(event.leaf())?;
        writer.append(&event)?;
    }
    writer.finish()?;
    levels.sync()?;
    let checkpoint = Checkpoint::sign(&origin_of(log_id), events, levels.frontier().root(), &signers);
    archive.put_checkpoints(&checkpoint.to_bytes(), b"")?;
    Ok(signers)
}

/// An event whose bytes name it as an envelope does.
fn event(n: u64) -> LogEvent {
    let (id, key_id) = (EventId::from_u128(u128::from(n) << 64), KeyId::from_u128(u128::from(n) << 32));
    let mut payload = Vec::with_capacity(REST + 64);
    payload.extend_from_slice(&[0x12, 16]);
    payload.extend_from_slice(&id.to_bytes());
    payload.extend_from_slice(b"\x1a\x04acme\x22\x10");
    payload.extend_from_slice(&key_id.to_bytes());
    // A field that no build knows; its length is a varint of two bytes.
    payload.extend_from_slice(&[0xfa, 0x7f, 0x80 | (REST % 128) as u8, (REST / 128) as u8]);
    payload.resize(payload.len() + REST, 0x2a);
    LogEvent {
        position: Position::new(n),
        stream: format!("acme.{key_id}").into(),
        id,
        payload: payload.into(),
    }
}
