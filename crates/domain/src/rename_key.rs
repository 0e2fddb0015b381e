//! `RenameKey`: people call the key otherwise.

use crate::attributes::Personal;
use crate::event::KeyRenamed;
use crate::ids::{KeyId, TenantId};
use crate::key::Key;
use crate::life::Life;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Renames a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenameKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// What it will be called; none takes its name away.
    pub name: Option<Personal>,
}

impl RenameKey {
    /// Decides on the key and its tenant as they are.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::Unchanged`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key, life: &Life) -> Result<KeyRenamed, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if life.grant.name == self.name {
            return Err(Refusal::Unchanged);
        }
        Ok(KeyRenamed { name: self.name.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::given::{
        KEY_ID, acme, given_key, issued, refused_in_a_closed_tenant, refused_on_ended_keys, suspended, text,
    };

    fn rename(name: Option<&str>) -> RenameKey {
        RenameKey { tenant: acme(), key_id: KEY_ID, name: name.map(text) }
    }

    #[test]
    fn a_key_gets_another_name_or_none() {
        for name in [Some("autumn campaign sender"), None] {
            given_key([issued(), suspended(None)])
                .when(|given| rename(name).decide(&given.tenant, given.key(), given.life()))
                .then(KeyRenamed { name: name.map(text) });
        }
    }

    #[test]
    fn the_name_that_it_has_is_refused() {
        given_key([issued(), Event::KeyRenamed(KeyRenamed { name: None })])
            .when(|given| rename(None).decide(&given.tenant, given.key(), given.life()))
            .refuses(Refusal::Unchanged);
    }

    #[test]
    fn a_key_that_has_ended_keeps_its_name() {
        refused_on_ended_keys(|given| rename(None).decide(&given.tenant, given.key(), given.life()));
        refused_in_a_closed_tenant(|given| rename(None).decide(&given.tenant, given.key(), given.life()));
    }
}
