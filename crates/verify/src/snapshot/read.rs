//! Reads a snapshot: every byte is under a checksum, every number is checked before it is used.

use std::io::{self, BufReader, ErrorKind, Read};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crc32fast::Hasher;
use domain::{
    KeyId, Label, Labels, LogId, Networks, Owner, OwnerTag, Personal, PersonalText, Position, Revision,
    ScopeSet,
};

use super::{Counts, FORMAT, MAGIC, MAX_TEXT, SnapshotError, SnapshotHeader};
use crate::index::{KeyIndex, new_index};
use crate::interner::TooMany;
use crate::row::{ColdRow, HotRow, Refs};
use crate::tenants::{FLAGS, TenantEntry, TenantHistory};
use crate::writer::{Applied, IndexWriter};

const BUFFER_BYTES: usize = 1 << 20;
const ROW_BYTES: usize = HotRow::BYTES + ColdRow::BYTES;
/// Room made at once for rows that a header only promises; beyond it the tables grow as rows come.
const MAX_RESERVED_ROWS: u64 = 1 << 22;
/// Rows read and checksummed at a time.
const BLOCK_ROWS: usize = 512;

type Outcome<T> = Result<T, SnapshotError>;

/// Reads a snapshot of the log `expected`, written at a reader level up to `max_reader`.
///
/// # Errors
/// [`SnapshotError`]; nothing of the snapshot is used then.
pub fn read_snapshot(
    input: impl Read,
    expected: LogId,
    max_reader: u32,
    max_staleness: Duration,
) -> Result<(SnapshotHeader, Arc<KeyIndex>, IndexWriter), SnapshotError> {
    let mut source = Source { input: BufReader::with_capacity(BUFFER_BYTES, input), crc: Hasher::new() };
    let (header, counts) = read_header(&mut source)?;
    if header.reader > max_reader {
        return Err(SnapshotError::Reader { found: header.reader, max: max_reader });
    }
    if header.log_id != expected {
        return Err(SnapshotError::OtherLog { found: header.log_id, expected });
    }
    let (index, mut writer) = new_index(max_staleness);
    for number in 0..counts.tenants {
        read_tenant(&mut source, &index, number)?;
    }
    read_values(&mut source, &mut writer, counts)?;
    read_rows(&mut source, &mut writer, counts)?;
    source.close()?;
    writer.advance(header.position);
    Ok((header, index, writer))
}

fn read_header(source: &mut Source<impl Read>) -> Outcome<(SnapshotHeader, Counts)> {
    if source.array()? != MAGIC {
        return Err(SnapshotError::NotASnapshot);
    }
    let found = source.u32()?;
    if found != FORMAT {
        return Err(SnapshotError::Format { found, known: FORMAT });
    }
    let header = SnapshotHeader {
        reader: source.u32()?,
        log_id: LogId::from_bytes(source.array()?),
        position: Position::new(source.u64()?),
    };
    let counts = Counts {
        tenants: source.u32()?,
        owners: source.u32()?,
        scopes: source.u32()?,
        labels: source.u32()?,
        networks: source.u32()?,
        issuers: source.u32()?,
        rows: source.u64()?,
    };
    // Before any count is believed.
    let crc = source.crc.clone().finalize();
    if source.u32()? != crc { Err(damaged("the header's checksum")) } else { Ok((header, counts)) }
}

fn read_tenant(source: &mut Source<impl Read>, index: &KeyIndex, number: u32) -> Outcome<()> {
    let id = source.parsed("a tenant's id")?;
    let [flags] = source.array()?;
    let history =
        TenantHistory { revision: Revision::new(source.u32()?), last: Position::new(source.u64()?) };
    let last_notice = Position::new(source.u64()?);
    if flags & !FLAGS != 0 || index.tenants.find(&id).is_some() {
        return Err(damaged("a tenant"));
    }
    let entry = TenantEntry::new(&id, history, last_notice, flags);
    if entry.flags().is_quarantined() {
        entry.note_unread(history.last);
    }
    let added = index.tenants.add(entry);
    in_its_place(added, number, "the number of tenants")
}

fn read_values(source: &mut Source<impl Read>, writer: &mut IndexWriter, counts: Counts) -> Outcome<()> {
    let index = Arc::clone(writer.index());
    let values = &index.values;
    let directory = writer.directory();
    for number in 1..=counts.owners {
        let (tenant, owner) = read_owner(source)?;
        if tenant >= counts.tenants {
            return Err(damaged("an owner's tenant"));
        }
        in_its_place(directory.owner(values, tenant, &owner), number, "an owner")?;
    }
    for number in 1..=counts.scopes {
        let scopes = ScopeSet::new(source.list("a scope")?).map_err(|_| damaged("a scope set"))?;
        in_its_place(directory.scopes(values, &scopes), number, "a scope set")?;
    }
    for number in 1..=counts.labels {
        let labels = Labels::new(source.list::<Label>("a label")?).map_err(|_| damaged("a label set"))?;
        in_its_place(directory.labels(values, &labels), number, "a label set")?;
    }
    for number in 1..=counts.networks {
        let texts = source.list::<String>("a network")?;
        let networks = Networks::parse(texts).map_err(|_| damaged("a network set"))?;
        in_its_place(directory.networks(values, &networks), number, "a network set")?;
    }
    for number in 1..=counts.issuers {
        let issuer = KeyId::from_bytes(source.array()?);
        in_its_place(directory.issuer(values, issuer), number, "an issuer")?;
    }
    Ok(())
}

