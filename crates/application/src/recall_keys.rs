//! Carries out `RecallKeys`: one event, however many keys; shown before, and bound to what was shown.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use domain::{
    Environment, Event, Key, KeyId, Label, Owner, OwnerTag, Personal, PersonalText, Position, Reach,
    RecallKeys, RevokeReason, Scope, Selector, StreamName, TenantId,
};
use eventlog::Queue;
use wire::TagSecret;

use crate::application::{Application, administers};
use crate::asked_grant::owner;
use crate::cascade::{Cascaded, Like};
use crate::outcome::{Changed, CommandError, Request};
use crate::recall_token::RecallToken;
use crate::seals::Closed;

/// How many keys a preview, or a refusal to act on one, shows by name.
const SAMPLE: usize = 20;
/// How many owners a preview names, the most keys first; more than anybody is shown.
const MAX_NAMED: usize = 1_000;
/// How many keys that changed since a preview are looked at one by one; with more, whoever saw it has to look again.
const MAX_COMPARED: usize = 1_000;

/// Which keys, with the owner still as text; none of the parts means all.
#[derive(Clone, Debug, Default)]
pub struct AskedSelector {
    /// Belongs to this owner.
    pub owner: Option<PersonalText>,
    /// Has this label.
    pub label: Option<Label>,
    /// May do this.
    pub scope: Option<Scope>,
    /// Was issued by this key.
    pub issuer: Option<KeyId>,
    /// Is live, or test.
    pub environment: Option<Environment>,
}

/// A recall to carry out.
#[derive(Clone, Debug)]
pub struct RecallRequest {
    /// Where the keys belong.
    pub tenant: TenantId,
    /// Which keys.
    pub selector: AskedSelector,
    /// Why.
    pub reason: RevokeReason,
    /// In somebody's words.
    pub note: Option<PersonalText>,
    /// Which preview it acts on.
    pub confirmed: Confirmed,
    /// Whether keys go too that a recalled key issued, and those that they issued.
    pub cascade: bool,
}

/// What whoever recalls has seen.
#[derive(Clone, Copy, Debug)]
pub enum Confirmed {
    /// The keys of this preview; no others are to be hit.
    Shown(RecallToken),
    /// Whatever matches.
    IncludingNew,
}

/// What a recall would do.
#[derive(Clone, Debug)]
pub struct RecallPreview {
    /// What was considered.
    pub position: Position,
    /// How many keys would be recalled.
    pub count: usize,
    /// How many of each owner; a sealed owner is counted under its tag.
    pub by_owner: BTreeMap<String, usize>,
    /// How many of each service, by the label `service`; those without one are not counted here.
    pub by_service: BTreeMap<String, usize>,
    /// All of them.
    pub keys: Vec<KeyId>,
    /// What confirms exactly these.
    pub token: RecallToken,
}

/// A recall that stands.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// Where and when.
    pub changed: Changed,
    /// How many keys matched just before; none known for a repeat.
    pub count: Option<usize>,
    /// Keys that matched at the recall's position and that the preview did not show: changed between the comparison and the
    /// append. None for a repeat, without a preview, and where this server's index is more than a second behind.
    pub beyond: Option<Vec<KeyId>>,
    /// The recalls that took along what the recalled keys had issued.
    pub cascaded: Vec<Cascaded>,
}

impl AskedSelector {
    /// Whether it names anything.
    #[must_use]
    pub const fn has_parts(&self) -> bool {
        self.owner.is_some()
            || self.label.is_some()
            || self.scope.is_some()
            || self.issuer.is_some()
            || self.environment.is_some()
    }

    pub(crate) fn tagged(self, secret: &TagSecret) -> Selector {
        Selector {
            owner: self.owner.map(|text| owner(text, secret)),
            label: self.label,
            scope: self.scope,
            issuer: self.issuer,
            environment: self.environment,
        }
    }
}

impl Application {
    /// What a recall would do now.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] when there is no such tenant, [`CommandError::Unavailable`].
    pub async fn preview_recall(
        &self,
        tenant: &TenantId,
        selector: AskedSelector,
    ) -> Result<RecallPreview, CommandError> {
        let secret = self.secret_for(tenant, &selector).await?;
        self.tenant_state(tenant).await?;
        let selector = selector.tagged(&secret);
        let position = self.index.applied();
        let (mut owners, mut by_service, mut keys) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        self.index.for_each_matching(tenant, &selector, |key| {
            // Issued or changed while we look: not of this position, so not shown.
            if key.last > position {
                return;
            }
            owners.entry(key.owner.tag).or_insert_with(|| (Arc::clone(key.owner), 0)).1 += 1;
            if let Some(label) = key.labels.iter().find(|label| label.name() == "service") {
                *by_service.entry(label.value().to_owned()).or_insert(0) += 1;
            }
            keys.push(key.key_id);
        });
        let token = RecallToken::sign(&secret, tenant, &selector, position, self.ambient.now());
        let by_owner = self.named(tenant, owners).await?;
        Ok(RecallPreview { position, count: keys.len(), by_owner, by_service, keys, token })
    }

