//! `rescind policy try`: which keys a policy would have touched, when, and how much live traffic each carried.

use clap::Args;
use serde_json::{Value, json};

use super::body::{PolicyFlags, as_shown};
use super::{find, path};
use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::{items, text};
use crate::screen::{self, Paint};
use crate::table::Table;

/// Keys asked for at once.
const PAGE: u16 = 200;
/// Pages that are read before it gives up: 200 million keys, so only a server that repeats itself gets there.
const MAX_PAGES: u32 = 1_000_000;

/// Try a policy on history and usage: what it would have done, and who used those keys afterwards; changes nothing
#[derive(Args, Debug)]
#[command(after_help = "\
Without rules, the policy of that name is tried as it stands. Usage is kept by the hour for a week and by the day for 90 days;
where reports are missing nothing is concluded, and it says so.

Examples:
  rescind policy try idle --suspend-idle-after 30d --revoke-idle-after 90d --environment live
  rescind policy try house --tenant acme --json")]
pub(crate) struct Try {
    /// The name of a policy that stands, or any name for one that is tried first
    name: String,
    #[command(flatten)]
    policy: PolicyFlags,
    /// The tenant of the keys
    #[arg(long, default_value = "default")]
    tenant: String,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Try {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let body = match self.policy.is_empty() {
            true => as_shown(&find(&client, &self.tenant, &self.name)?),
            false => self.policy.body(),
        };
        let call = client.fresh(Call::ask(format!("{}/try", path(&self.tenant)?), body).with("limit", PAGE));
        let (mut keys, mut examined, mut known_until, mut cursor) = (Vec::new(), 0, Value::Null, None);
        for _ in 0..MAX_PAGES {
            let body = client.send(&call.clone().with_some("cursor", cursor.take()))?.body;
            keys.extend_from_slice(items(&body, "keys"));
            examined += body["examined"].as_u64().unwrap_or(0);
            known_until = body["known_until"].clone();
            cursor = body["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        let tried = json!({"keys": keys, "examined": examined, "known_until": known_until});
        self.flags.output.show(&tried, lines)?;
        if !self.flags.output.json {
            screen::say(&sum(&tried));
        }
        Ok(Exit::Ok)
    }
}

fn lines(tried: &Value) -> Vec<String> {
    let keys = items(tried, "keys");
    if keys.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&[
        "KEY ID",
        "NAME",
        "OWNER",
        "WOULD",
        "RULE",
        "WHEN",
        "REQUESTS AFTER",
        "USED AGAIN",
        "REQUESTS 90d",
    ]);
    for key in keys {
        for touch in items(key, "touches") {
            let or_more = if key["complete"] == true { "" } else { " or more" };
            let requests = format!("{}{or_more}", text(key, "requests"));
            let after = match text(touch, "requests_after") {
                count if count.is_empty() => count,
                count => format!("{count}{or_more}"),
            };
            let cells = [
                text(key, "key_id"),
                text(key, "name"),
                text(key, "owner"),
                text(touch, "action"),
                text(touch, "rule"),
                when(touch),
                after,
                text(touch, "used_again_at"),
                requests,
            ];
            table.row(cells.iter().map(String::as_str));
        }
    }
    table.lines(Paint::stdout())
}

/// When it would have been done, or whose reports are missing to tell.
fn when(touch: &Value) -> String {
    let at = text(touch, "at");
    if !at.is_empty() {
        return at;
    }
    let mut whom: Vec<String> = items(touch, "unknown")
        .iter()
        .map(|span| text(span, "server"))
        .filter(|server| !server.is_empty())
        .collect();
    whom.dedup();
    if whom.is_empty() { "unknown: no record".to_owned() } else { format!("unknown: {}", whom.join(", ")) }
}

fn sum(tried: &Value) -> String {
    let keys = items(tried, "keys");
    let count = |test: &dyn Fn(&Value) -> bool| {
        keys.iter().filter(|key| items(key, "touches").iter().any(test)).count()
    };
    let used_again = count(&|touch| touch["requests_after"].as_u64().unwrap_or(0) > 0);
    let unknown = count(&|touch| touch["at"].is_null());
    format!(
        "{} of {} keys would have been touched; {used_again} of them were used afterwards; of {unknown} it is not known. Nothing was changed.",
        keys.len(),
        text(tried, "examined")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_used_a_key_afterwards_and_what_is_unknown_are_told() {
        let touch = json!({"action": "suspend", "rule": "suspend_idle_after", "at": "2026-10-01T00:00:00.000Z",
            "requests_after": 4, "used_again_at": "2026-11-01T00:00:00.000Z", "unknown": []});
        let doubt = json!({"action": "revoke", "rule": "revoke_idle_after", "at": null, "requests_after": null,
            "used_again_at": null, "unknown": [{"server": "mail-2"}, {"server": "mail-2"}]});
        let key = |id: &str, touch: Value, complete: bool| json!({"key_id": id, "name": "mailer", "owner": "team", "requests": 9, "complete": complete, "touches": [touch]});
        let tried = json!({"keys": [key("01A", touch, true), key("01B", doubt, false)], "examined": 7});
        let shown = lines(&tried);
        assert!(
            shown[1].contains("suspend") && shown[1].contains("2026-11-01") && shown[1].ends_with('9'),
            "{shown:?}"
        );
        assert!(shown[2].contains("unknown: mail-2") && shown[2].ends_with("9 or more"), "{shown:?}");
        assert!(
            sum(&tried)
                .starts_with("2 of 7 keys would have been touched; 1 of them were used afterwards; of 1")
        );
    }
}
