//! Tenants as decisions need them: folded from their streams once, held, and brought up to date when the index hears more.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{Position, StreamName, Tenant, TenantId};
use parking_lot::Mutex;

use crate::application::Application;
use crate::outcome::CommandError;

/// How many tenants are held; the rest are read again. With their policies about 2 KB each.
const MAX_HELD: usize = 10_000;

/// A tenant and where its history stands.
#[derive(Clone, Debug)]
pub(crate) struct TenantState {
    pub(crate) tenant: Arc<Tenant>,
    /// The position of its last event: what the next append expects.
    pub(crate) last: Position,
}

#[derive(Debug, Default)]
pub(crate) struct TenantStates {
    held: Mutex<HashMap<TenantId, TenantState>>,
}

impl TenantStates {
    fn held(&self, tenant: &TenantId) -> Option<TenantState> {
        self.held.lock().get(tenant).cloned()
    }

    fn hold(&self, state: TenantState) {
        let mut held = self.held.lock();
        if held.len() >= MAX_HELD {
            held.clear();
        }
        match held.get_mut(&state.tenant.id) {
            // Two that read at once: the one that read more stays.
            Some(before) if before.last > state.last => {}
            Some(before) => *before = state,
            None => drop(held.insert(state.tenant.id.clone(), state)),
        }
    }
}

impl Application {
    /// A tenant as the index knows it to be, or newer; what the index has not heard of is read from the log.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] when it was never opened.
    pub(crate) async fn tenant_state(&self, tenant: &TenantId) -> Result<TenantState, CommandError> {
        let heard = self.index.tenant(tenant).map(|state| state.last);
        match (self.tenant_states.held(tenant), heard) {
            (Some(state), Some(heard)) if state.last >= heard => Ok(state),
            (held, _) => self.read_tenant(tenant, held).await,
        }
    }

    /// A tenant as the log knows it now.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] when it was never opened.
    pub(crate) async fn latest_tenant_state(&self, tenant: &TenantId) -> Result<TenantState, CommandError> {
        self.read_tenant(tenant, self.tenant_states.held(tenant)).await
    }

    async fn read_tenant(
        &self,
        tenant: &TenantId,
        held: Option<TenantState>,
    ) -> Result<TenantState, CommandError> {
        let after = held.as_ref().map_or(Position::NONE, |state| state.last);
        let history = self.history_after(StreamName::Tenant(tenant.clone()), after).await?;
        let before = held.map(|state| (*state.tenant).clone());
        let state = TenantState {
            last: history.last().max(after),
            tenant: Arc::new(history.tenant(before).ok_or(CommandError::NotFound)?),
        };
        self.tenant_states.hold(state.clone());
        Ok(state)
    }

    /// A tenant with its settings and policies.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] when it was never opened.
    pub async fn tenant(&self, tenant: &TenantId) -> Result<Arc<Tenant>, CommandError> {
        Ok(self.tenant_state(tenant).await?.tenant)
    }
}
