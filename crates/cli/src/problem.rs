//! What the server or the way to it refused, in the CLI's words: what, why, what to do, and the exit code.

use std::io;

use serde_json::Value;

use crate::client::Answer;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::target::Url;

/// The code of a request that did not reach a server.
pub(crate) const NO_SERVER: &str = "no_server";

/// In rustls' words: the first bytes that came are of no TLS message.
const NO_TLS: &str = "InvalidContentType";

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    /// Nobody listens there. The request did not leave.
    Refused,
    /// The name does not resolve, or the host cannot be reached. The request did not leave.
    Unreachable,
    /// The certificate is not trusted, or TLS failed. The request did not leave.
    Untrusted,
    /// What listens there does not speak TLS. The request did not leave.
    PlainText,
    /// No connection in time. The request did not leave.
    ConnectTimeout,
    /// The request may have arrived; its answer did not.
    Lost,
    /// The request could not be written at all.
    NotWritten,
}

impl Away {
    pub(crate) fn of(error: &ureq::Error) -> Self {
        if error.to_string().contains(NO_TLS) {
            return Self::PlainText;
        }
        match error {
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => Self::Refused,
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Self::Unreachable,
                io::ErrorKind::InvalidData => Self::Untrusted,
                _ => Self::Lost,
            },
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => Self::ConnectTimeout,
            ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::ConnectProxyFailed(_) => Self::Unreachable,
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) | ureq::Error::TlsRequired => {
                Self::Untrusted
            }
            ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl => Self::NotWritten,
            _ => Self::Lost,
        }
    }

    /// Whether the server may have acted on it.
    pub(crate) const fn may_have_arrived(self) -> bool {
        matches!(self, Self::Lost)
    }

    /// Whether the next attempt could fare better: a server that is not there will not be there in a moment.
    pub(crate) const fn is_worth_another_try(self) -> bool {
        matches!(self, Self::Lost | Self::ConnectTimeout)
    }
}

/// The failure of a request that got no answer.
pub(crate) fn away(away: Away, error: &ureq::Error, url: &Url) -> Failure {
    let at = &url.text;
    let (exit, code, what) = match away {
        Away::Refused => (Exit::Unavailable, NO_SERVER, format!("no server listens at {at}")),
        Away::Unreachable => (Exit::Unavailable, NO_SERVER, format!("{at} cannot be reached")),
        Away::ConnectTimeout => {
            (Exit::Unavailable, NO_SERVER, format!("{at} does not take the connection in time"))
        }
        Away::Untrusted => (Exit::Error, "tls", format!("the connection to {at} is not to be trusted")),
        Away::PlainText => (Exit::Error, "tls", format!("what listens at {at} does not speak TLS")),
        Away::Lost => (Exit::Unavailable, "answer_lost", format!("the answer of {at} was lost")),
        Away::NotWritten => (Exit::Usage, "usage", "the request cannot be written".to_owned()),
    };
    let failure =
        Failure::new(exit, code, what).because(format!("{error} (the address comes from {})", url.origin));
    match away {
        Away::Refused | Away::Unreachable | Away::ConnectTimeout => failure
            .remedy("start a server with `rescind serve`, or name another with --url or RESCIND_URL")
            .remedy("`rescind doctor` shows what it looks for and where"),
        Away::Untrusted => failure.remedy("a certificate of your own making is trusted with --ca FILE"),
        Away::PlainText => failure.remedy(
            "a server that was started without --tls-cert is reached with http:// instead of https://",
        ),
        Away::Lost => failure.remedy("try again; `rescind doctor` tells how the server is"),
        Away::NotWritten => failure,
    }
}

/// Once an attempt may have arrived, no later answer but a 2xx or a settled refusal says that nothing happened.
pub(crate) fn after_doubt(mut failure: Failure, in_doubt: bool, command_id: Option<&str>) -> Failure {
    let Some(id) = command_id else { return failure };
    if in_doubt && failure.exit == Exit::Unavailable {
        failure.exit = Exit::OutcomeUnknown;
        failure.what = format!("{}; it is not known whether the change was made", failure.what);
    }
    if failure.exit == Exit::OutcomeUnknown {
        failure.remedies = vec![format!(
            "repeat the command with --command-id {id}: it settles what happened and acts once at most"
        )];
    }
    failure
}

