//! Notices of expiry: for each key the shortest span that it is within, once.

use domain::{KeyId, Policy, Position, Tenant, Timestamp, WarnExpiry};
use metrics::counter;
use projection::KeyQuery;
use tracing::warn;

use super::{DEEDS, PassError, WARNED_MAX, Worker};
use crate::policy::subject::meant_by;
use crate::policy::watch::Pass;

use application::CommandError;

/// A warning that stands: key, expiry, span.
pub(super) type Warned = (KeyId, Timestamp, u64);

/// The span to warn of: of those that the key is within the shortest, since who hears "in 14 days" and "in 3 days" at once
/// hears the first in vain.
pub(super) fn due(spans: &[u64], expires_at: Timestamp, now: Timestamp) -> Option<u64> {
    let within = |ms: &&u64| now < expires_at && now.plus_millis(**ms) >= expires_at;
    spans.iter().filter(within).min().copied()
}

impl Worker {
    /// Gives notice where a policy asks for it; answers the last position that came of it.
    pub(super) async fn warn(
        &mut self,
        tenant: &Tenant,
        policy: &Policy,
        pass: &mut Pass,
    ) -> Result<Position, PassError> {
        let spans = &policy.rules.warn_before_expiry_ms;
        let Some(longest) = spans.iter().max() else { return Ok(Position::NONE) };
        let (mut last, mut cursor) = (Position::NONE, None);
        loop {
            let now = self.app.ambient.now();
            let before = Some(now.plus_millis(longest.saturating_add(1)));
            let query =
                KeyQuery { expiring_before: before, cursor, ..meant_by(&tenant.id, &policy.selector) };
            let page = self.app.keys.list(query).await?;
            for row in &page.keys {
                pass.keys += 1;
                let expires_at = row.grant.as_ref().and_then(|grant| grant.expires_at);
                let due = expires_at.and_then(|at| Some((at, due(spans, at, now)?)));
                if let Some((expires_at, before_ms)) = due {
                    last = last.max(self.give(tenant, (row.key_id, expires_at, before_ms), pass).await);
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(last);
            }
        }
    }

    async fn give(&mut self, tenant: &Tenant, warned: Warned, pass: &mut Pass) -> Position {
        if self.warned.contains(&warned) {
            return Position::NONE;
        }
        let (key_id, expires_at, before_ms) = warned;
        let command = WarnExpiry { tenant: tenant.id.clone(), key_id, expires_at, before_ms };
        let position = match self.app.application.warn_expiry(command).await {
            Ok(changed) => {
                pass.warned += u64::from(!changed.repeated);
                counter!(DEEDS, "action" => "warn").increment(u64::from(!changed.repeated));
                changed.position
            }
            // Its expiry was moved or it ended: the view will say so.
            Err(CommandError::Refused(_)) => return Position::NONE,
            Err(error) => {
                warn!(key.id = %key_id, error = %error, "notice of an expiry was not given; it is tried again");
                return Position::NONE;
            }
        };
        if self.warned.len() >= WARNED_MAX {
            self.warned.clear();
        }
        self.warned.insert(warned);
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_span_that_a_key_is_within_is_warned_of() {
        let at = Timestamp::from_millis;
        for (now, expected) in [
            (0, None),
            (899, None),
            (900, Some(100)),
            (989, Some(100)),
            (990, Some(10)),
            (999, Some(10)),
            (1000, None),
        ] {
            assert_eq!(due(&[10, 100], at(1000), at(now)), expected, "{now}");
        }
    }
}
