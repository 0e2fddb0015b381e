//! Envelopes drawn from a seed, for tests: every event, every actor and cause, fields there and absent.

use domain::{
    Actor, Cause, Envelope, Environment, Event, EventId, ExpiryWarned, Grant, KeyExpired, KeyExpiryChanged,
    KeyFirstUsed, KeyId, KeyImported, KeyIssued, KeyLeaked, KeyReinstated, KeyRelabelled, KeyRenamed,
    KeyRescoped, KeyRestricted, KeyRevoked, KeyRotated, KeySuspended, KeyTransferred, KeysRecalled, Label,
    Labels, LeakResponse, LeakSource, Networks, Owner, OwnerErased, OwnerTag, Personal, PersonalText, Policy,
    PolicyRemoved, PolicyRules, PolicySet, RequestTag, Revision, RevokeReason, RotationCancelled,
    RotationFinished, RotationRule, ScopeSet, SecretDigest, Selector, StreamName, SuspendReason,
    TenantClosed, TenantConfigured, TenantOpened, Timestamp,
};

/// `SplitMix64`: the same seed draws the same envelopes.
pub(crate) struct Source(u64);

impl Source {
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end as u64).unwrap()
    }

    fn chance(&mut self) -> bool {
        self.number().is_multiple_of(2)
    }

    fn one_of<T: Copy, const N: usize>(&mut self, all: [T; N]) -> T {
        all[self.below(N)]
    }

    fn optional<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance().then(|| draw(self))
    }

    fn some<T>(&mut self, most: usize, mut draw: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| draw(self)).collect()
    }

    fn bits(&mut self) -> u128 {
        u128::from(self.number()) << 64 | u128::from(self.number())
    }

    /// Letters of a word that every kind of name allows.
    fn word(&mut self) -> String {
        let length = 1 + self.below(12);
        (0..length).map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz"[self.below(26)])).collect()
    }

    fn at(&mut self) -> Timestamp {
        Timestamp::from_millis(1 + self.number() % Timestamp::MAX.as_millis())
    }

    fn key_id(&mut self) -> KeyId {
        KeyId::from_u128(self.bits())
    }

    fn personal(&mut self) -> Personal {
        if self.chance() {
            Personal::Plain(PersonalText::note(&format!("{} — {}", self.word(), self.word())).unwrap())
        } else {
            Personal::Sealed(self.some(40, |source| source.number().to_le_bytes()[0]))
        }
    }

    fn owner(&mut self) -> Owner {
        Owner { tag: OwnerTag::from_bytes(self.bits().to_be_bytes()), name: self.personal() }
    }

    fn digest(&mut self) -> SecretDigest {
        SecretDigest::from_bytes(std::array::from_fn(|_| self.number().to_le_bytes()[0]))
    }

    fn scope(&mut self) -> String {
        let last = if self.chance() { "*".to_owned() } else { self.word() };
        format!("{}:{last}", self.word())
    }

    fn scopes(&mut self) -> ScopeSet {
        ScopeSet::parse(self.some(8, Self::scope)).unwrap()
    }

    fn label(&mut self) -> Label {
        Label::new(&self.word(), &self.word()).unwrap()
    }

    fn labels(&mut self) -> Labels {
        let mut labels = self.some(5, Self::label);
        labels.sort();
        labels.dedup_by(|a, b| a.name() == b.name());
        Labels::new(labels).unwrap()
    }

    fn networks(&mut self) -> Networks {
        let networks = self.some(4, |source| {
            let [a, b, ..] = source.number().to_le_bytes();
            if source.chance() { format!("10.{a}.{b}.0/24") } else { format!("2001:db8:{a:x}::{b:x}") }
        });
        Networks::parse(networks).unwrap()
    }

    fn environment(&mut self) -> Environment {
        self.one_of([Environment::Live, Environment::Test])
    }

    fn grant(&mut self) -> Grant {
        Grant {
            environment: self.environment(),
            name: self.optional(Self::personal),
            owner: self.owner(),
            scopes: self.scopes(),
            labels: self.labels(),
            networks: self.networks(),
            expires_at: self.optional(Self::at),
        }
    }

    fn selector(&mut self) -> Selector {
        Selector {
            owner: self.optional(Self::owner),
            label: self.optional(Self::label),
            scope: self.optional(Self::scope).map(|scope| scope.parse().unwrap()),
            issuer: self.optional(Self::key_id),
            environment: self.optional(Self::environment),
        }
    }

    fn policy(&mut self) -> Policy {
        let day = |source: &mut Self, from: u64| (from + source.number() % 30) * 86_400_000;
        let rules = PolicyRules {
            default_lifetime_ms: self.optional(|source| day(source, 1)),
            longest_lifetime_ms: self.optional(|source| day(source, 31)),
            rotate_after_ms: Some(day(self, 1)),
            suspend_idle_after_ms: self.optional(|source| day(source, 1)),
            revoke_idle_after_ms: self.optional(|source| day(source, 31)),
            warn_before_expiry_ms: self.some(4, |source| day(source, 1)),
            scopes_allowed: self.scopes(),
            scopes_denied: self.scopes(),
            networks_required: self.chance(),
            networks_allowed: self.networks(),
        };
        Policy::new(self.word().parse().unwrap(), self.selector(), rules).unwrap()
    }

    fn rule(&mut self) -> RotationRule {
        match self.below(3) {
            0 => RotationRule::At(self.at()),
            1 => {
                let quiet_ms = 1_000 + self.number() % 86_400_000;
                RotationRule::on_evidence(quiet_ms, quiet_ms + self.number() % 86_400_000).unwrap()
            }
            _ => RotationRule::ByHand,
        }
    }

    fn leak_source(&mut self) -> LeakSource {
        self.word().parse().unwrap()
    }

    fn actor(&mut self) -> Actor {
        match self.below(4) {
            0 => Actor::System,
            1 => Actor::Holder { network: self.optional(Self::personal) },
            2 => Actor::Scanner { source: self.leak_source() },
            _ => Actor::Operator { key_id: self.key_id(), network: self.optional(Self::personal) },
        }
    }

    /// An envelope of the event of this name.
    pub(crate) fn envelope(&mut self, name: &str) -> Envelope {
        let event = self.tenant_event(name).or_else(|| self.key_event(name));
        let event = event.unwrap_or_else(|| panic!("draw a {name} here"));
        let tenant = self.word().parse().unwrap();
        let of_tenant = ["Tenant", "Policy", "Keys"].iter().any(|prefix| name.starts_with(prefix));
        Envelope {
            event_id: EventId::from_u128(self.bits()),
            stream: if of_tenant {
                StreamName::Tenant(tenant)
            } else {
                StreamName::Key(tenant, self.key_id())
            },
            revision: Revision::new(u32::try_from(1 + self.below(1000)).unwrap()),
            occurred_at: self.at(),
            actor: self.actor(),
            command_id: self.word().parse().unwrap(),
            request_tag: RequestTag::from_bytes(self.bits().to_be_bytes()),
            cause: self.one_of(Cause::ALL),
            trace_context: self.optional(|source| source.word().into()),
            event,
        }
    }

    fn tenant_event(&mut self, name: &str) -> Option<Event> {
        Some(match name {
            "TenantOpened" => Event::TenantOpened(TenantOpened {
                name: self.optional(Self::personal),
                prefix: self.one_of(["rsk", "mail"]).parse().unwrap(),
            }),
            "TenantConfigured" => Event::TenantConfigured(TenantConfigured {
                name: self.optional(Self::personal),
                prefix: self.one_of(["rsk", "mail"]).parse().unwrap(),
                leak_response: self.one_of(LeakResponse::ALL),
            }),
            "TenantClosed" => Event::TenantClosed(TenantClosed { note: self.optional(Self::personal) }),
            "KeysRecalled" => Event::KeysRecalled(Box::new(KeysRecalled {
                selector: self.selector(),
                reason: self.one_of(RevokeReason::ALL),
                note: self.optional(Self::personal),
            })),
            "PolicySet" => Event::PolicySet(Box::new(PolicySet { policy: self.policy() })),
            "PolicyRemoved" => Event::PolicyRemoved(PolicyRemoved { name: self.word().parse().unwrap() }),
            "OwnerErased" => Event::OwnerErased(OwnerErased {
                owner: OwnerTag::from_bytes(self.bits().to_be_bytes()),
                generation: self.number().to_le_bytes()[0].into(),
            }),
            _ => return None,
        })
    }

    fn key_event(&mut self, name: &str) -> Option<Event> {
        Some(match name {
            "KeyIssued" => Event::KeyIssued(Box::new(KeyIssued {
                prefix: self.one_of(["rsk", "mail"]).parse().unwrap(),
                digest: self.digest(),
                grant: self.grant(),
                issuer: self.optional(Self::key_id),
                predecessor: self.optional(Self::key_id),
            })),
            "KeyImported" => Event::KeyImported(Box::new(KeyImported {
                digest: self.digest(),
                grant: self.grant(),
                issuer: self.optional(Self::key_id),
            })),
            "KeyRenamed" => Event::KeyRenamed(KeyRenamed { name: self.optional(Self::personal) }),
            "KeyRelabelled" => Event::KeyRelabelled(KeyRelabelled { labels: self.labels() }),
            "KeyTransferred" => Event::KeyTransferred(KeyTransferred { owner: self.owner() }),
            "KeyRescoped" => Event::KeyRescoped(KeyRescoped { scopes: self.scopes() }),
            "KeyRestricted" => Event::KeyRestricted(KeyRestricted { networks: self.networks() }),
            "KeyExpiryChanged" => {
                Event::KeyExpiryChanged(KeyExpiryChanged { expires_at: self.optional(Self::at) })
            }
            "KeySuspended" => Event::KeySuspended(KeySuspended {
                reason: self.one_of(SuspendReason::ALL),
                note: self.optional(Self::personal),
                until: self.optional(Self::at),
            }),
            "KeyReinstated" => Event::KeyReinstated(KeyReinstated { note: self.optional(Self::personal) }),
            _ => return self.ending_event(name),
        })
    }

    fn ending_event(&mut self, name: &str) -> Option<Event> {
        Some(match name {
            "KeyRotated" => Event::KeyRotated(KeyRotated { successor: self.key_id(), rule: self.rule() }),
            "KeyFirstUsed" => Event::KeyFirstUsed(KeyFirstUsed { first_used_at: self.at() }),
            "RotationFinished" => {
                Event::RotationFinished(RotationFinished { successor: self.key_id(), forced: self.chance() })
            }
            "RotationCancelled" => Event::RotationCancelled(RotationCancelled { successor: self.key_id() }),
            "KeyLeaked" => Event::KeyLeaked(KeyLeaked {
                source: self.leak_source(),
                url: self.optional(Self::personal),
                response: self.one_of(LeakResponse::ALL),
            }),
            "KeyRevoked" => Event::KeyRevoked(KeyRevoked {
                reason: self.one_of(RevokeReason::ALL),
                note: self.optional(Self::personal),
            }),
            "ExpiryWarned" => Event::ExpiryWarned(ExpiryWarned { expires_at: self.at() }),
            "KeyExpired" => Event::KeyExpired(KeyExpired { expires_at: self.at() }),
            _ => return None,
        })
    }
}
