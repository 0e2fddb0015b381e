//! `rescind key show`: one key, and what happened to it.

use clap::Args;
use serde_json::{Value, json};

use super::PAGE;
use crate::client::{Call, Client};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::KeyFlags;
use crate::output::{fields, history_table, items, standing, text};
use crate::screen::{self, Paint};
use crate::{clock, when};

/// Show one key; never its secret, which nobody has but its holder
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rescind key show 01JDA7W5W6M4Q0T3S8V2N9X1YZ --history\n  rescind key show 01JDA7W5W6M4Q0T3S8V2N9X1YZ --at 7d"
)]
pub(crate) struct Show {
    /// Which key
    key_id: String,
    /// As it was: at a position, a time, or so long ago: 812, 2026-11-23T12:00:00Z, 7d
    #[arg(long, value_name = "POSITION|TIME")]
    at: Option<String>,
    /// What happened to it, event by event
    #[arg(long)]
    history: bool,
    #[command(flatten)]
    flags: KeyFlags,
}

/// Label and member, in the order in which people ask.
const SHOWN: [(&str, &str); 24] = [
    ("key id", "key_id"),
    ("tenant", "tenant"),
    ("name", "name"),
    ("owner", "owner"),
    ("environment", "environment"),
    ("scopes", "scopes"),
    ("labels", "labels"),
    ("networks", "networks"),
    ("issued", "issued_at"),
    ("issued by", "issued_by"),
    ("imported", "imported"),
    ("replaces", "predecessor"),
    ("rotation", "rotation"),
    ("expires", "expires_at"),
    ("last used", "last_used_at"),
    ("until", "suspended_until"),
    ("leaked", "leaked"),
    ("ended", "ended_at"),
    ("recall", "recalled_by"),
    ("reason", "reason"),
    ("note", "note"),
    ("revision", "revision"),
    ("position", "position"),
    ("as of", "as_of"),
];

impl Show {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = self.flags.key_path(&self.key_id)?;
        let at = when::moment("--at", self.at.as_deref(), clock::wall())?;
        let key = client.send(&client.fresh(Call::get(&path).with_some("at", at)))?.body;
        let until = key["as_of"]["position"].as_u64().unwrap_or(u64::MAX);
        let history = if self.history { Some(read_history(&client, &path, until)?) } else { None };
        if self.flags.server.output.json {
            let shown = match history {
                Some(events) => json!({"key": key, "events": events}),
                None => key,
            };
            screen::data(&shown.to_string())?;
            return Ok(Exit::Ok);
        }
        let paint = Paint::stdout();
        screen::data(&format!("standing: {}", standing(paint, &text(&key, "standing"))))?;
        fields(&in_words(key), &SHOWN).iter().try_for_each(|line| screen::data(line))?;
        if let Some(events) = history {
            screen::data("")?;
            history_table(&events, paint).iter().try_for_each(|line| screen::data(line))?;
        }
        Ok(Exit::Ok)
    }
}

/// The key with its nested facts as a line each; what says nothing is left out.
fn in_words(mut key: Value) -> Value {
    if key["imported"] == false {
        key["imported"] = Value::Null;
    }
    let last_used = match (key["last_used_at"].as_str(), key["last_used_complete"].as_bool()) {
        (Some(at), Some(true)) => json!(at),
        (Some(at), _) => json!(format!("{at}, or later: not every server has reported")),
        (None, Some(true)) => json!("never"),
        (None, Some(false)) => json!("not known: not every server has reported"),
        (None, None) => Value::Null,
    };
    key["last_used_at"] = last_used;
    if key["as_of"].is_object() {
        let part = |name| text(&key["as_of"], name);
        key["as_of"] = json!(format!("position {}, {}", part("position"), part("time")));
    }
    if key["rotation"].is_object() {
        let part = |name| text(&key["rotation"], name);
        key["rotation"] =
            json!(format!("{} since {}, to {}", part("state"), part("started_at"), part("successor")));
    }
    if key["leaked"].is_object() {
        let part = |name| text(&key["leaked"], name);
        key["leaked"] = json!(format!("{} by {} {}", part("reported_at"), part("source"), part("url")));
    }
    key
}

/// All pages of what happened to a key up to a position.
fn read_history(client: &Client, path: &str, until: u64) -> Result<Vec<Value>, Failure> {
    let mut events = Vec::new();
    let call = client.fresh(Call::get(format!("{path}/events")).with("limit", PAGE));
    let mut after = None;
    loop {
        let body = client.send(&call.clone().with_some("after", after))?.body;
        let told = items(&body, "events").iter();
        events.extend(told.filter(|event| event["position"].as_u64() <= Some(until)).cloned());
        match body["next"].as_u64() {
            // A page that leads nowhere would be asked for for ever.
            Some(next) if Some(next) > after => after = Some(next),
            _ => return Ok(events),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_facts_are_a_line_each() {
        let key = in_words(json!({
            "imported": false, "leaked": null,
            "rotation": {"state": "running", "started_at": "2026-11-23T12:00:00Z", "successor": "01K", "forced": false},
        }));
        assert_eq!((text(&key, "imported"), text(&key, "leaked")), (String::new(), String::new()));
        assert_eq!(text(&key, "rotation"), "running since 2026-11-23T12:00:00Z, to 01K");
    }

    #[test]
    fn never_used_is_said_only_where_it_is_known() {
        for (at, complete, said) in [
            (Value::Null, json!(true), "never"),
            (Value::Null, json!(false), "not known: not every server has reported"),
            (json!("T"), json!(true), "T"),
            (json!("T"), json!(false), "T, or later: not every server has reported"),
        ] {
            let key = in_words(json!({"last_used_at": at, "last_used_complete": complete}));
            assert_eq!(text(&key, "last_used_at"), said);
        }
    }
}
