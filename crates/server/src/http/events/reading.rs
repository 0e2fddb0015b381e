//! One reader on its way through the log: the next events are read while these become lines.

use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use application::Seals;
use axum::body::Bytes;
use domain::Position;
use eventlog::{Follower, ReadError, Recorded};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::http::events::filter::{Filter, Line};
use crate::http::extract::Shared;

/// How long the log may take for its next events: they are all there, so longer than this means that it is away.
const NEXT_WITHIN: Duration = Duration::from_secs(10);

/// How often it is told how far the search is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Bytes of a line, about: so much room is made for each event of a run, so that it need not be made again and again.
const LINE: usize = 512;

/// Lines that wait for seals together: so many are fetched at once.
const WAITING_MAX: usize = 512;

/// Where the events come from.
pub(super) enum Source {
    /// One stream, read already.
    Read(Vec<Recorded>),
    /// The whole log.
    Log(Box<dyn Follower>),
}

/// One reader. It holds two runs of events at most, each of a few MiB, and the lines of one.
pub(super) struct Reading {
    app: Shared,
    source: Source,
    /// None only while a thread has it.
    filter: Option<Filter>,
    /// The last position that is asked for.
    last: Position,
    /// The run that was read while the one before it became lines.
    ahead: Option<io::Result<Vec<Recorded>>>,
    reached: Position,
    tells: bool,
    told: Option<Instant>,
    done: bool,
    _permit: OwnedSemaphorePermit,
}

/// Lines that wait for seals which are not at hand. What needs none is written at once: an event that is read, written and let
/// go before the next costs half of what it costs beside thousands of others.
struct Waiting<'a> {
    seals: &'a Seals,
    /// The thread of this may wait: what it waits for is done by the runtime's own.
    runtime: Handle,
    lines: Vec<Line>,
}

impl Waiting<'_> {
    /// Writes a line, behind all that wait.
    fn take(&mut self, mut line: Line, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let is_open = line.envelope().is_none_or(|envelope| self.seals.open_at_hand(envelope));
        if is_open && self.lines.is_empty() {
            line.write(out);
            return Ok(());
        }
        self.lines.push(line);
        if self.lines.len() < WAITING_MAX { Ok(()) } else { self.write(out) }
    }

    fn write(&mut self, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let mut envelopes: Vec<_> = self.lines.iter_mut().filter_map(Line::envelope).collect();
        self.runtime.block_on(self.seals.open_events(&mut envelopes))?;
        self.lines.drain(..).for_each(|line| line.write(out));
        Ok(())
    }
}

impl Reading {
    pub(super) fn new(
        app: Shared,
        source: Source,
        filter: Filter,
        tells: bool,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let (first, last) = (filter.first, filter.last);
        Self {
            app,
            source,
            filter: Some(filter),
            last,
            ahead: None,
            reached: Position::new(first.get() - 1).min(last),
            tells,
            told: None,
            done: false,
            _permit: permit,
        }
    }

    /// The next piece of the answer. An error breaks the answer off, so that nobody takes a part for the whole.
    pub(super) async fn next_piece(mut self) -> Option<(Result<Bytes, io::Error>, Self)> {
        let mut piece = Vec::new();
        while piece.is_empty() && !self.done {
            if self.tells && self.told.is_none() {
                self.tell(&mut piece);
                break;
            }
            if let Err(error) = self.go_on(&mut piece).await {
                tracing::warn!(error = %error, "an answer to an auditor was broken off");
                self.done = true;
                return Some((Err(error), self));
            }
        }
        (!piece.is_empty()).then(|| (Ok(piece.into()), self))
    }

    /// Makes lines of one run of events.
    async fn go_on(&mut self, piece: &mut Vec<u8>) -> io::Result<()> {
        let events = match self.ahead.take() {
            Some(ahead) => ahead?,
            None => self.read().await?,
        };
        let reached = events.last().map_or(self.last, |event| event.position).min(self.last);
        let is_last = reached == self.last || matches!(self.source, Source::Read(_));
        let Some(mut filter) = self.filter.take() else {
            return Err(io::Error::other("the filter is gone"));
        };
        let (app, runtime) = (Arc::clone(&self.app), Handle::current());
        let convert = spawn_blocking(move || {
            let mut text = Vec::with_capacity(events.len() * LINE);
            let mut waiting = Waiting { seals: app.application.seals(), runtime, lines: Vec::new() };
            for line in events.into_iter().filter_map(|event| filter.read(event)) {
                waiting.take(line, &mut text)?;
            }
            waiting.write(&mut text).map(|()| (filter, text))
        });
        let converted = if is_last {
            convert.await
        } else {
            let (converted, ahead) = tokio::join!(convert, self.read());
            self.ahead = Some(ahead);
            converted
        };
        let (filter, lines) = converted.map_err(io::Error::other)?.map_err(io::Error::other)?;
        (self.filter, *piece) = (Some(filter), lines);
        self.reached = if is_last { self.last } else { self.reached.max(reached) };
        self.done = is_last;
        if self.tells && (is_last || self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY)) {
            self.tell(piece);
        }
        Ok(())
    }

    fn tell(&mut self, piece: &mut Vec<u8>) {
        let mut line = String::new();
        // Writing into a text does not fail.
        let _ = writeln!(line, "{{\"of\":{},\"reached\":{}}}", self.last, self.reached);
        piece.extend_from_slice(line.as_bytes());
        self.told = Some(Instant::now());
    }

    async fn read(&mut self) -> io::Result<Vec<Recorded>> {
        let follower = match &mut self.source {
            Source::Read(events) => return Ok(std::mem::take(events)),
            // A span without a position: there may be nothing that would come.
            Source::Log(_) if self.reached >= self.last => return Ok(Vec::new()),
            Source::Log(follower) => follower,
        };
        let mut stopping = self.app.stopping.clone();
        let next = tokio::select! {
            next = timeout(NEXT_WITHIN, follower.next()) => next,
            _ = stopping.wait_for(|stopping| *stopping) => return Err(io::Error::other("the server stops")),
        };
        let events = next.map_err(|_| io::Error::other("the log did not answer in time"))?;
        events.map_err(io::Error::other)
    }
}
