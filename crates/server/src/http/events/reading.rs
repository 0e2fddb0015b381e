//! One reader on its way through the log: the next events are read while these become lines, and those before are sent.

use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use application::Seals;
use axum::body::{Body, Bytes};
use domain::Position;
use eventlog::{Follower, ReadError, Recorded};
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::http::events::filter::{ByOwner, Filter, Line};
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

/// A run of fewer events is not worth a second thread.
const PARTED_FROM: usize = 512;

/// One reader. It holds two runs of events at most, each of a few MiB, and the lines of three: one that is made, one that
/// waits and one that is sent.
pub(super) struct Reading {
    app: Shared,
    source: Source,
    filter: Arc<Filter>,
    /// Whose keys are asked for; none too while a thread has it.
    owner: Option<ByOwner>,
    /// Whether events have to be looked at one after the other.
    in_order: bool,
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

/// Makes lines of events, on a thread that may wait.
async fn lines(
    app: Shared,
    filter: Arc<Filter>,
    events: Vec<Recorded>,
    mut owner: Option<ByOwner>,
) -> io::Result<(Option<ByOwner>, Vec<u8>)> {
    if events.is_empty() {
        return Ok((owner, Vec::new()));
    }
    let runtime = Handle::current();
    let made = spawn_blocking(move || {
        let mut text = Vec::with_capacity(events.len() * LINE);
        let mut waiting = Waiting { seals: app.application.seals(), runtime, lines: Vec::new() };
        for event in events {
            if let Some(line) = filter.read(event, owner.as_mut()) {
                waiting.take(line, &mut text)?;
            }
        }
        waiting.write(&mut text).map(|()| (owner, text))
    });
    made.await.map_err(io::Error::other)?.map_err(io::Error::other)
}

impl Reading {
    pub(super) fn new(
        app: Shared,
        source: Source,
        (filter, owner): (Filter, Option<ByOwner>),
        tells: bool,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            app,
            source,
            in_order: owner.is_some(),
            owner,
            ahead: None,
            reached: Position::new(filter.first.get() - 1).min(filter.last),
            filter: Arc::new(filter),
            tells,
            told: None,
            done: false,
            _permit: permit,
        }
    }

    /// The answer. Its pieces are made by a task of their own, which ends when nobody takes them any more.
    pub(super) fn answer(mut self) -> Body {
        let (pieces, made) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let piece = self.next_piece().await;
                let is_last = !matches!(piece, Ok(Some(_)));
                if pieces.send(piece).await.is_err() || is_last {
                    return;
                }
            }
        });
        // Without its last word an answer is broken off, so that nobody takes a part for the whole.
        Body::from_stream(stream::try_unfold(
            made,
            |mut made: mpsc::Receiver<io::Result<Option<Bytes>>>| async {
                let piece =
                    made.recv().await.ok_or_else(|| io::Error::other("the reading ended early"))??;
                Ok::<_, io::Error>(piece.map(|piece| (piece, made)))
            },
        ))
    }

    /// The next piece of the answer; none at its end.
    async fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        let mut piece = Vec::new();
        while piece.is_empty() && !self.done {
            if self.tells && self.told.is_none() {
                self.tell(&mut piece);
                break;
            }
            self.go_on(&mut piece).await.inspect_err(
                |error| tracing::warn!(error = %error, "an answer to an auditor was broken off"),
            )?;
        }
        Ok((!piece.is_empty()).then(|| piece.into()))
    }

    /// Makes lines of one run of events: half of it on another core, unless each event has to be seen after the one before.
    async fn go_on(&mut self, piece: &mut Vec<u8>) -> io::Result<()> {
        let mut events = match self.ahead.take() {
            Some(ahead) => ahead?,
            None => self.read().await?,
        };
        let last = self.filter.last;
        let reached = events.last().map_or(last, |event| event.position).min(last);
        let is_last = reached == last || matches!(self.source, Source::Read(_));
        let parted = !self.in_order && events.len() >= PARTED_FROM;
        let rest = if parted { events.split_off(events.len() / 2) } else { Vec::new() };
        let (app, filter, owner) = (Arc::clone(&self.app), Arc::clone(&self.filter), self.owner.take());
        let first = lines(Arc::clone(&app), Arc::clone(&filter), events, owner);
        let second = lines(app, filter, rest, None);
        let ahead = async { if is_last { None } else { Some(self.read().await) } };
        let (first, second, ahead) = tokio::join!(first, second, ahead);
        self.ahead = ahead;
        (self.owner, *piece) = first?;
        piece.append(&mut second?.1);
        self.reached = if is_last { last } else { self.reached.max(reached) };
        self.done = is_last;
        if self.tells && (is_last || self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY)) {
            self.tell(piece);
        }
        Ok(())
    }

    fn tell(&mut self, piece: &mut Vec<u8>) {
        let mut line = String::new();
        // Writing into a text does not fail.
        let _ = writeln!(line, "{{\"of\":{},\"reached\":{}}}", self.filter.last, self.reached);
        piece.extend_from_slice(line.as_bytes());
        self.told = Some(Instant::now());
    }

    async fn read(&mut self) -> io::Result<Vec<Recorded>> {
        let follower = match &mut self.source {
            Source::Read(events) => return Ok(std::mem::take(events)),
            // A span without a position: there may be nothing that would come.
            Source::Log(_) if self.reached >= self.filter.last => return Ok(Vec::new()),
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
