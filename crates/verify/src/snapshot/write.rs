//! Writes a snapshot, streaming: what is held at a time is one buffer.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use crc32fast::Hasher;
use domain::{Owner, Personal};

use super::{Counts, FORMAT, HEADER_BYTES, MAGIC, MAX_TEXT, SnapshotHeader};
use crate::index::KeyIndex;
use crate::interner::Directory;
use crate::tenants::TenantEntry;

/// One megabyte: large enough that the number of writes does not matter.
const BUFFER_BYTES: usize = 1 << 20;

/// Writes an index that nobody changes meanwhile: the caller holds the only writer. Readers go on.
pub(crate) fn write(
    index: &KeyIndex,
    directory: &Directory,
    header: &SnapshotHeader,
    out: impl Write,
) -> io::Result<()> {
    if header.position != index.applied() {
        return Err(invalid("a snapshot is of the applied position"));
    }
    let mut sink = Sink { out: BufWriter::with_capacity(BUFFER_BYTES, out), crc: Hasher::new() };
    write_header(&mut sink, header, counts(index)?)?;
    for entry in index.tenants.iter() {
        write_tenant(&mut sink, entry)?;
    }
    write_values(&mut sink, index, directory)?;
    for shard in &index.shards {
        for (hot, cold) in shard.0.read().rows() {
            sink.put(&hot.to_bytes())?;
            sink.put(&cold.to_bytes())?;
        }
    }
    let crc = sink.crc.clone().finalize();
    sink.put(&crc.to_le_bytes())?;
    sink.out.flush()
}

fn counts(index: &KeyIndex) -> io::Result<Counts> {
    let count = |n: usize| u32::try_from(n).map_err(|_| invalid("more values than a row can name"));
    // Number 0 is there from the start.
    let shared = |n: usize| count(n.saturating_sub(1));
    Ok(Counts {
        tenants: count(index.tenants.len())?,
        owners: shared(index.values.owners.len())?,
        scopes: shared(index.values.scopes.len())?,
        labels: shared(index.values.labels.len())?,
        networks: shared(index.values.networks.len())?,
        issuers: shared(index.values.issuers.len())?,
        rows: index.key_count() as u64,
    })
}

fn write_header(sink: &mut Sink<impl Write>, header: &SnapshotHeader, counts: Counts) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(header.reader.to_le_bytes());
    bytes.extend(header.log_id.to_bytes());
    bytes.extend(header.position.get().to_le_bytes());
    let Counts { tenants, owners, scopes, labels, networks, issuers, rows } = counts;
    for count in [tenants, owners, scopes, labels, networks, issuers] {
        bytes.extend(count.to_le_bytes());
    }
    bytes.extend(rows.to_le_bytes());
    debug_assert_eq!(bytes.len(), HEADER_BYTES);
    let crc = crc32fast::hash(&bytes);
    sink.put(&bytes)?;
    sink.put(&crc.to_le_bytes())
}

fn write_tenant(sink: &mut Sink<impl Write>, entry: &TenantEntry) -> io::Result<()> {
    let history = entry.history();
    sink.text(entry.id.as_str())?;
    sink.put(&[entry.flags()])?;
    sink.put(&history.revision.get().to_le_bytes())?;
    sink.put(&history.last.get().to_le_bytes())?;
    sink.put(&entry.last_notice().get().to_le_bytes())
}

fn write_values(sink: &mut Sink<impl Write>, index: &KeyIndex, directory: &Directory) -> io::Result<()> {
    let values = &index.values;
    for (tenant, owner) in directory.owner_tenants().into_iter().zip(values.owners.iter()).skip(1) {
        write_owner(sink, tenant, owner)?;
    }
    for scopes in values.scopes.iter().skip(1) {
        sink.texts(scopes.iter())?;
    }
    for labels in values.labels.iter().skip(1) {
        sink.texts(labels.iter())?;
    }
    for networks in values.networks.iter().skip(1) {
        sink.texts(networks.iter())?;
    }
    for issuer in values.issuers.iter().skip(1) {
        sink.put(&issuer.to_bytes())?;
    }
    Ok(())
}

fn write_owner(sink: &mut Sink<impl Write>, tenant: u32, owner: &Owner) -> io::Result<()> {
    let (kind, bytes) = match &owner.name {
        Personal::Plain(text) => (0, text.as_str().as_bytes()),
        Personal::Sealed(bytes) => (1, &**bytes),
    };
    if bytes.len() > MAX_TEXT {
        return Err(invalid("an owner's text is longer than any event"));
    }
    sink.put(&tenant.to_le_bytes())?;
    sink.put(&owner.tag.to_bytes())?;
    sink.put(&[kind])?;
    sink.put(&(bytes.len() as u32).to_le_bytes())?;
    sink.put(bytes)
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Counts what it passes on into the checksum.
struct Sink<W: Write> {
    out: BufWriter<W>,
    crc: Hasher,
}

impl<W: Write> Sink<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.out.write_all(bytes)
    }

    /// A short text: the domain bounds ids, scopes, labels and networks below 256 bytes.
    fn text(&mut self, text: &str) -> io::Result<()> {
        let len = u8::try_from(text.len()).map_err(|_| invalid("a text is longer than 255 bytes"))?;
        self.put(&[len])?;
        self.put(text.as_bytes())
    }

    fn texts(&mut self, texts: impl ExactSizeIterator<Item = impl Display>) -> io::Result<()> {
        let count = u8::try_from(texts.len()).map_err(|_| invalid("a set has more than 255 members"))?;
        self.put(&[count])?;
        for text in texts {
            self.text(&text.to_string())?;
        }
        Ok(())
    }
}
