//! One line of an import as a typed request, or the problem with it.

use application::ImportRequest;
use domain::{KeyId, SecretDigest, TenantId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::codes;
use crate::http::extract::{invalid, parse_json};
use crate::http::keys::IssueKeyBody;
use crate::http::problem::Problem;

/// The only algorithm: what other systems store, and what every token can be looked up by.
const SHA256: &str = "sha256";

/// A key of another system. No member holds a secret: a token itself is never sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportLine {
    /// SHA-256 of the whole token.
    digest: DigestJson,
    /// Whom it belongs to: a person, a machine.
    owner: String,
    /// What people call it.
    name: Option<String>,
    /// What it may do, such as `campaigns:send`; a trailing `*` segment stands for the rest. None: nothing but to be valid.
    #[serde(default)]
    scopes: Vec<String>,
    /// Names and values, such as `service` and `mailer`.
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
    /// `live` or `test`; live unless said otherwise.
    environment: Option<String>,
    /// Addresses and blocks that it may be used from; none means anywhere.
    #[serde(default)]
    networks: Vec<String>,
    /// When its time is up, RFC 3339; none means never.
    expires_at: Option<String>,
}

/// A digest, bare or with its algorithm.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum DigestJson {
    /// 64 characters of hex, or base64.
    Text(String),
    /// The same with the algorithm named.
    Named(NamedDigest),
}

/// A digest and how it was made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedDigest {
    /// `sha256`.
    algorithm: String,
    /// 64 characters of hex, or base64.
    value: String,
}

/// Reads a line; none if it is blank.
pub(super) fn read(line: &[u8], tenant: &TenantId, issuer: KeyId) -> Result<Option<ImportRequest>, Problem> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    // The slower way, which knows the place of what does not fit, only for what does not.
    let parsed: ImportLine = match serde_json::from_slice(line) {
        Ok(parsed) => parsed,
        Err(_) => parse_json(line)?,
    };
    let digest = parsed.digest.read()?;
    let body = IssueKeyBody {
        owner: parsed.owner,
        name: parsed.name,
        scopes: parsed.scopes,
        labels: parsed.labels,
        environment: parsed.environment,
        networks: parsed.networks,
        expires_at: parsed.expires_at,
    };
    let grant = body.grant()?;
    Ok(Some(ImportRequest { tenant: tenant.clone(), digest, grant, issuer: Some(issuer) }))
}

impl DigestJson {
    fn read(&self) -> Result<SecretDigest, Problem> {
        let text = match self {
            Self::Text(text) => text,
            Self::Named(named) if named.algorithm.eq_ignore_ascii_case(SHA256) => &named.value,
            Self::Named(_) => {
                return Err(Problem::new(&codes::UNKNOWN_ALGORITHM).detail("digest.algorithm: it is sha256"));
            }
        };
        SecretDigest::parse_token_digest(text).map_err(|error| invalid("digest", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read_line(line: &str) -> Result<Option<ImportRequest>, Problem> {
        read(line.as_bytes(), &"acme".parse().unwrap(), KeyId::from_u128(1))
    }

    #[track_caller]
    fn refuses(line: &str, code: &str, words: &str) {
        let problem = read_line(line).unwrap_err();
        assert_eq!(problem.code.code, code, "{line}: {}", problem.said());
        assert!(problem.said().contains(words), "{line}: {}", problem.said());
        assert!(!problem.said().contains(HEX), "{}", problem.said());
    }

    #[test]
    fn a_line_is_a_key_with_all_it_can_have() {
        let bare = read_line(&format!(r#"{{"digest":"{HEX}","owner":"mailer"}}"#)).unwrap().unwrap();
        let named = read_line(
            r#" {"digest":{"algorithm":"SHA256","value":"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="},
            "owner":"mailer","name":"spring","scopes":["campaigns:send"],"labels":{"service":"mailer"},
            "environment":"test","networks":["192.0.2.0/24"],"expires_at":"2031-01-01T00:00:00Z"} "#,
        );
        let named = named.unwrap().unwrap();
        assert_eq!(bare.digest, SecretDigest::of_token("abc"));
        assert_eq!((bare.digest, named.grant.environment.as_str()), (named.digest, "test"));
        for blank in ["", "  \t", "\r"] {
            assert!(read_line(blank).unwrap().is_none());
        }
    }

    #[test]
    fn what_is_wrong_with_a_line_is_named_without_its_values() {
        let with = |more: &str| format!(r#"{{"digest":"{HEX}","owner":"mailer"{more}}}"#);
        refuses("{", "malformed_json", "line 1");
        refuses("digest,owner", "malformed_json", "line 1");
        refuses(&format!("{} {}", with(""), with("")), "malformed_json", "");
        refuses(r#"["a"]"#, "invalid_value", "");
        refuses(&with(r#","colour":"red""#), "invalid_value", "no field colour");
        refuses(r#"{"owner":"mailer"}"#, "invalid_value", "digest is missing");
        refuses(&format!(r#"{{"digest":"{HEX}"}}"#), "invalid_value", "owner is missing");
        refuses(r#"{"digest":"abc","owner":"mailer"}"#, "invalid_value", "digest: it is 3 characters long");
        refuses(r#"{"digest":7,"owner":"mailer"}"#, "invalid_value", "digest");
        let md5 = format!(r#"{{"digest":{{"algorithm":"md5","value":"{HEX}"}},"owner":"mailer"}}"#);
        refuses(&md5, "unknown_algorithm", "sha256");
        refuses(&with(r#","scopes":["a b"]"#), "invalid_value", "scopes");
        refuses(&with(r#","networks":["192.0.2.7/24"]"#), "invalid_value", "networks");
        refuses(&with(r#","labels":{"a b":"c"}"#), "invalid_value", "labels");
        refuses(&with(r#","environment":"prod""#), "invalid_value", "environment");
        refuses(&with(r#","expires_at":"tomorrow""#), "invalid_value", "expires_at");
    }
}
