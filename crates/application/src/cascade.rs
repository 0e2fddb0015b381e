//! The cascade of a recall or revocation: what the ended keys issued goes too, generation by generation.

use std::collections::HashSet;

use domain::{
    Cause, CommandId, Key, KeyId, Personal, Position, RecallKeys, Refusal, RevokeReason, Selector, Standing,
    TenantId,
};

use crate::application::{Application, administers};
use crate::outcome::{CommandError, Request};

/// Generations of a cascade: operators that issued operators. More is a loop that cannot be.
const MAX_GENERATIONS: usize = 64;

/// One recall of a cascade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cascaded {
    /// Where.
    pub tenant: TenantId,
    /// What was issued by this key.
    pub issuer: KeyId,
    /// The recall's position.
    pub position: Position,
    /// How many keys matched just before.
    pub count: usize,
}

/// Why what is taken along goes: as what it is taken along with.
pub(crate) struct Like {
    pub(crate) reason: RevokeReason,
    pub(crate) note: Option<Personal>,
}

impl Like {
    pub(crate) fn of(command: &RecallKeys) -> Self {
        Self { reason: command.reason, note: command.note.clone() }
    }
}

impl Application {
    /// Refuses what would end the last operator somewhere down the generations, before anything is appended. Only operators
    /// issue keys, so the operators' tenant alone has generations.
    ///
    /// # Errors
    /// [`Refusal::LastOperator`].
    pub(crate) fn check_cascade(&self, issuers: &HashSet<KeyId>) -> Result<(), Refusal> {
        if issuers.is_empty() {
            return Ok(());
        }
        let operators = self.index.keys_of_operators();
        let mut gone = issuers.clone();
        loop {
            let is_next = |key: &&Key| {
                !key.has_ended()
                    && !gone.contains(&key.key_id)
                    && key.issuer.is_some_and(|issuer| gone.contains(&issuer))
            };
            let next: Vec<KeyId> = operators.iter().filter(is_next).map(|key| key.key_id).collect();
            if next.is_empty() {
                break;
            }
            gone.extend(next);
        }
        let (end, stay): (Vec<&Key>, Vec<&Key>) =
            operators.iter().filter(|key| administers(key)).partition(|key| gone.contains(&key.key_id));
        if stay.is_empty() && !end.is_empty() { Err(Refusal::LastOperator) } else { Ok(()) }
    }

    /// The recalled keys that match and whose keys are still in use: where a cascade that was cut short goes on.
    pub(crate) fn recalled_issuers(&self, command: &RecallKeys) -> HashSet<KeyId> {
        let is_recalled =
            |key: &Key| key.standing == Standing::Recalled && command.selector.matches(&key.selectable());
        if command.tenant.is_operators() {
            let operators = self.index.keys_of_operators();
            return operators.iter().filter(|key| is_recalled(key)).map(|key| key.key_id).collect();
        }
        // Only an operator issues keys of other tenants.
        let mut issuers = HashSet::new();
        self.index.for_each_matching(&command.tenant, &Selector::ALL, |key| issuers.extend(key.issuer));
        issuers.retain(|issuer| {
            self.index.key(&command.tenant, *issuer).is_some_and(|state| is_recalled(&state.key))
        });
        issuers
    }

    /// One recall by issuer for each key of a generation that issued others, in whatever tenant, until none is found.
    ///
    /// With [`Self::alone_if`] held: it may reach the operators.
    pub(crate) async fn cascade(
        &self,
        asked: &Request,
        mut generation: HashSet<KeyId>,
        like: &Like,
    ) -> Result<Vec<Cascaded>, CommandError> {
        let mut cascaded: Vec<Cascaded> = Vec::new();
        for _ in 0..MAX_GENERATIONS {
            let mut next = HashSet::new();
            for (tenant, issuer) in self.index.issued_by(&generation) {
                let command = RecallKeys {
                    tenant: tenant.clone(),
                    selector: Selector { issuer: Some(issuer), ..Selector::ALL },
                    reason: like.reason,
                    note: like.note.clone(),
                };
                let request = self.cascading(asked, &tenant, issuer);
                let (changed, hit) = match self.recall(&request, &command).await {
                    Ok(recalled) => recalled,
                    // Somebody else was faster, or closed the tenant: none of its keys passes any more.
                    Err(CommandError::Refused(Refusal::NothingMatches | Refusal::TenantClosed)) => continue,
                    Err(error) => return Err(error.after_a_part_of(asked, None)),
                };
                let (position, count) = (changed.position, hit.len());
                next.extend(hit);
                cascaded.push(Cascaded { tenant, issuer, position, count });
            }
            if next.is_empty() {
                return Ok(cascaded);
            }
            generation = next;
        }
        Ok(cascaded)
    }

    /// The same actor and trace; a command id of its own, so that asking again after an interruption goes on where it was.
    fn cascading(&self, request: &Request, tenant: &TenantId, issuer: KeyId) -> Request {
        let drawn = self.ambient.draw_ulid();
        let id: CommandId = CommandId::from_u128(drawn);
        tracing::debug!(%tenant, %issuer, command.id = %id, "a recall takes along what a recalled key issued");
        Request {
            cause: Cause::Cascade,
            command_id: id,
            may_be_repeat: false,
            if_match: None,
            ..request.clone()
        }
    }
}
