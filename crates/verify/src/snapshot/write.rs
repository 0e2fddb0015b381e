//! Writes a snapshot, streaming: what is held at a time is one buffer.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use crc32fast::Hasher;
use domain::{Owner, Personal};

use super::{Counts, FORMAT, HEADER_BYTES, MAGIC, MAX_TEXT, SnapshotHeader};
use crate::index::KeyIndex;
use crate::interner::Directory;
use crate::row::{ColdRow, HotRow};
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
    let used = Used::by_rows(index);
    let counts = counts(index, &used)?;
    write_header(&mut sink, header, counts)?;
    // Who recalls may add tenants meanwhile: without a row or a history, so they are no loss.
    for entry in index.tenants.iter().take(counts.tenants as usize) {
        write_tenant(&mut sink, entry)?;
    }
    write_values(&mut sink, index, directory, &used)?;
    for shard in &index.shards {
        for (hot, cold) in shard.0.read().rows() {
            let (hot, cold) = used.renumbered(*hot, *cold);
            sink.put(&hot.to_bytes())?;
            sink.put(&cold.to_bytes())?;
        }
    }
    let crc = sink.crc.clone().finalize();
    sink.put(&crc.to_le_bytes())?;
    sink.out.flush()
}

fn counts(index: &KeyIndex, used: &Used) -> io::Result<Counts> {
    let count = |n: usize| u32::try_from(n).map_err(|_| invalid("more values than a row can name"));
    Ok(Counts {
        tenants: count(index.tenants.len())?,
        owners: used.owners.count,
        scopes: used.scopes.count,
        labels: used.labels.count,
        networks: used.networks.count,
        issuers: used.issuers.count,
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
    sink.put(&[entry.flags().to_byte()])?;
    sink.put(&history.revision.get().to_le_bytes())?;
    sink.put(&history.last.get().to_le_bytes())?;
    sink.put(&entry.last_notice().get().to_le_bytes())
}

fn write_values(
    sink: &mut Sink<impl Write>,
    index: &KeyIndex,
    directory: &Directory,
    used: &Used,
) -> io::Result<()> {
    let values = &index.values;
    let tenants = directory.owner_tenants();
    for (number, owner) in used.owners.of(values.owners.iter()) {
        write_owner(sink, tenants[number], owner)?;
    }
    for (_, scopes) in used.scopes.of(values.scopes.iter()) {
        sink.texts(scopes.iter())?;
    }
    for (_, labels) in used.labels.of(values.labels.iter()) {
        sink.texts(labels.iter())?;
    }
    for (_, networks) in used.networks.of(values.networks.iter()) {
        sink.texts(networks.iter())?;
    }
    for (_, issuer) in used.issuers.of(values.issuers.iter()) {
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

/// Which values any row refers to, and the numbers they get: values that were replaced in every row are left behind here.
struct Used {
    owners: Numbers,
    scopes: Numbers,
    labels: Numbers,
    networks: Numbers,
    issuers: Numbers,
}

impl Used {
    fn by_rows(index: &KeyIndex) -> Self {
        let values = &index.values;
        let mut used = Self {
            owners: Numbers::new(values.owners.len()),
            scopes: Numbers::new(values.scopes.len()),
            labels: Numbers::new(values.labels.len()),
            networks: Numbers::new(values.networks.len()),
            issuers: Numbers::new(values.issuers.len()),
        };
        for shard in &index.shards {
            for (hot, cold) in shard.0.read().rows() {
                used.owners.mark(hot.owner());
                used.scopes.mark(hot.scopes());
                used.networks.mark(hot.networks());
                used.labels.mark(cold.labels());
                used.issuers.mark(cold.issuer());
            }
        }
        for numbers in
            [&mut used.owners, &mut used.scopes, &mut used.labels, &mut used.networks, &mut used.issuers]
        {
            numbers.give();
        }
        used
    }

    fn renumbered(&self, mut hot: HotRow, mut cold: ColdRow) -> (HotRow, ColdRow) {
        hot.set_owner(self.owners.new_of(hot.owner()));
        hot.set_scopes(self.scopes.new_of(hot.scopes()));
        hot.set_networks(self.networks.new_of(hot.networks()));
        cold.set_labels(self.labels.new_of(cold.labels()));
        cold.set_issuer(self.issuers.new_of(cold.issuer()));
        (hot, cold)
    }
}

/// New numbers by old ones, in the same order. 0 for what no row refers to, and for number 0, which is there from the start.
struct Numbers {
    new: Vec<u32>,
    count: u32,
}

impl Numbers {
    fn new(values: usize) -> Self {
        Self { new: vec![0; values], count: 0 }
    }

    fn mark(&mut self, number: u32) {
        self.new[number as usize] = 1;
    }

    fn give(&mut self) {
        self.new[0] = 0;
        for number in self.new.iter_mut().filter(|number| **number != 0) {
            self.count += 1;
            *number = self.count;
        }
    }

    fn new_of(&self, number: u32) -> u32 {
        self.new[number as usize]
    }

    /// The values that are used, with their old numbers.
    fn of<'a, T>(&'a self, values: impl Iterator<Item = T> + 'a) -> impl Iterator<Item = (usize, T)> + 'a {
        values.enumerate().filter(|(number, _)| self.new.get(*number).is_some_and(|new| *new != 0))
    }
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
