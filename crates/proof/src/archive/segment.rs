//! A segment: one file of consecutive events, named after the first and the last.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use domain::Position;

use crate::archive::ArchiveError;
use crate::archive::record::{self, Broken};
use crate::files::sync_folder;
use crate::leaf::LogEvent;

/// The first bytes of each segment: the form of all that follows.
const MAGIC: [u8; 16] = *b"rescind events 1";
const EXTENSION: &str = "events";
/// What a segment is called while it is written.
const UNFINISHED: &str = "unfinished.part";
/// Digits of a position in a name, so that names sort as positions do.
const DIGITS: usize = 20;
/// Events of one segment at most: a copy that was broken off loses little, and ten million events are 153 files.
const MAX_EVENTS: u64 = 65_536;
/// Bytes of one segment at most, for logs with large events.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes collected before they are written.
const BUFFER: usize = 256 * 1024;

/// A segment that is there, as its name says.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) first: Position,
    pub(crate) last: Position,
}

impl Segment {
    /// Its events one by one, as they are.
    pub(crate) fn read(&self) -> Result<SegmentReader, Broken> {
        let mut file = BufReader::with_capacity(BUFFER, File::open(&self.path).map_err(Broken::Io)?);
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Broken::Lost("the file is shorter than its head".to_owned()),
            _ => Broken::Io(error),
        })?;
        if magic != MAGIC {
            return Err(Broken::Lost("the file does not begin as a segment does".to_owned()));
        }
        Ok(SegmentReader { file })
    }
}

/// Reads a segment from its beginning.
pub(crate) struct SegmentReader {
    file: BufReader<File>,
}

impl Iterator for SegmentReader {
    type Item = Result<LogEvent, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        record::decode(&mut self.file)
    }
}

/// The segments of a folder by their positions. Files with other names are no segments.
pub(super) fn list(folder: &Path) -> Result<Vec<Segment>, ArchiveError> {
    let failed = |source| ArchiveError::io(folder, source);
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let Some((first, last)) = path.file_name().and_then(|name| parse_name(name.to_str()?)) {
            segments.push(Segment { path, first, last });
        }
    }
    segments.sort_by_key(|segment| (segment.first, segment.last));
    Ok(segments)
}

fn parse_name(name: &str) -> Option<(Position, Position)> {
    let (first, last) = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.split_once('-')?;
    let position = |text: &str| {
        let digits = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok().map(Position::new) } else { None }
    };
    let (first, last) = (position(first)?, position(last)?);
    (first <= last).then_some((first, last))
}

/// Removes what a writer that was stopped left behind.
pub(super) fn remove_unfinished(folder: &Path) -> Result<(), ArchiveError> {
    let path = folder.join(UNFINISHED);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ArchiveError::io(&path, error)),
        _ => Ok(()),
    }
}

/// Writes events behind those that an archive holds. Segments that are full are durable at once, the last one when
/// [`SegmentWriter::finish`] returns; dropped before that, the archive stands as after the last full one.
#[derive(Debug)]
pub struct SegmentWriter<'a> {
    folder: PathBuf,
    segments: &'a mut Vec<Segment>,
    /// The segment under way.
    open: Option<Open>,
    next: Position,
}

#[derive(Debug)]
struct Open {
    file: File,
    first: Position,
    buffer: Vec<u8>,
    written: u64,
}

impl<'a> SegmentWriter<'a> {
    pub(super) const fn new(folder: PathBuf, segments: &'a mut Vec<Segment>, next: Position) -> Self {
        Self { folder, segments, open: None, next }
    }

    /// The position that the next event must have.
    #[must_use]
    pub const fn next(&self) -> Position {
        self.next
    }

    /// The last event that is durable here.
    #[must_use]
    pub fn durable(&self) -> Position {
        self.segments.last().map_or(Position::NONE, |segment| segment.last)
    }

    /// Appends the event that comes next.
    ///
    /// # Errors
    /// [`ArchiveError::Broken`] for any other, [`ArchiveError::Damaged`] for one that no log can hold,
    /// [`ArchiveError::Io`] when it cannot be written. The writer must not be used after that.
    pub fn append(&mut self, event: &LogEvent) -> Result<(), ArchiveError> {
        let path = self.folder.join(UNFINISHED);
        if event.position != self.next {
            let (expected, found) = (self.next, event.position);
            return Err(ArchiveError::Broken { path: self.folder.clone(), expected, found });
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(Open::begin(&path, self.next).map_err(|e| ArchiveError::io(&path, e))?),
        };
        record::encode(event, &mut open.buffer).map_err(|reason| ArchiveError::Damaged {
            path: path.clone(),
            position: event.position,
            reason,
        })?;
        if open.buffer.len() >= BUFFER {
            open.write_out().map_err(|source| ArchiveError::io(&path, source))?;
        }
        let events = event.position.get() - open.first.get() + 1;
        let full = events >= MAX_EVENTS || open.written >= MAX_BYTES;
        self.next = self.next.next();
        if full { self.close() } else { Ok(()) }
    }

    /// Closes the last segment, full or not; durable on return. Without events it does nothing.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn finish(mut self) -> Result<(), ArchiveError> {
        self.close()
    }

    fn close(&mut self) -> Result<(), ArchiveError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let unfinished = self.folder.join(UNFINISHED);
        let (first, last) = (open.first, Position::new(self.next.get() - 1));
        let path = self.folder.join(format!("{:0DIGITS$}-{:0DIGITS$}.{EXTENSION}", first.get(), last.get()));
        let mut close = || -> io::Result<()> {
            open.write_out()?;
            open.file.sync_data()?;
            // If we stop here, the next writer removes it and begins this segment again.
            fs::rename(&unfinished, &path)?;
            sync_folder(&self.folder)
        };
        close().map_err(|source| ArchiveError::io(&unfinished, source))?;
        self.segments.push(Segment { path, first, last });
        Ok(())
    }
}

impl Open {
    fn begin(path: &Path, first: Position) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
        Ok(Self { file, first, buffer: MAGIC.to_vec(), written: 0 })
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