/// The failure that a problem document (RFC 9457), or a bare status, stands for.
pub(crate) fn failure(answer: &Answer, url: &Url, key_origin: &str, command_id: Option<&str>) -> Failure {
    let member = |name: &str| answer.body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let exit = exit_of(answer.status);
    let Some(code) = member("code") else {
        return Failure::new(
            exit,
            "unexpected_answer",
            format!("{} answered with status {}", url.text, answer.status),
        )
        .because("the body is not a problem document, so this may not be a Rescind server")
        .remedy(format!("check the address; it comes from {}", url.origin));
    };
    let mut failure = Failure::new(exit, code, member("title").unwrap_or(code));
    failure.why = member("detail").map(str::to_owned);
    if let Some(remedy) = member("remedy") {
        failure.remedies.push(remedy.to_owned());
    }
    if let Some(key_id) = member("key_id").filter(|_| exit == Exit::OutcomeUnknown) {
        failure.why = Some(format!("{} (it is about key {key_id})", failure.why.unwrap_or_default()));
    }
    match answer.status {
        401 => failure.remedy(format!("the operator key came from {key_origin}; `rescind doctor` checks it")),
        403 => {
            failure.remedy(format!("use an operator key with that scope; this one came from {key_origin}"))
        }
        404 if code == "not_found" => {
            failure.remedy("`rescind tenant list` and `rescind key list --tenant TENANT` show what there is")
        }
        _ => after_doubt(failure, false, command_id),
    }
}

const fn exit_of(status: u16) -> Exit {
    match status {
        400 | 413 | 414 | 415 | 422 => Exit::Usage,
        401 | 403 => Exit::Auth,
        404 => Exit::NotFound,
        409 | 412 => Exit::Refused,
        408 | 429 | 502 | 503 => Exit::Unavailable,
        504 => Exit::OutcomeUnknown,
        _ => Exit::Error,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn url() -> Url {
        Url { text: "http://127.0.0.1:1".to_owned(), origin: "--url" }
    }

    fn failed(status: u16, body: Value) -> Failure {
        failure(&Answer { status, body, took: Duration::ZERO }, &url(), "RESCIND_KEY", Some("01J"))
    }

    #[test]
    fn every_status_has_its_exit_code() {
        for (status, exit) in [
            (400, 2),
            (401, 4),
            (403, 4),
            (404, 3),
            (409, 5),
            (412, 5),
            (413, 2),
            (422, 2),
            (429, 7),
            (500, 1),
            (503, 7),
            (504, 8),
        ] {
            let failure = failed(status, json!({"code": "some_code", "title": "t", "detail": "d"}));
            assert_eq!(failure.exit.number(), exit, "{status}");
            assert_eq!(failure.code, "some_code");
        }
    }

    #[test]
    fn a_page_from_something_else_is_told_as_such() {
        let failure = failed(404, Value::Null);
        assert_eq!(failure.code, "unexpected_answer");
        assert!(failure.remedies[0].contains("--url"));
    }

    #[test]
    fn an_unknown_outcome_names_the_id_to_ask_again_with() {
        let failure = failed(504, json!({"code": "outcome_unknown", "title": "t", "key_id": "01K"}));
        assert!(failure.remedies[0].contains("--command-id 01J"));
        let why = failure.why.unwrap();
        assert!(
            why.contains("about key 01K") && !why.contains("may exist"),
            "a revocation makes no key: {why}"
        );
    }

    #[test]
    fn a_lost_answer_leaves_doubt_that_a_503_does_not_clear() {
        let away_now = failed(503, json!({"code": "unavailable", "title": "busy"}));
        assert_eq!(away_now.exit, Exit::Unavailable);
        let doubted = after_doubt(away_now, true, Some("01J"));
        assert_eq!(doubted.exit, Exit::OutcomeUnknown);
        assert!(doubted.remedies[0].contains("01J"));
        let refused = failed(409, json!({"code": "already_revoked", "title": "t"}));
        assert_eq!(after_doubt(refused, true, Some("01J")).exit, Exit::Refused);
    }

    #[test]
    fn a_server_without_tls_is_told_apart_from_one_that_is_not_trusted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        let plain = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut hello = [0; 64];
            socket.read_exact(&mut hello).unwrap();
            socket.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        let error = ureq::get(&address).call().unwrap_err();
        plain.join().unwrap();
        let failure = away(Away::of(&error), &error, &url());
        assert!(
            failure.what.contains("does not speak TLS") && failure.remedies[0].contains("http://"),
            "{failure:?}"
        );
        assert!(!Away::of(&error).may_have_arrived());
    }

    #[test]
    fn a_read_is_never_in_doubt() {
        let lost = away(Away::Lost, &ureq::Error::ConnectionFailed, &url());
        assert_eq!(after_doubt(lost, true, None).exit, Exit::Unavailable);
    }
}
