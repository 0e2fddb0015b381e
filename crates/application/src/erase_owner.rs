//! Carries out `EraseOwner`: the fact first, then the seal goes; what stops in between is finished by whoever starts next.

use domain::{
    EraseOwner, Event, KeyId, Owner, OwnerTraces, Personal, PersonalText, Position, Selector, StreamName,
    Subject, TenantId,
};
use eventlog::{Queue, StreamId};

use crate::application::Application;
use crate::outcome::{Changed, CommandError, Request};

/// How many live keys are named.
const SAMPLE: usize = 20;
/// How many keys' histories are read for texts from before sealing: half a second of a log on NATS.
const MAX_READ: usize = 2_000;

/// What an erasure would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasurePreview {
    /// What was considered.
    pub position: Position,
    /// What there is of the owner.
    pub traces: OwnerTraces,
    /// What it would not reach.
    pub in_the_clear: InTheClear,
}

/// Events of an owner's keys that hold readable texts: written before texts were sealed, they stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InTheClear {
    /// How many.
    pub events: u64,
    /// Whether every key that is the owner's now was looked at. Keys that were given to somebody else are never counted.
    pub complete: bool,
}

/// An erasure that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Where and when.
    pub changed: Changed,
    /// What it did not reach.
    pub in_the_clear: InTheClear,
    /// Keys that came to the owner between the look and the destruction: they can be used, and nobody can read whose they
    /// are. One whose append another server has under way, under a seal that it holds, may come later still.
    pub issued_meanwhile: Vec<KeyId>,
}

impl Application {
    /// What erasing an owner would do now.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] when there is no such tenant; [`CommandError::SealMissing`], [`CommandError::Unavailable`].
    pub async fn preview_erasure(
        &self,
        tenant: &TenantId,
        owner: PersonalText,
    ) -> Result<ErasurePreview, CommandError> {
        self.tenant_state(tenant).await?;
        let command = self.erasure(tenant, &owner).await?;
        self.catch_up().await?;
        let position = self.index.applied();
        let traces = self.traces_of(&command).await?;
        let in_the_clear = self.in_the_clear(&command).await?;
        Ok(ErasurePreview { position, traces, in_the_clear })
    }

    /// Erases an owner. On return the seal is destroyed, so that nobody can read any more what was sealed under it.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event. Once the fact stands and the seal may still be there, it is
    /// [`CommandError::OutcomeUnknown`], and asking again with the same command id does the rest.
    pub async fn erase_owner(
        &self,
        request: &Request,
        tenant: TenantId,
        owner: PersonalText,
    ) -> Result<Erased, CommandError> {
        let command = self.erasure(&tenant, &owner).await?;
        drop(owner);
        // Another server may be ahead: that no key is live is said only of all that the log has.
        self.catch_up().await?;
        let traces = self.traces_of(&command).await?;
        let changed = self
            .change_tenant(request, &tenant, Queue::Normal, &command, |tenant, _now| {
                command.decide(tenant, &traces).map(Event::OwnerErased)
            })
            .await?;
        // If we stop here, the fact stands and the seal too: the next start finds the one and destroys the other.
        let rest = async {
            let before = Position::new(changed.position.get().saturating_sub(1));
            self.finish_erasures(&tenant, before).await?;
            // After the destruction: a key that was sealed before it, and is in the log by now, is seen.
            self.catch_up().await?;
            let in_the_clear = self.in_the_clear(&command).await?;
            let issued_meanwhile = self.live_keys_of_nobody(&command).await?;
            Ok(Erased { changed, in_the_clear, issued_meanwhile })
        };
        rest.await.map_err(|error: CommandError| error.after_a_part_of(request, None))
    }

    /// Destroys the seals whose destruction a tenant's history says after a position, and answers where that ends. Safe to
    /// repeat.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the log or the seals cannot be reached; some may be destroyed by then.
    pub async fn finish_erasures(
        &self,
        tenant: &TenantId,
        after: Position,
    ) -> Result<Position, CommandError> {
        let history = self.history_after(StreamName::Tenant(tenant.clone()), after).await?;
        for erased in history.erasures() {
            let subject = Subject { tenant: tenant.clone(), owner: erased.owner };
            let destroyed = self.seals.destroy(&subject, erased.generation).await;
            destroyed.map_err(|error| CommandError::unavailable(&error))?;
        }
        Ok(history.last().max(after))
    }

    async fn erasure(&self, tenant: &TenantId, owner: &PersonalText) -> Result<EraseOwner, CommandError> {
        let owner = self.tag_secret(tenant).await?.owner_tag(owner.as_str());
        Ok(EraseOwner { tenant: tenant.clone(), owner })
    }

    async fn traces_of(&self, command: &EraseOwner) -> Result<OwnerTraces, CommandError> {
        let subject = Subject { tenant: command.tenant.clone(), owner: command.owner };
        let seal = self.seals.trace(&subject).await.map_err(|error| CommandError::unavailable(&error))?;
        let (live, sample) = self.live_keys_of(command);
        let keys = self.keys_of(command).len() as u64;
        Ok(OwnerTraces { live, sample, keys, seal })
    }

    fn live_keys_of(&self, command: &EraseOwner) -> (u64, Vec<KeyId>) {
        let (mut live, mut sample) = (0, Vec::new());
        self.index.for_each_matching(&command.tenant, &selector(command), |key| {
            live += 1;
            if sample.len() < SAMPLE {
                sample.push(key.key_id);
            }
        });
        sample.sort_unstable();
        (live, sample)
    }

    /// Live keys of the owner whose name nobody can read any more. Those of an owner who has come back are no such keys.
    async fn live_keys_of_nobody(&self, command: &EraseOwner) -> Result<Vec<KeyId>, CommandError> {
        let mut live = Vec::new();
        self.index.for_each_matching(&command.tenant, &selector(command), |key| {
            live.push((key.key_id, key.owner.clone()));
        });
        let mut found = Vec::new();
        for (key_id, owner) in live {
            let name = self.seals.name(&command.tenant, &owner).await;
            if name.map_err(|error| CommandError::unavailable(&error))?.is_none() {
                found.push(key_id);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Ended ones too.
    fn keys_of(&self, command: &EraseOwner) -> Vec<KeyId> {
        let all = (Position::NONE, Position::new(u64::MAX));
        self.index.changed_between(&command.tenant, &selector(command), all)
    }

    async fn in_the_clear(&self, command: &EraseOwner) -> Result<InTheClear, CommandError> {
        let keys = self.keys_of(command);
        let mut found = InTheClear { events: 0, complete: keys.len() <= MAX_READ };
        for key_id in keys.into_iter().take(MAX_READ) {
            let stream = StreamName::Key(command.tenant.clone(), key_id);
            let events = self.log.read_stream(&StreamId::from(&stream), Position::NONE).await;
            for event in events.map_err(|error| CommandError::unavailable(&error))? {
                let Ok(mut envelope) = wire::decode(&stream, &event.payload) else {
                    found.complete = false;
                    continue;
                };
                let mut readable = false;
                envelope.for_each_text(domain::About::default(), |text| {
                    readable |= match text {
                        domain::Text::Owner(owner) => owner.name.plain().is_some(),
                        domain::Text::Of { value, .. } => value.plain().is_some(),
                    };
                });
                found.events += u64::from(readable);
            }
        }
        Ok(found)
    }
}

/// An owner's keys are found by the tag alone.
fn selector(command: &EraseOwner) -> Selector {
    let owner = Owner { tag: command.owner, name: Personal::Sealed(Vec::new()) };
    Selector { owner: Some(owner), ..Selector::ALL }
}
