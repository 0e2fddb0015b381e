//! The events of an archive in order, each checked before it is given out.

use std::collections::VecDeque;

use domain::Position;

use crate::archive::ArchiveError;
use crate::archive::record::Broken;
use crate::archive::segment::{Segment, SegmentReader};
use crate::leaf::LogEvent;

/// A reader on its way through an archive. After an error it ends.
pub struct Events {
    segments: VecDeque<Segment>,
    open: Option<(Segment, SegmentReader)>,
    /// The last position given out, or where the reader began.
    last: Position,
    /// The next position in the segment that is open.
    expected: Position,
}

impl Events {
    pub(super) fn new(segments: VecDeque<Segment>, after: Position) -> Self {
        Self { segments, open: None, last: after, expected: Position::NONE }
    }

    fn step(&mut self) -> Option<Result<LogEvent, ArchiveError>> {
        loop {
            let Some((segment, reader)) = &mut self.open else {
                let segment = self.segments.pop_front()?;
                self.expected = segment.first;
                match segment.read() {
                    Ok(reader) => self.open = Some((segment, reader)),
                    Err(broken) => return Some(Err(damaged(&segment, self.expected, broken))),
                }
                continue;
            };
            match reader.next() {
                None if self.expected == segment.last.next() => self.open = None,
                None => {
                    let ended = Broken::Lost("the file ends before it".to_owned());
                    return Some(Err(damaged(segment, self.expected, ended)));
                }
                Some(Err(broken)) => return Some(Err(damaged(segment, self.expected, broken))),
                Some(Ok(event)) if event.position != self.expected || event.position > segment.last => {
                    let other = Broken::Altered(format!("position {} stands there", event.position));
                    return Some(Err(damaged(segment, self.expected, other)));
                }
                Some(Ok(event)) => {
                    self.expected = self.expected.next();
                    if event.position > self.last {
                        self.last = event.position;
                        return Some(Ok(event));
                    }
                }
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<LogEvent, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step();
        if let Some(Err(_)) = next {
            self.segments.clear();
            self.open = None;
        }
        next
    }
}

fn damaged(segment: &Segment, position: Position, broken: Broken) -> ArchiveError {
    match broken {
        Broken::Io(source) => ArchiveError::io(&segment.path, source),
        Broken::Altered(reason) | Broken::Lost(reason) => {
            ArchiveError::Damaged { path: segment.path.clone(), position, reason }
        }
    }
}
