//! An event as a line of a spreadsheet.

use domain::StreamName;
use serde_json::Value;

use crate::csv;
use crate::output::text;

/// The names of the columns.
pub(super) const HEAD: &str = "position,occurred_at,type,tenant,key_id,revision,actor,actor_id,network,cause,\
                               command_id,event_id,trace_context,data,unreadable\r\n";

/// One event. What it says itself is JSON in one cell.
pub(super) fn line(event: &Value) -> String {
    let of = |name| text(event, name);
    let actor = &event["actor"];
    let actor_id = [text(actor, "key_id"), text(actor, "source")].concat();
    let data = if event["data"].is_null() { String::new() } else { event["data"].to_string() };
    // Of an event that cannot be read only its stream is known.
    let stream = of("stream");
    let (tenant, last) = stream.split_once('.').unwrap_or_default();
    let key_id = if last == StreamName::TENANT_TOKEN { "" } else { last };
    let or = |known: String, else_: &str| if known.is_empty() { else_.to_owned() } else { known };
    csv::line(&[
        of("position"),
        of("occurred_at"),
        of("type"),
        or(of("tenant"), tenant),
        or(of("key_id"), key_id),
        of("revision"),
        text(actor, "kind"),
        actor_id,
        text(actor, "network"),
        of("cause"),
        of("command_id"),
        of("event_id"),
        of("trace_context"),
        data,
        of("unreadable"),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_every_part_and_no_formula() {
        let event = json!({
            "actor": {"key_id": "01A", "kind": "operator", "network": "192.0.2.7"}, "cause": "command",
            "command_id": "=1+1", "data": {"reason": "requested"}, "event_id": "01E", "key_id": "01K",
            "occurred_at": "T", "position": 7, "revision": 2, "tenant": "acme", "type": "KeyRevoked",
        });
        let expected = "7,T,KeyRevoked,acme,01K,2,operator,01A,192.0.2.7,command,'=1+1,01E,,\
                        \"{\"\"reason\"\":\"\"requested\"\"}\",\r\n";
        assert_eq!(line(&event), expected);
        let unread = json!({"position": 8, "stream": "acme._tenant", "unreadable": "no envelope"});
        assert_eq!(line(&unread), "8,,,acme,,,,,,,,,,,no envelope\r\n");
        let columns = HEAD.trim_end().split(',').count();
        assert_eq!(columns, line(&unread).trim_end().split(',').count());
    }
}
