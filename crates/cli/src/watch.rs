//! `rescind watch`: hears the feed and prints what changes who may pass, as it happens.

use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::client::{Call, Client};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::text;
use crate::problem::NO_SERVER;
use crate::screen::{self, Paint, printable};
use crate::sse::{SseEvent, next_event};

/// The first pause before the feed is opened again; doubled each time until it was heard again.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause: a server that comes back is heard within this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Silence that means that the feed is dead: it beats once a second.
const SILENCE: Duration = Duration::from_secs(10);

/// Hear of keys as they are issued, revoked and expire; goes on where it stopped when the server comes back
#[derive(Args, Debug)]
#[command(after_help = "\
Ctrl-C ends it.

Examples:
  rescind watch --from 1
  rescind watch --tenant acme --json | jq -c .")]
pub(crate) struct Watch {
    /// Only this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Also what happened before, from this position on
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    #[command(flatten)]
    flags: ServerFlags,
}

/// Where the feed is resumed.
#[derive(Debug, Default)]
struct Place {
    /// The last id heard; none = from now.
    last_id: Option<String>,
    log_id: Option<String>,
}

impl Watch {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let last_id = self.from.map(|from| from.saturating_sub(1).to_string());
        let mut place = Place { last_id, log_id: None };
        let mut pause = FIRST_PAUSE;
        loop {
            let heard_before = place.last_id.clone();
            let lost = self.hear(&client, &mut place)?;
            if place.last_id != heard_before {
                pause = FIRST_PAUSE;
            }
            let after = place.last_id.as_deref().unwrap_or("now");
            screen::say(&format!(
                "feed lost ({}); resuming after {after} in {} ms",
                printable(&lost),
                pause.as_millis()
            ));
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Hears the feed until it is lost, and says why it was. A refusal ends the run: waiting does not heal it.
    fn hear(&self, client: &Client, place: &mut Place) -> Result<String, Failure> {
        let call = Call::get("/v1/feed").with_some("tenant", self.tenant.as_ref());
        let mut headers = vec![("accept", "text/event-stream".to_owned())];
        headers.extend(place.last_id.iter().map(|id| ("last-event-id", id.clone())));
        let mut reader = match client.stream(&call, &headers, SILENCE) {
            Ok(reader) => reader,
            Err(failure) if is_worth_waiting(&failure, place) => {
                return Ok(failure.what);
            }
            Err(failure) => return Err(failure),
        };
        loop {
            match next_event(&mut reader) {
                Ok(Some(event)) => {
                    if let Some(lost) = self.take(event, place)? {
                        return Ok(lost);
                    }
                }
                Ok(None) => return Ok("the server ended it".to_owned()),
                Err(error) => return Ok(error.to_string()),
            }
        }
    }

    /// Takes in one event; what it returns ends this hearing, for another to begin.
    fn take(&self, event: SseEvent, place: &mut Place) -> Result<Option<String>, Failure> {
        let data: Value = serde_json::from_str(&event.data).unwrap_or(Value::Null);
        match event.name.as_str() {
            "hello" => {
                if !place.greet(&data) {
                    return Ok(Some("positions of one log mean nothing in another".to_owned()));
                }
            }
            "heartbeat" => {}
            "reset" => {
                screen::say("the log ends before what was heard: it was set back; hearing from its head on");
            }
            _ if self.flags.output.json => screen::data(&event.data)?,
            _ => screen::data(&line(&data, Paint::stdout()))?,
        }
        // Only after it was printed: what is asked for next is what was not seen yet.
        if event.id.is_some() {
            place.last_id = event.id;
        }
        Ok(None)
    }
}

/// Whether the feed can come back by itself. At the first try a server that is not there is more likely a wrong address.
fn is_worth_waiting(failure: &Failure, place: &Place) -> bool {
    failure.exit == Exit::Unavailable && (failure.code != NO_SERVER || place.log_id.is_some())
}

impl Place {
    /// Takes in which log speaks. Another one than before: forgets the place and says no.
    fn greet(&mut self, hello: &Value) -> bool {
        let log_id = text(hello, "log_id");
        let head = text(hello, "head");
        match &self.log_id {
            Some(known) if *known != log_id => {
                screen::say(&format!(
                    "this is another log than before, {}: hearing from now on",
                    printable(&log_id)
                ));
                *self = Self { last_id: None, log_id: Some(log_id) };
                return false;
            }
            Some(_) => screen::say(&format!("feed resumed, head {head}")),
            None => screen::say(&format!("hearing log {}, head {head}", printable(&log_id))),
        }
        self.log_id = Some(log_id);
        true
    }
}

/// `2026-11-23T12:00:00.000Z  #42  revoked  default/01J…  compromised`
fn line(notice: &Value, paint: Paint) -> String {
    let data = &notice["data"];
    let kind = text(notice, "type");
    let kind = kind.strip_prefix("rescind.key.").unwrap_or(&kind);
    let kind = printable(kind.strip_suffix(".v1").unwrap_or(kind)).into_owned();
    let word = match kind.as_str() {
        "issued" => paint.green(&kind),
        "revoked" => paint.red(&kind),
        _ => paint.yellow(&kind),
    };
    let mut line = format!(
        "{}  #{}  {word}  {}",
        printable(&text(notice, "time")),
        text(data, "position"),
        printable(&text(notice, "subject"))
    );
    for name in ["reason", "scopes", "expires_at"] {
        let value = text(data, name);
        if !value.is_empty() {
            line.push_str(&format!("  {}", printable(&value)));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_in_one_log_means_nothing_in_another() {
        let mut place = Place { last_id: Some("7".into()), log_id: None };
        assert!(place.greet(&json!({"log_id": "01A", "head": 9})));
        assert_eq!(place.last_id.as_deref(), Some("7"));
        assert!(place.greet(&json!({"log_id": "01A", "head": 12})));
        assert!(!place.greet(&json!({"log_id": "01B", "head": 12})));
        assert_eq!(place.last_id, None);
        assert!(place.greet(&json!({"log_id": "01B", "head": 12})));
    }

    #[test]
    fn a_notice_is_one_line() {
        let notice = json!({
            "type": "rescind.key.revoked.v1", "time": "2026-11-23T12:00:00.000Z", "subject": "default/01J",
            "data": {"position": 42, "previous": 41, "reason": "compromised"}
        });
        assert_eq!(
            line(&notice, Paint::plain()),
            "2026-11-23T12:00:00.000Z  #42  revoked  default/01J  compromised"
        );
    }
}
