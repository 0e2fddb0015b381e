//! The key list: what is one, when it is asked for again, and what counts while its host is away.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use base64ct::{Base64, Encoding};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use serde_json::json;

use super::*;

/// GitHub's own list, report and signature.
pub(crate) const REAL_LIST: &str = include_str!("github_keys.json");
pub(crate) const REAL_KEY_ID: &str = "90a421169f0a406205f1563a953312f0be898d3c7b6c06b681aa86a874555f4a";
pub(crate) const REAL_BODY: &str = r#"[{"token":"some_token","type":"some_type","url":"some_url"}]"#;
pub(crate) const REAL_SIGNATURE: &str =
    "MEUCIQDKZokqnCjrRtw0tni+2Ltvl/uiMJ1EGumEsp1BsNr32AIgQY1YXD2nlj+XNfGK4rBfkMJ1JDOQcYXxa2sY8FNkrKc=";

/// A scanner of our own: its key list, and its signatures.
pub(crate) struct Scanner(SigningKey);

impl Scanner {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_slice(&[seed; 32]).unwrap())
    }

    pub(crate) fn list(&self, key_id: &str) -> String {
        let der = self.0.verifying_key().to_public_key_der().unwrap();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----",
            Base64::encode_string(der.as_bytes())
        );
        json!({"public_keys": [{"key_identifier": key_id, "key": pem, "is_current": true}]}).to_string()
    }

    pub(crate) fn sign(&self, body: &str) -> String {
        let signature: Signature = self.0.sign(body.as_bytes());
        Base64::encode_string(signature.to_der().as_bytes())
    }
}

/// A host of key lists, which answers `answers` one after the other, the last for ever; and how often it was asked, and how
/// often it was asked whether anything changed.
fn host(answers: Vec<String>) -> (String, Arc<[AtomicUsize; 2]>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let counts: Arc<[AtomicUsize; 2]> = Arc::default();
    let counting = Arc::clone(&counts);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if line.to_lowercase().starts_with("if-none-match: \"v1\"") {
                    counting[1].fetch_add(1, Ordering::Relaxed);
                }
                line.clear();
            }
            let asked = counting[0].fetch_add(1, Ordering::Relaxed);
            let answer = &answers[asked.min(answers.len() - 1)];
            let _ = reader.into_inner().write_all(answer.as_bytes());
        }
    });
    (url, counts)
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\netag: \"v1\"\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn fetching(answers: Vec<String>) -> (Signers, Arc<[AtomicUsize; 2]>) {
    let (url, counts) = host(answers);
    (Signers::start(Some(KeyListPlace::Url(url))).unwrap(), counts)
}

async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[track_caller]
fn is(outcome: &Result<(), SignedError>, words: &str) {
    let said = outcome.as_ref().map_or_else(ToString::to_string, |()| "fits".to_owned());
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_list_that_holds_no_key_is_none() {
    assert!(!KeyList::parse(REAL_LIST.as_bytes()).unwrap().is_empty());
    let other_curve = r#"{"public_keys":[{"key_identifier":"a","key":"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----"}]}"#;
    for bad in
        ["", "[]", "{}", r#"{"public_keys":[]}"#, r#"{"public_keys":[{"key_identifier":"a"}]}"#, other_curve]
    {
        assert!(KeyList::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn without_a_list_nothing_is_heard() {
    let signers = Signers::start(None).unwrap();
    is(&signers.are_known(), "no key list is configured");
    is(&signers.check(REAL_KEY_ID, REAL_SIGNATURE, REAL_BODY.as_bytes()).await, "no key list is configured");
}

#[tokio::test]
async fn a_file_is_read_at_the_start_and_again_for_a_key_that_is_not_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let place = KeyListPlace::File(path.clone());
    assert!(Signers::start(Some(place.clone())).is_err(), "it is not there");
    std::fs::write(&path, "lists").unwrap();
    assert!(Signers::start(Some(place.clone())).is_err(), "it is no list");
    std::fs::write(&path, REAL_LIST).unwrap();
    let signers = Signers::start(Some(place)).unwrap();
    is(&signers.check(REAL_KEY_ID, REAL_SIGNATURE, REAL_BODY.as_bytes()).await, "fits");
    is(&signers.check(REAL_KEY_ID, REAL_SIGNATURE, b"[]").await, "does not fit");
    let scanner = Scanner::new(7);
    let signature = scanner.sign("[]");
    std::fs::write(&path, scanner.list("next")).unwrap();
    is(&signers.check("next", &signature, b"[]").await, "no key of that id");
    later(REFRESH_EVERY).await;
    is(&signers.check("next", &signature, b"[]").await, "fits");
}

#[tokio::test]
async fn the_host_is_asked_when_a_report_comes_and_for_unknown_keys_once_a_minute() {
    let scanner = Scanner::new(7);
    let (signers, counts) = fetching(vec![
        answer("200 OK", &scanner.list("first")),
        answer("304 Not Modified", ""),
        answer("200 OK", &Scanner::new(8).list("second")),
    ]);
    let asked = || counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert_eq!(asked(), [0, 0], "nobody needs it yet");
    for _ in 0..3 {
        is(&signers.check("first", &scanner.sign("[]"), b"[]").await, "fits");
        is(&signers.check("second", &scanner.sign("[]"), b"[]").await, "no key of that id");
    }
    assert_eq!(asked(), [1, 0]);
    later(REFRESH_EVERY).await;
    is(&signers.check("second", &scanner.sign("[]"), b"[]").await, "no key of that id");
    is(&signers.check("first", &scanner.sign("[]"), b"[]").await, "fits");
    assert_eq!(asked(), [2, 1], "asked whether it changed, and it had not");
    later(REFRESH_EVERY).await;
    is(&signers.check("second", &Scanner::new(8).sign("[]"), b"[]").await, "fits");
    assert_eq!(asked(), [3, 2]);
}

#[tokio::test]
async fn a_host_that_fails_leaves_what_is_known() {
    let scanner = Scanner::new(7);
    let (signers, counts) = fetching(vec![
        answer("403 Forbidden", ""),
        answer("200 OK", &scanner.list("first")),
        answer("200 OK", &"x".repeat(100_000)),
    ]);
    let check = || signers.check("first", "", b"[]");
    is(&check().await, "answered 403");
    is(&check().await, "once a minute");
    later(REFRESH_EVERY).await;
    is(&signers.check("first", &scanner.sign("[]"), b"[]").await, "fits");
    later(LIST_GROWS_OLD).await;
    is(&signers.check("first", &scanner.sign("[]"), b"[]").await, "fits");
    assert_eq!(counts[0].load(Ordering::Relaxed), 3, "an old list is asked for again");
}

#[tokio::test]
async fn a_host_that_points_elsewhere_is_not_followed() {
    let (elsewhere, counts) = host(vec![answer("200 OK", &Scanner::new(7).list("first"))]);
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    let (signers, _) = fetching(vec![moved]);
    is(&signers.check("first", "", b"[]").await, "answered 302");
    assert_eq!(counts[0].load(Ordering::Relaxed), 0);
}
