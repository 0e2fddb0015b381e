//! One verdict from the server itself, for a route that says so when the guard may not answer.

use std::time::Duration;

use domain::Position;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use verify::{AsOf, Verdict};
use wire::parse_rfc3339;

use crate::client::CallError;
use crate::core::{Decision, Holder};
use crate::link::Link;
use crate::requirement::Requirement;

/// Verdicts that are asked for at a time. Past the lease there are as many as requests; the rest are refused at once.
pub(crate) const AT_ONCE: usize = 64;

/// The caller's deadline is shorter.
const WITHIN: Duration = Duration::from_secs(10);

/// Holds a secret: not `Debug`.
#[derive(Serialize)]
struct Ask<'a> {
    key: &'a str,
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Told {
    verdict: String,
    pub(crate) key_id: Option<String>,
    pub(crate) owner: Option<serde_json::Value>,
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    pub(crate) environment: Option<String>,
    pub(crate) expires_at: Option<String>,
    since: Option<String>,
    as_of: ToldAsOf,
}

#[derive(Deserialize)]
struct ToldAsOf {
    position: u64,
    lag_ms: Option<u64>,
}

impl Link {
    /// None if the server did not say anything that can be read, in time: then the caller refuses.
    pub(crate) async fn ask_server(
        &self,
        token: &str,
        requirement: &Requirement,
        deadline: Instant,
    ) -> Option<Decision> {
        let _place = self.asking.try_acquire().ok()?;
        let ask = Ask {
            key: token,
            tenant: self.core.tenant().as_str(),
            scope: requirement.scope().map(domain::Scope::as_str),
            network: requirement.network().map(|network| network.to_string()),
        };
        // Not older than what was heard here: the guard may have refused the key on that ground already.
        let path = format!("/v1/verify?min_position={}", self.core.heard());
        let told: Result<Told, CallError> =
            timeout_at(deadline, self.client.post(&path, &ask, WITHIN)).await.ok()?;
        told.ok()?.into_decision()
    }
}

impl Told {
    fn into_decision(self) -> Option<Decision> {
        let verdict = Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == self.verdict)?;
        let since = self.since.as_deref().map(parse_rfc3339).transpose().ok()?;
        let lag = self.as_of.lag_ms.map_or(Duration::MAX, Duration::from_millis);
        let as_of = AsOf { position: Position::new(self.as_of.position), lag };
        let holder = Holder::told(&self);
        if verdict == Verdict::Valid && holder.is_none() {
            return None;
        }
        Some(Decision { verdict, holder, since, as_of })
    }
}
