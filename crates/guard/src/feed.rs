//! The feed of notices over server-sent events: connects, goes on where it was, and finds out when nothing comes any more.

use std::time::Duration;

use domain::Position;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::time::{sleep, timeout};
use tracing::info;
use wire::Heard;

use crate::backoff::Backoff;
use crate::client::CallError;
use crate::core::Outcome;
use crate::link::Link;
use crate::sse::{SseEvent, SseParser};

/// As long as a feed may be silent: a server that can be reached answers at once, unless its view of notices is being built,
/// and then another attempt costs nothing.
const OPEN_WITHIN: Duration = Duration::from_secs(3);

/// Three heartbeats. A connection on which nothing comes for so long is half open: nobody will ever say so.
const SILENCE: Duration = Duration::from_secs(3);

/// Why a feed ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Something was missed: the same feed again, from where it was.
    Gap,
    /// Another history.
    Reset,
    /// Everything up to now was heard, and that was all that was asked for.
    CaughtUp,
    /// Anything else.
    Lost(String),
}

/// How long a feed is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// As long as it brings something.
    Lost,
    /// Until it says that it has sent everything.
    CaughtUp,
}

#[derive(Deserialize)]
struct Hello {
    log_id: String,
    head: u64,
    last_notice: u64,
}

#[derive(Deserialize)]
struct Heartbeat {
    head: u64,
    last_notice: u64,
}

/// Follows the feed until it is dropped.
pub(crate) async fn run(link: &Link) {
    let mut backoff = Backoff::new();
    loop {
        link.registered().await;
        let end = follow(link, &mut backoff, Until::Lost).await;
        let pause = ended(link, end, &mut backoff);
        sleep(pause).await;
    }
}

/// Notes how a feed ended, and says how long to wait before the next.
pub(crate) fn ended(link: &Link, end: Result<End, CallError>, backoff: &mut Backoff) -> Duration {
    link.meters.feed_ends.increment(1);
    match end {
        Ok(End::Gap) => gap(link),
        Ok(End::Reset) => {
            link.was_reset("the feed is of another history, or of one that went back");
            note(link, "the feed is of another history".to_owned());
        }
        Ok(End::Lost(why)) => note(link, format!("the feed ended: {why}")),
        Ok(End::CaughtUp) => {}
        Err(error) => {
            note(link, format!("the feed cannot be had: {error}"));
            return link.failed("opening the feed", &error, backoff);
        }
    }
    backoff.pause()
}

/// Notes that something was missed.
pub(crate) fn gap(link: &Link) {
    link.meters.gaps.increment(1);
    note(link, "notices were missed: the feed is asked for them".to_owned());
}

pub(crate) fn note(link: &Link, text: String) {
    info!(guard.id = link.guard_id(), "{text}");
    link.notes.note(|noted| {
        noted.feed_is_whole = false;
        noted.feed_error = Some(text);
    });
}

pub(crate) async fn follow(link: &Link, backoff: &mut Backoff, until: Until) -> Result<End, CallError> {
    let path = format!("/v1/feed?tenant={}", link.core.tenant());
    let resume = link.core.resume_from().map(|position| ("last-event-id", position.to_string()));
    let mut body = link.client.open(&path, resume.as_slice(), OPEN_WITHIN).await?;
    let mut parser = SseParser::default();
    loop {
        let piece = match next_piece(link, &mut body).await {
            Ok(piece) => piece,
            Err(why) => return Ok(End::Lost(why)),
        };
        let before = link.core.applied();
        let taken = parser.take(&piece, |event| take(link, &event, until));
        // Also when the feed then ends: what was applied is told at once.
        report(link, before);
        match taken {
            Ok(None) => {
                if link.notes.noted().feed_is_whole {
                    backoff.calm();
                }
            }
            Ok(Some(end)) => return Ok(end),
            Err(error) => return Ok(End::Lost(error.to_string())),
        }
    }
}

async fn next_piece(link: &Link, body: &mut Incoming) -> Result<bytes::Bytes, String> {
    loop {
        let frame = timeout(SILENCE, body.frame()).await;
        let frame = frame.map_err(|_| {
            link.client.forget_connections();
            format!("nothing came for {SILENCE:?}")
        })?;
        let frame =
            frame.ok_or_else(|| "the server closed it".to_owned())?.map_err(|error| error.to_string())?;
        if let Ok(data) = frame.into_data() {
            return Ok(data);
        }
    }
}

pub(crate) fn report(link: &Link, before: Position) {
    let applied = link.core.applied();
    if applied != before {
        link.notes.touch();
        link.applied.send_replace(applied);
    }
}

/// Takes one event; says so if the feed is of no more use.
fn take(link: &Link, event: &SseEvent, until: Until) -> Option<End> {
    let outcome = match event.name.as_str() {
        "hello" => match serde_json::from_slice::<Hello>(&event.data) {
            Ok(hello) => {
                let (head, last_notice) = (Position::new(hello.head), Position::new(hello.last_notice));
                let outcome = link.core.on_hello(&hello.log_id, head, last_notice);
                link.ask_now.notify_one();
                outcome
            }
            Err(error) => return Some(End::Lost(format!("its greeting cannot be read: {error}"))),
        },
        "heartbeat" => match serde_json::from_slice::<Heartbeat>(&event.data) {
            Ok(beat) => {
                let (head, last_notice) = (Position::new(beat.head), Position::new(beat.last_notice));
                link.core.on_heartbeat(head, last_notice, link.clock.boot_ms())
            }
            Err(error) => return Some(End::Lost(format!("a heartbeat cannot be read: {error}"))),
        },
        "reset" => {
            link.core.reset();
            Outcome::Reset
        }
        _ => take_notice(link, event),
    };
    match outcome {
        Outcome::Taken | Outcome::Repeat => {
            // Greeted, the guard may still have to hear what it missed; a heartbeat comes when it has.
            if event.name == "heartbeat" {
                whole(link);
            }
            (event.name == "heartbeat" && until == Until::CaughtUp).then_some(End::CaughtUp)
        }
        Outcome::Gap => Some(End::Gap),
        Outcome::Reset => Some(End::Reset),
    }
}

fn take_notice(link: &Link, event: &SseEvent) -> Outcome {
    let parsed = Heard::parse(&event.data);
    if parsed.is_err() {
        link.meters.unreadable.increment(1);
    }
    let outcome = match (parsed, event.id) {
        (Ok(notice), _) => link.core.on_notice(&notice),
        (Err(_), Some(position)) => link.core.on_unreadable(Position::new(position)),
        // What it is and where it stands are both unknown: only a new beginning is safe.
        (Err(_), None) => {
            link.core.reset();
            Outcome::Reset
        }
    };
    count(link, outcome);
    outcome
}

/// Gaps and resets are counted where they end a feed.
pub(crate) fn count(link: &Link, outcome: Outcome) {
    match outcome {
        Outcome::Taken => link.meters.notices.increment(1),
        Outcome::Repeat => link.meters.repeats.increment(1),
        Outcome::Gap | Outcome::Reset => {}
    }
}

fn whole(link: &Link) {
    let noted = link.notes.noted();
    if !noted.feed_is_whole || noted.feed_error.is_some() {
        link.notes.note(|noted| {
            noted.feed_is_whole = true;
            noted.feed_error = None;
        });
    }
}
