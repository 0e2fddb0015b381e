//! `RecallKeys`: one event that revokes every key that matches at its position, and none issued later.

use crate::attributes::Personal;
use crate::event::KeysRecalled;
use crate::ids::TenantId;
use crate::reason::RevokeReason;
use crate::refusal::Refusal;
use crate::selector::Selector;
use crate::tenant::Tenant;

/// Recalls keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecallKeys {
    /// Where the keys belong.
    pub tenant: TenantId,
    /// Which keys.
    pub selector: Selector,
    /// Why.
    pub reason: RevokeReason,
    /// In somebody's words.
    pub note: Option<Personal>,
}

/// What a recall would do, as the key index counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// How many keys that have not ended match.
    pub matching: u64,
    /// Whether an operator with `tenants:admin` that never expires would be left.
    pub leaves_an_operator: bool,
}

impl RecallKeys {
    /// Decides on the tenant as it is and what the selector reaches.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::NothingMatches`], [`Refusal::LastOperator`].
    pub fn decide(&self, tenant: &Tenant, reach: Reach) -> Result<KeysRecalled, Refusal> {
        tenant.open()?;
        if reach.matching == 0 {
            return Err(Refusal::NothingMatches);
        }
        if !reach.leaves_an_operator {
            return Err(Refusal::LastOperator);
        }
        Ok(KeysRecalled { selector: self.selector.clone(), reason: self.reason, note: self.note.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{acme, given_tenant, owner, tenant_closed, tenant_opened, text};

    const SOME: Reach = Reach { matching: 3, leaves_an_operator: true };

    fn recall() -> RecallKeys {
        RecallKeys {
            tenant: acme(),
            selector: Selector { owner: Some(owner(5, "departed@example.com")), ..Selector::default() },
            reason: RevokeReason::OwnerLeft,
            note: Some(text("left in spring")),
        }
    }

    #[test]
    fn keys_are_recalled_by_one_event() {
        let RecallKeys { selector, reason, note, .. } = recall();
        given_tenant([tenant_opened()]).when(|tenant| recall().decide(tenant, SOME)).then(KeysRecalled {
            selector,
            reason,
            note,
        });
    }

    #[test]
    fn a_recall_that_matches_nothing_is_refused() {
        given_tenant([tenant_opened()])
            .when(|tenant| recall().decide(tenant, Reach { matching: 0, ..SOME }))
            .refuses(Refusal::NothingMatches);
    }

    #[test]
    fn the_last_operator_stays() {
        given_tenant([tenant_opened()])
            .when(|tenant| recall().decide(tenant, Reach { leaves_an_operator: false, ..SOME }))
            .refuses(Refusal::LastOperator);
    }

    #[test]
    fn a_closed_tenant_recalls_nothing() {
        given_tenant([tenant_opened(), tenant_closed()])
            .when(|tenant| recall().decide(tenant, SOME))
            .refuses(Refusal::TenantClosed);
    }
}