fn read_owner(source: &mut Source<impl Read>) -> Outcome<(u32, Owner)> {
    let tenant = source.u32()?;
    let tag = OwnerTag::from_bytes(source.array()?);
    let [kind] = source.array()?;
    let len = source.u32()? as usize;
    if len > MAX_TEXT {
        return Err(damaged("the length of an owner's text"));
    }
    let mut bytes = vec![0; len];
    source.fill(&mut bytes)?;
    let name = match kind {
        0 => {
            let text = std::str::from_utf8(&bytes).map_err(|_| damaged("an owner's text"))?;
            Personal::Plain(PersonalText::name(text).map_err(|_| damaged("an owner's text"))?)
        }
        1 => Personal::Sealed(bytes),
        _ => return Err(damaged("the kind of an owner's text")),
    };
    Ok((tenant, Owner { tag, name }))
}

fn read_rows(source: &mut Source<impl Read>, writer: &mut IndexWriter, counts: Counts) -> Outcome<()> {
    let index = Arc::clone(writer.index());
    let shards = index.shards.len() as u64;
    // An even share and a little more; a shard that gets more grows.
    let share = counts.rows.min(MAX_RESERVED_ROWS) / shards;
    if share > 0 {
        for shard in &index.shards {
            shard.0.write().reserve((share + share / 64) as usize, |key_id| index.hash.of(key_id));
        }
    }
    let mut block = vec![0; BLOCK_ROWS * ROW_BYTES];
    let mut left = counts.rows;
    while left > 0 {
        let rows = left.min(BLOCK_ROWS as u64) as usize;
        let bytes = &mut block[..rows * ROW_BYTES];
        source.fill(bytes)?;
        for row in bytes.chunks_exact(ROW_BYTES) {
            add_row(writer, &index, row, counts)?;
        }
        left -= rows as u64;
    }
    Ok(())
}

fn add_row(writer: &mut IndexWriter, index: &KeyIndex, bytes: &[u8], counts: Counts) -> Outcome<()> {
    let (hot, cold) = bytes
        .split_first_chunk()
        .and_then(|(hot, rest)| Some((HotRow::from_bytes(hot)?, ColdRow::from_bytes(rest.try_into().ok()?))))
        .ok_or_else(|| damaged("a row"))?;
    let refs = Refs {
        tenant: hot.tenant(),
        owner: hot.owner(),
        scopes: hot.scopes(),
        networks: hot.networks(),
        labels: cold.labels(),
        issuer: cold.issuer(),
    };
    // Tenants are numbered from 0, all else from 1 after the 0 that is always there.
    let known = refs.tenant < counts.tenants
        && refs.owner <= counts.owners
        && refs.scopes <= counts.scopes
        && refs.networks <= counts.networks
        && refs.labels <= counts.labels
        && refs.issuer <= counts.issuers;
    if !known {
        return Err(damaged("what a row refers to"));
    }
    let hash = index.hash.of(hot.key_id());
    if index.shard(hash).read().find(hash, hot.key_id()).is_some() {
        return Err(damaged("a key that is there twice"));
    }
    let tenant = index.tenants.at(refs.tenant);
    if hot.is_quarantined() {
        // A snapshot does not tell which of its events cannot be read: the last one, or one before.
        tenant.note_unread(hot.last());
    }
    match writer.add(&tenant.id, hash, hot, cold) {
        Applied::Done => Ok(()),
        Applied::Older | Applied::Misfit => Err(damaged("the number of rows")),
    }
}

/// Whether a value got the number that rows know it by; another one means that it is there twice.
fn in_its_place(got: Result<u32, TooMany>, number: u32, what: &'static str) -> Outcome<()> {
    if got.is_ok_and(|got| got == number) { Ok(()) } else { Err(damaged(what)) }
}

fn damaged(what: &'static str) -> SnapshotError {
    SnapshotError::Damaged { what }
}

/// Counts what it reads into the checksum.
struct Source<R> {
    input: BufReader<R>,
    crc: Hasher,
}

impl<R: Read> Source<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Outcome<()> {
        self.input.read_exact(bytes).map_err(cut_off)?;
        self.crc.update(bytes);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Outcome<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Outcome<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn parsed<T: FromStr>(&mut self, what: &'static str) -> Outcome<T> {
        let [len] = self.array()?;
        let mut bytes = [0; u8::MAX as usize];
        let bytes = &mut bytes[..usize::from(len)];
        self.fill(bytes)?;
        std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(|| damaged(what))
    }

    fn list<T: FromStr>(&mut self, what: &'static str) -> Outcome<Vec<T>> {
        let [len] = self.array()?;
        (0..len).map(|_| self.parsed(what)).collect()
    }

    /// Checks the closing checksum, and that nothing follows it.
    fn close(mut self) -> Outcome<()> {
        let crc = self.crc.clone().finalize();
        if self.u32()? != crc {
            return Err(damaged("the checksum"));
        }
        match self.input.read_exact(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(SnapshotError::Io(error)),
            Ok(()) => Err(damaged("bytes after the end")),
        }
    }
}

fn cut_off(error: io::Error) -> SnapshotError {
    if error.kind() == ErrorKind::UnexpectedEof {
        damaged("it ends too early")
    } else {
        SnapshotError::Io(error)
    }
}