    /// The counts under the owners' names.
    async fn named(
        &self,
        tenant: &TenantId,
        counted: BTreeMap<OwnerTag, (Arc<Owner>, usize)>,
    ) -> Result<BTreeMap<String, usize>, CommandError> {
        let mut counted: Vec<_> =
            counted.into_values().map(|(owner, count)| ((*owner).clone(), count)).collect();
        counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let shown =
            counted.iter_mut().take(MAX_NAMED).map(|(owner, _)| Closed::Owner(tenant, owner)).collect();
        self.seals.open(shown).await.map_err(|error| CommandError::unavailable(&error))?;
        let mut named = BTreeMap::new();
        for (owner, count) in counted {
            *named.entry(shown_owner(&owner)).or_insert(0) += count;
        }
        Ok(named)
    }

    /// Recalls keys. On return no verify that starts later on this server says valid for one that matched at the recall's
    /// position.
    ///
    /// # Errors
    /// [`CommandError`]; `nothing_matches`; [`CommandError::PreviewOutdated`] when more keys would be hit than were shown. A
    /// cascade that is cut short leaves what stands by then; asked again it goes on.
    pub async fn recall_keys(
        &self,
        request: &Request,
        asked: RecallRequest,
    ) -> Result<Recalled, CommandError> {
        let secret = self.secret_for(&asked.tenant, &asked.selector).await?;
        let command = RecallKeys {
            tenant: asked.tenant,
            selector: asked.selector.tagged(&secret),
            reason: asked.reason,
            note: asked.note.map(Personal::Plain),
        };
        let _alone = self.alone_if(asked.cascade || command.tenant.is_operators()).await;
        if let Some(changed) = self.recalled_before(request, &secret, &command).await? {
            // It may be another server's, or this one's before it was killed: effective here before the answer, like the first.
            self.take_effect(&command, changed).await;
            let issuers = if asked.cascade { self.recalled_issuers(&command) } else { HashSet::new() };
            self.check_cascade(&issuers)?;
            let cascaded = self.cascade(request, issuers, &Like::of(&command)).await?;
            return Ok(Recalled { changed, count: None, beyond: None, cascaded });
        }
        // What the rows learn of from here on is not compared below.
        let compared = self.index.applied();
        let shown = match asked.confirmed {
            Confirmed::Shown(token) => Some(self.compare_with_shown(token, &secret, &command).await?),
            Confirmed::IncludingNew => None,
        };
        if asked.cascade && command.tenant.is_operators() {
            self.check_cascade(&self.matching(&command).into_iter().collect())?;
        }
        let (changed, hit) = self.recall(request, &command).await?;
        let beyond = match shown {
            Some(shown) => self.beyond_shown(shown, (compared, changed.position), &command).await,
            None => None,
        };
        let count = Some(hit.len());
        let issuers = if asked.cascade { hit.into_iter().collect() } else { HashSet::new() };
        let cascaded = self.cascade(request, issuers, &Like::of(&command)).await?;
        Ok(Recalled { changed, count, beyond, cascaded })
    }

    /// An owner is known by its tag alone, which only the seal can make; all else can be recalled without it. A preview's token
    /// then proves nothing, and lets nobody do more than `IncludingNew` does.
    async fn secret_for(
        &self,
        tenant: &TenantId,
        selector: &AskedSelector,
    ) -> Result<Arc<TagSecret>, CommandError> {
        match selector.owner {
            Some(_) => self.tag_secret(tenant).await,
            None => self.tag_secret_or_none(tenant).await,
        }
    }

    async fn recalled_before(
        &self,
        request: &Request,
        secret: &TagSecret,
        command: &RecallKeys,
    ) -> Result<Option<Changed>, CommandError> {
        if !request.may_be_repeat {
            return Ok(None);
        }
        let history = self.history(StreamName::Tenant(command.tenant.clone())).await?;
        history.repeated(&request.command_id, secret.request_tag(command))
    }

    /// Appends one recall and makes it effective; answers the keys that matched just before. With
    /// [`Self::alone_among_operators`] held.
    pub(crate) async fn recall(
        &self,
        request: &Request,
        command: &RecallKeys,
    ) -> Result<(Changed, Vec<KeyId>), CommandError> {
        let mut hit = self.matching(command);
        if hit.is_empty() {
            // Another server may be ahead: that nothing matches is said only of all that the log has.
            self.catch_up().await?;
            hit = self.matching(command);
        }
        let reach = Reach {
            matching: hit.len() as u64,
            leaves_an_operator: self.leaves_an_operator(&command.tenant, &command.selector),
        };
        let changed = self
            .change_tenant(request, &command.tenant, Queue::Urgent, command, |tenant, _now| {
                command.decide(tenant, reach).map(|recalled| Event::KeysRecalled(Box::new(recalled)))
            })
            .await?;
        self.take_effect(command, changed).await;
        Ok((changed, hit))
    }

