//! `EraseOwner`: nobody can read any more who an owner was.

use crate::attributes::OwnerTag;
use crate::event::OwnerErased;
use crate::ids::{KeyId, TenantId};
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Erases an owner: the seal of all texts about them is destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EraseOwner {
    /// Which tenant.
    pub tenant: TenantId,
    /// Whom.
    pub owner: OwnerTag,
}

/// What there is of an owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerTraces {
    /// How many keys of theirs can still be used, or could be again.
    pub live: u64,
    /// Some of these.
    pub sample: Vec<KeyId>,
    /// How many keys of theirs there ever were, as far as anybody knows.
    pub keys: u64,
    /// Their seal.
    pub seal: SealTrace,
}

/// What there is of a seal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SealTrace {
    /// There never was one: nothing about them was sealed.
    #[default]
    Never,
    /// It opens what is sealed under it.
    Whole {
        /// Which one, counted from 1.
        generation: u32,
    },
    /// It was destroyed.
    Destroyed,
}

impl EraseOwner {
    /// Decides on what there is of the owner. A closed tenant's keys are refused, so none of them is live.
    ///
    /// # Errors
    /// [`Refusal::OwnerHasLiveKeys`], [`Refusal::NoSuchOwner`], [`Refusal::AlreadyErased`].
    pub fn decide(&self, tenant: &Tenant, traces: &OwnerTraces) -> Result<OwnerErased, Refusal> {
        if traces.live > 0 && !tenant.closed {
            return Err(Refusal::OwnerHasLiveKeys { count: traces.live, sample: traces.sample.clone() });
        }
        match traces.seal {
            SealTrace::Whole { generation } => Ok(OwnerErased { owner: self.owner, generation }),
            SealTrace::Destroyed => Err(Refusal::AlreadyErased),
            // Keys from before texts were sealed: the fact is recorded, and their texts stay.
            SealTrace::Never if traces.keys > 0 => Ok(OwnerErased { owner: self.owner, generation: 0 }),
            SealTrace::Never => Err(Refusal::NoSuchOwner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{KEY_ID, acme, given_tenant, tenant_closed, tenant_opened};

    const SEALED: SealTrace = SealTrace::Whole { generation: 2 };

    fn erase(traces: OwnerTraces) -> impl Fn(&Tenant) -> Result<OwnerErased, Refusal> {
        let command = EraseOwner { tenant: acme(), owner: OwnerTag::from_bytes([5; 16]) };
        move |tenant| command.decide(tenant, &traces)
    }

    fn erased(generation: u32) -> OwnerErased {
        OwnerErased { owner: OwnerTag::from_bytes([5; 16]), generation }
    }

    #[test]
    fn an_owner_whose_keys_have_ended_is_erased() {
        let traces = OwnerTraces { keys: 3, seal: SEALED, ..OwnerTraces::default() };
        given_tenant([tenant_opened()]).when(erase(traces)).then(erased(2));
        let unsealed = OwnerTraces { keys: 3, ..OwnerTraces::default() };
        given_tenant([tenant_opened()]).when(erase(unsealed)).then(erased(0));
    }

    #[test]
    fn an_owner_with_a_live_key_is_not() {
        let traces = OwnerTraces { live: 1, sample: vec![KEY_ID], keys: 3, seal: SEALED };
        given_tenant([tenant_opened()])
            .when(erase(traces.clone()))
            .refuses(Refusal::OwnerHasLiveKeys { count: 1, sample: vec![KEY_ID] });
        given_tenant([tenant_opened(), tenant_closed()]).when(erase(traces)).then(erased(2));
    }

    #[test]
    fn nobody_is_erased_twice_and_no_stranger_once() {
        let gone = OwnerTraces { keys: 3, seal: SealTrace::Destroyed, ..OwnerTraces::default() };
        given_tenant([tenant_opened()]).when(erase(gone)).refuses(Refusal::AlreadyErased);
        given_tenant([tenant_opened()]).when(erase(OwnerTraces::default())).refuses(Refusal::NoSuchOwner);
    }
}
