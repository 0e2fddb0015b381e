//! Sends reports of leaked keys, as many in one request as the API takes, and says what became of each.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::client::{Call, Client};
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::text;
use crate::screen::{Paint, printable};

/// The most reports of one request.
const REPORTS_MAX: usize = 100;
/// Below the 64 KiB that a body may have, with room for what is around the reports.
const BYTES_MAX: usize = 60 * 1024;

/// One key that was found. Holds a secret: not `Debug`.
pub(crate) struct Leak {
    /// As it was found.
    pub(crate) token: Zeroizing<String>,
    /// Where.
    pub(crate) url: Option<String>,
}

/// Reports them; what became of each is at its place. After a failure the earlier ones stand, and the same again does the rest.
pub(crate) fn report(
    client: &Client,
    source: &str,
    tenant: Option<&str>,
    leaks: &[Leak],
) -> Result<Vec<Value>, Failure> {
    let reports: Vec<Value> = leaks.iter().map(|leak| to_json(leak, source, tenant)).collect();
    let mut results = Vec::with_capacity(reports.len());
    for some in requests(reports) {
        let count = some.len();
        let call = Call::command("/v1/leaks", json!({"reports": some}), &clock::draw_command_id());
        let answer = client.send(&call).map_err(again)?;
        match answer.body["results"].as_array().filter(|results| results.len() == count) {
            Some(some) => results.extend(some.iter().cloned()),
            None => {
                return Err(Failure::new(
                    Exit::Error,
                    "unexpected_answer",
                    "the server did not say what became of the keys",
                ));
            }
        }
    }
    Ok(results)
}

/// Reporting is safe to repeat as it is, so no command id has to be kept for it.
fn again(failure: Failure) -> Failure {
    if failure.exit != Exit::OutcomeUnknown {
        return failure;
    }
    Failure { remedies: vec!["report it again: what was done is not done twice".to_owned()], ..failure }
}

fn to_json(leak: &Leak, source: &str, tenant: Option<&str>) -> Value {
    let mut report = json!({"token": &*leak.token, "source": source});
    if let Some(url) = &leak.url {
        report["url"] = json!(url);
    }
    if let Some(tenant) = tenant {
        report["tenant"] = json!(tenant);
    }
    report
}

/// In groups that fit into a request.
fn requests(reports: Vec<Value>) -> Vec<Vec<Value>> {
    let mut groups: Vec<Vec<Value>> = Vec::new();
    let mut bytes = 0;
    for report in reports {
        let length = report.to_string().len() + 1;
        match groups.last_mut() {
            Some(group) if group.len() < REPORTS_MAX && bytes + length <= BYTES_MAX => {
                group.push(report);
                bytes += length;
            }
            _ => {
                groups.push(vec![report]);
                bytes = length;
            }
        }
    }
    groups
}

/// `revoked key 01JD… of tenant default at position 7`
pub(crate) fn line(result: &Value) -> String {
    let paint = Paint::stdout();
    let (key_id, tenant) = (printable(&text(result, "key_id")).into_owned(), text(result, "tenant"));
    let key = format!("key {key_id} of tenant {}", printable(&tenant));
    let at = match text(result, "position") {
        position if position.is_empty() => String::new(),
        position => format!(" at position {}", printable(&position)),
    };
    match text(result, "response").as_str() {
        "revoked" => format!("{} {key}{at}", paint.red("revoked")),
        "suspended" => format!("{} {key}{at}", paint.yellow("suspended")),
        "already_ended" => format!("{key} had ended already"),
        "refused" => {
            format!("{} {key} still works: {}", paint.red("refused"), printable(&text(result, "code")))
        }
        _ if key_id.is_empty() => "unknown: no key of this service, or not its secret".to_owned(),
        _ => format!("unknown: key {key_id} is none of this service, or that is not its secret"),
    }
}

/// The worst of what became of them: refused before unknown.
pub(crate) fn exit(results: &[Value]) -> Exit {
    let any = |response: &str| results.iter().any(|result| result["response"] == response);
    if any("refused") {
        Exit::Refused
    } else if any("unknown") {
        Exit::NotFound
    } else {
        Exit::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_go_out_in_requests_that_the_server_takes() {
        let of = |count: usize, length: usize| {
            let report = json!({"url": "x".repeat(length)});
            requests(vec![report; count]).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(of(0, 1), Vec::<usize>::new());
        assert_eq!(of(250, 100), [100, 100, 50]);
        assert_eq!(of(50, 4000), [15, 15, 15, 5]);
        assert_eq!(of(2, 100_000), [1, 1]);
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let of = |responses: &[&str]| {
            exit(&responses.iter().map(|response| json!({"response": response})).collect::<Vec<_>>())
        };
        assert_eq!(of(&["revoked", "suspended", "already_ended"]), Exit::Ok);
        assert_eq!(of(&["revoked", "unknown"]), Exit::NotFound);
        assert_eq!(of(&["refused", "unknown"]), Exit::Refused);
    }
}
