//! The protocol of GitHub's secret scanning partners: an array of matches, signed; the answer labels each of them.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use domain::{Actor, Cause, LeakSource};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::respond::{Report, Whose, hex, respond};
use super::{LeaksAnswer, answer, place};
use crate::http::codes;
use crate::http::command::Meta;
use crate::http::extract::{Shared, parse_json, read_json};
use crate::http::problem::Problem;
use crate::leaks::SignedError;

/// The largest signed body: a scanner sends what it found together, and thousands of matches fit.
const SIGNED_MAX: usize = 1024 * 1024;
/// The longest key id or signature that is looked at: GitHub's have 64 and 96 characters.
const HEADER_MAX: usize = 256;

const KEY_ID: HeaderName = HeaderName::from_static("github-public-key-identifier");
const SIGNATURE: HeaderName = HeaderName::from_static("github-public-key-signature");

/// The scanner whose protocol this is.
const SOURCE: &str = "github";

/// Who signed a report, as its headers say.
pub(super) struct SignedBy {
    key_id: String,
    signature: String,
}

/// One match, as the scanner sends it. Holds a secret: not `Debug`. Members that are added one day are passed over.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SignedReport<'a> {
    /// What was found.
    #[serde(borrow)]
    #[schema(value_type = String)]
    token: Cow<'a, str>,
    /// The name that the pattern was registered under.
    #[serde(borrow, rename = "type")]
    #[schema(value_type = String)]
    kind: Cow<'a, str>,
    /// Where; may be empty. It is kept in the key's history.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    url: Option<Cow<'a, str>>,
    /// What kind of place that is; not kept.
    #[serde(borrow, default, rename = "source")]
    #[schema(value_type = Option<String>)]
    _source: Option<Cow<'a, str>>,
}

/// What the scanner learns of one match.
#[derive(Serialize, ToSchema)]
pub(crate) struct LabelJson {
    /// SHA-256 of the token, in hexadecimal: a secret is not sent back.
    token_hash: String,
    /// As it was sent.
    token_type: String,
    /// `true_positive` for the whole secret of a key, whatever has become of it, else `false_positive`.
    label: &'static str,
}

impl SignedBy {
    /// None for a request that does not say to be signed.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        if !headers.contains_key(KEY_ID) && !headers.contains_key(SIGNATURE) {
            return Ok(None);
        }
        let only = |name: &HeaderName| {
            let mut sent = headers.get_all(name).iter();
            let text = match (sent.next(), sent.next()) {
                (Some(value), None) => {
                    value.to_str().ok().filter(|text| (1..=HEADER_MAX).contains(&text.len()))
                }
                _ => None,
            };
            let words =
                "a signed report has Github-Public-Key-Identifier and Github-Public-Key-Signature, each once";
            text.map(str::to_owned).ok_or_else(|| Problem::new(&codes::BAD_HEADER).detail(words))
        };
        Ok(Some(Self { key_id: only(&KEY_ID)?, signature: only(&SIGNATURE)? }))
    }
}

/// Hears a signed report.
pub(super) async fn report(
    app: &Shared,
    signed: &SignedBy,
    meta: Meta,
    request: Request,
    until: Instant,
) -> Result<Response, Problem> {
    app.signers.are_known().map_err(unheard)?;
    let _place = app.signers.admit().ok_or_else(|| Problem::new(&codes::OVERLOADED).retry())?;
    let bytes = read_json(request, SIGNED_MAX).await.map_err(|problem| match problem.code {
        code if *code == codes::BODY_TOO_LARGE => problem.detail("a signed report has at most 1 MiB"),
        _ => problem,
    })?;
    app.signers.check(&signed.key_id, &signed.signature, &bytes).await.map_err(unheard)?;
    let matches: Vec<SignedReport<'_>> = parse_json(&bytes)?;
    let source: LeakSource = SOURCE.parse().expect("the name keeps to the alphabet");
    let reports: Vec<_> = matches.iter().map(|found| found.read(&source)).collect();
    let mut request = meta.of(Actor::Scanner { source }, Cause::Leak);
    // The same body again is the same command: what it did is not done twice.
    let id = format!("leaks-{}", hex(&Sha256::digest(&bytes)));
    request.command_id = id.parse().expect("a word and digits are printable ASCII");
    let became = respond(app, &request, &reports, &Whose::Everyone, until).await?;
    let labels = matches.iter().zip(&became).map(|(found, became)| found.label(became.label())).collect();
    Ok(answer(LeaksAnswer::Signed(labels), &became))
}

impl SignedReport<'_> {
    fn read(&self, source: &LeakSource) -> Report<'_> {
        let url = self.url.as_deref().and_then(|url| place::lenient(url, &self.token));
        Report { token: &self.token, source: source.clone(), url, tenant: None }
    }

    fn label(&self, label: &'static str) -> LabelJson {
        let token_hash = hex(&Sha256::digest(self.token.as_bytes()));
        LabelJson { token_hash, token_type: self.kind.clone().into_owned(), label }
    }
}

fn unheard(error: SignedError) -> Problem {
    match error {
        SignedError::Off => Problem::new(&codes::SIGNED_REPORTS_OFF),
        SignedError::UnknownKey => Problem::new(&codes::SIGNER_UNKNOWN),
        SignedError::Mismatch => Problem::new(&codes::SIGNATURE_INVALID),
        SignedError::NoKeys(reason) => Problem::new(&codes::SIGNER_KEYS_UNAVAILABLE).detail(reason).retry(),
    }
}