    /// On disk. From here on this server refuses what matches by its rows. Changes of keys that stand before the recall and
    /// are not in the rows yet could make others match: those are waited for.
    async fn take_effect(&self, command: &RecallKeys, changed: Changed) {
        self.index.recall(&command.tenant, changed.position, changed.occurred_at, &command.selector);
        self.wait_shown(changed.position).await;
    }

    /// The keys that a recall would hit, as this server's index has them.
    fn matching(&self, command: &RecallKeys) -> Vec<KeyId> {
        let mut hit = Vec::new();
        self.index.for_each_matching(&command.tenant, &command.selector, |key| hit.push(key.key_id));
        hit
    }

    /// Waits until this server's index has what the log has now.
    pub(crate) async fn catch_up(&self) -> Result<(), CommandError> {
        let head = self.log.head().await.map_err(|error| CommandError::unavailable(&error))?;
        match self.wait_shown(head).await {
            true => Ok(()),
            false => {
                let reason = "this server has not heard of all that the log says yet".to_owned();
                Err(CommandError::Unavailable { reason })
            }
        }
    }

    /// Whether a recall in the operators' tenant would leave somebody who can issue operators.
    fn leaves_an_operator(&self, tenant: &TenantId, selector: &Selector) -> bool {
        !tenant.is_operators()
            || self
                .index
                .keys_of_operators()
                .iter()
                .any(|key| administers(key) && !selector.matches(&key.selectable()))
    }

    /// Refuses when a key would be hit that the preview did not show, else answers what it showed. What was issued or changed
    /// since then is looked up as it was; all else is as it was.
    async fn compare_with_shown(
        &self,
        token: RecallToken,
        secret: &TagSecret,
        command: &RecallKeys,
    ) -> Result<Position, CommandError> {
        if !token.holds(secret, &command.tenant, &command.selector, self.ambient.now()) {
            return Err(CommandError::PreviewInvalid);
        }
        // The preview may be another server's, which was ahead.
        if !self.wait_shown(token.position).await {
            let reason = "this server has not heard of what the preview showed yet".to_owned();
            return Err(CommandError::Unavailable { reason });
        }
        let mut changed = Vec::new();
        self.index.for_each_matching(&command.tenant, &command.selector, |key| {
            if key.last > token.position {
                changed.push(key.key_id);
            }
        });
        let mut beyond = self.not_shown(token.position, changed, command).await?;
        if beyond.is_empty() {
            return Ok(token.position);
        }
        let count = beyond.len();
        beyond.truncate(SAMPLE);
        Err(CommandError::PreviewOutdated { count, sample: beyond })
    }

    /// What the recall hit although no preview showed it. The comparison and the append cannot be one: a log orders what is
    /// appended to each stream, and keys have streams of their own, which other servers write too; only the recall's position
    /// says which keys came before it. So what came in between is told afterwards, from what the index has at that position.
    async fn beyond_shown(
        &self,
        shown: Position,
        (compared, recalled): (Position, Position),
        command: &RecallKeys,
    ) -> Option<Vec<KeyId>> {
        if self.index.applied() < recalled {
            return None;
        }
        let changed = self.index.changed_between(&command.tenant, &command.selector, (compared, recalled));
        self.not_shown(shown, changed, command).await.ok()
    }

    /// Those of the keys that would not have been hit at an earlier position.
    async fn not_shown(
        &self,
        shown: Position,
        mut keys: Vec<KeyId>,
        command: &RecallKeys,
    ) -> Result<Vec<KeyId>, CommandError> {
        let mut beyond = keys.split_off(keys.len().min(MAX_COMPARED));
        for key_id in keys {
            if !self.matched_at(shown, command, key_id).await? {
                beyond.push(key_id);
            }
        }
        Ok(beyond)
    }

    /// Whether a key would have been hit at an earlier position.
    pub(crate) async fn matched_at(
        &self,
        position: Position,
        command: &RecallKeys,
        key_id: KeyId,
    ) -> Result<bool, CommandError> {
        let history = self.history(StreamName::Key(command.tenant.clone(), key_id)).await?;
        let key: Option<Key> = history.key_at(position);
        Ok(key.is_some_and(|key| !key.has_ended() && command.selector.matches(&key.selectable())))
    }
}

fn shown_owner(owner: &Owner) -> String {
    match owner.name.plain() {
        Some(text) => text.to_owned(),
        None => format!("sealed:{:032x}", u128::from_be_bytes(owner.tag.to_bytes())),
    }
}
