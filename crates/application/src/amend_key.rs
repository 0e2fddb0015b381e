//! Carries out changes of what a key is called, whose it is, what it may do, where and until when: several at once are one
//! unit, all or none.

use domain::{
    ChangeExpiry, Event, Issuer, Key, KeyId, Labels, Life, Networks, Personal, PersonalText, Refusal,
    RelabelKey, RenameKey, RescopeKey, RestrictKey, ScopeSet, Tenant, TenantId, Timestamp, TransferKey,
    Widening,
};
use wire::{Canonical, Parts};

use crate::application::Application;
use crate::asked_grant::owner;
use crate::change_key::{OnKey, State};
use crate::outcome::{Changed, CommandError, Request};

/// What is to be changed of a key; what is absent stays.
#[derive(Clone, Debug)]
pub struct AmendRequest {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// What it will be called; the inner none takes its name away.
    pub name: Option<Option<PersonalText>>,
    /// All its labels.
    pub labels: Option<Labels>,
    /// Whom it will belong to.
    pub owner: Option<PersonalText>,
    /// All that it will be able to do.
    pub scopes: Option<ScopeSet>,
    /// Where it may be used from.
    pub networks: Option<Networks>,
    /// When its time will be up; the inner none means never.
    pub expires_at: Option<Option<Timestamp>>,
    /// Who asks.
    pub by: Issuer,
    /// Whether that may give the key more than it has.
    pub widening: Widening,
}

/// The commands that a request comes to, in the order in which they are decided.
struct Amendment(Vec<Command>);

enum Command {
    Rename(RenameKey),
    Relabel(RelabelKey),
    Transfer(TransferKey),
    Rescope(RescopeKey),
    Restrict(RestrictKey),
    ChangeExpiry(ChangeExpiry),
}

impl Canonical for Amendment {
    fn write(&self, parts: &mut Parts) {
        for command in &self.0 {
            match command {
                Command::Rename(command) => command.write(parts),
                Command::Relabel(command) => command.write(parts),
                Command::Transfer(command) => command.write(parts),
                Command::Rescope(command) => command.write(parts),
                Command::Restrict(command) => command.write(parts),
                Command::ChangeExpiry(command) => command.write(parts),
            }
        }
    }
}

/// The key as the changes decided so far leave it: a policy that asks for networks sees those that come with the scopes.
struct Amended<'a> {
    tenant: &'a Tenant,
    key: Key,
    life: &'a Life,
    last_operator: bool,
    now: Timestamp,
}

impl Command {
    fn decide(&self, on: &Amended<'_>) -> Result<Event, Refusal> {
        match self {
            Self::Rename(command) => command.decide(on.tenant, &on.key, on.life).map(Event::KeyRenamed),
            Self::Relabel(command) => command.decide(on.tenant, &on.key).map(Event::KeyRelabelled),
            Self::Transfer(command) => command.decide(on.tenant, &on.key).map(Event::KeyTransferred),
            Self::Rescope(command) => {
                command.decide(on.tenant, &on.key, on.last_operator).map(Event::KeyRescoped)
            }
            Self::Restrict(command) => command.decide(on.tenant, &on.key).map(Event::KeyRestricted),
            Self::ChangeExpiry(command) => {
                command.decide(on.tenant, &on.key, on.last_operator, on.now).map(Event::KeyExpiryChanged)
            }
        }
    }
}

impl AmendRequest {
    /// Whether anything is to be changed at all.
    #[must_use]
    pub const fn asks(&self) -> bool {
        self.name.is_some()
            || self.labels.is_some()
            || self.owner.is_some()
            || self.scopes.is_some()
            || self.networks.is_some()
            || self.expires_at.is_some()
    }

    fn commands(self, secret: &wire::TagSecret) -> Amendment {
        let Self { tenant, key_id, by, widening, .. } = self;
        let name = self.name.map(|name| {
            Command::Rename(RenameKey { tenant: tenant.clone(), key_id, name: name.map(Personal::Plain) })
        });
        let labels =
            self.labels.map(|labels| Command::Relabel(RelabelKey { tenant: tenant.clone(), key_id, labels }));
        let owner = self.owner.map(|text| {
            Command::Transfer(TransferKey { tenant: tenant.clone(), key_id, owner: owner(text, secret) })
        });
        let scopes = self.scopes.map(|scopes| {
            Command::Rescope(RescopeKey { tenant: tenant.clone(), key_id, scopes, by, widening })
        });
        let networks = self.networks.map(|networks| {
            Command::Restrict(RestrictKey { tenant: tenant.clone(), key_id, networks, widening })
        });
        let expires_at = self.expires_at.map(|expires_at| {
            Command::ChangeExpiry(ChangeExpiry { tenant: tenant.clone(), key_id, expires_at })
        });
        Amendment([name, labels, owner, scopes, networks, expires_at].into_iter().flatten().collect())
    }
}

impl Application {
    /// Changes a key. What is as asked for already makes no event; if all is, that is refused.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal of one change leaves no event of any.
    pub async fn amend_key(&self, request: &Request, asked: AmendRequest) -> Result<Changed, CommandError> {
        let (tenant, key_id) = (asked.tenant.clone(), asked.key_id);
        let secret = self.tag_secret(&tenant).await?;
        let state = self.tenant_state(&tenant).await?;
        let amendment = asked.commands(&secret);
        let alone = self.alone_among_operators(&tenant).await;
        let decide = |known: &State, now| self.decide_all(&amendment.0, &state.tenant, known, now);
        let on = OnKey::new(&tenant, key_id).with_life();
        let changed = self.change_key(request, on, &amendment, decide).await?;
        self.wait_shown(changed.position).await;
        drop(alone);
        Ok(changed)
    }

    fn decide_all(
        &self,
        commands: &[Command],
        tenant: &Tenant,
        known: &State,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let last_operator = self.is_last_operator(&known.key);
        let mut on = Amended { tenant, key: known.key.clone(), life: known.life()?, last_operator, now };
        let mut events = Vec::new();
        for command in commands {
            match command.decide(&on) {
                Ok(event) => {
                    on.key = on.key.amended(&event);
                    events.push(event);
                }
                Err(Refusal::Unchanged) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        if events.is_empty() { Err(Refusal::Unchanged) } else { Ok(events) }
    }
}
