//! What a review finds on made-up keys, each finding where it holds and where it just does not.

use domain::{
    Environment, KeyId, Labels, Networks, Owner, OwnerTag, Personal, PersonalText, Policy, PolicyRules,
    Position, Revision, RotationRule, ScopeSet, Selector, Standing, TenantId, Timestamp,
};
use projection::usage::{KeyUsage, Requests, UnknownSpan, UsagePart, Why};
use projection::{KeyGrant, KeyRow, RotationRow, RotationState};

use super::*;

const DAY: u64 = 24 * 3_600_000;
const NOW: u64 = 20_000 * DAY;
const ASKED: Asked = Asked { unused_ms: 30 * DAY, old_ms: 365 * DAY };

fn ago(days: u64) -> Timestamp {
    Timestamp::from_millis(NOW - days * DAY)
}

/// A key without a flaw, to be given one.
struct Given {
    tenant: TenantId,
    row: KeyRow,
    usage: KeyUsage,
    unknown: Vec<UnknownSpan>,
    policies: Vec<Policy>,
    owner_gone: Option<Timestamp>,
    issuer: Option<EndedIssuer>,
    successor: Option<Successor>,
}

fn part(name: Option<&str>, valid: u64) -> UsagePart {
    UsagePart {
        name: name.map(Into::into),
        requests: Requests { valid, refused: 1 },
        last_used: Some(ago(1)),
        last_seen: ago(1),
    }
}

impl Given {
    fn sound() -> Self {
        let tenant: TenantId = "acme".parse().unwrap();
        let grant = KeyGrant {
            issued_at: ago(60),
            issued_by: None,
            imported: false,
            predecessor: None,
            prefix: None,
            environment: Environment::Live,
            name: None,
            owner: Owner {
                tag: OwnerTag::from_bytes([5; 16]),
                name: Personal::Plain(PersonalText::name("list-sender").unwrap()),
            },
            scopes: ScopeSet::parse(["campaigns:send"]).unwrap(),
            labels: Labels::default(),
            networks: Networks::default(),
            expires_at: Some(Timestamp::from_millis(NOW + DAY)),
        };
        let row = KeyRow {
            tenant: tenant.clone(),
            key_id: KeyId::from_u128(77),
            standing: Standing::Active,
            revision: Revision::new(1),
            position: Position::new(9),
            grant: Some(grant),
            first_used_at: None,
            suspended: None,
            suspended_until: None,
            leaked: None,
            rotation: None,
            ended_at: None,
            reason: None,
            note: None,
            recalled_by: None,
        };
        let usage = KeyUsage {
            first_used: Some(ago(59)),
            last_used: Some(ago(1)),
            scopes: vec![part(Some("campaigns:send"), 5)],
            ..KeyUsage::default()
        };
        let (unknown, policies) = (Vec::new(), Vec::new());
        Self { tenant, row, usage, unknown, policies, owner_gone: None, issuer: None, successor: None }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut given = Self::sound();
        change(&mut given);
        given
    }

    fn grant(&mut self) -> &mut KeyGrant {
        self.row.grant.as_mut().unwrap()
    }

    fn unknown(&mut self, from: u64, to: u64) {
        let whom = Some("mail-2".into());
        self.unknown.push(UnknownSpan { from: ago(from), to: ago(to), whom, why: Why::Silent });
    }

    fn rotation(&mut self, rule: RotationRule, started: u64, state: RotationState) {
        let (successor, started_at) = (KeyId::from_u128(78), ago(started));
        self.row.rotation = Some(RotationRow { successor, rule, started_at, adopted_at: None, state });
    }

    fn found(&self) -> Vec<Finding> {
        let subject = Subject {
            tenant: &self.tenant,
            row: &self.row,
            grant: self.row.grant.as_ref().unwrap(),
            usage: &self.usage,
            unknown: &self.unknown,
            until: Timestamp::from_millis(NOW),
            now: Timestamp::from_millis(NOW),
            policies: &self.policies,
            owner_gone: self.owner_gone,
            issuer: self.issuer,
            successor: self.successor,
        };
        findings(&subject, &ASKED)
    }

    #[track_caller]
    fn is(&self, expected: &[(&str, &str)]) {
        let key_id = self.row.key_id.to_string();
        let found = self.found();
        let told: Vec<(&str, String)> = found
            .iter()
            .map(|finding| {
                (finding.kind.as_str(), finding.mend.replace(&key_id, "KEY").replace(" --tenant acme", ""))
            })
            .collect();
        let told: Vec<(&str, &str)> = told.iter().map(|(kind, mend)| (*kind, mend.as_str())).collect();
        assert_eq!(told, expected, "{found:?}");
    }
}

#[test]
fn a_sound_key_has_no_findings() {
    Given::sound().is(&[]);
}

#[test]
fn disuse_is_told_only_where_it_is_known() {
    let suspend = "rescind key suspend KEY --reason unused";
    let unused = |change: fn(&mut Given)| {
        Given::with(|given| {
            given.usage.last_used = Some(ago(30));
            change(given);
        })
    };
    unused(|_| {}).is(&[("unused", suspend)]);
    unused(|given| given.usage.last_used = Some(ago(29))).is(&[]);
    let unknown = unused(|given| given.unknown(10, 9));
    unknown.is(&[("use_unknown", "rescind key usage KEY")]);
    assert!(unknown.found()[0].evidence.contains("mail-2") && unknown.found()[0].since.is_none());
    let never = |given: &mut Given| given.usage = KeyUsage::default();
    Given::with(never).is(&[("never_used", suspend)]);
    Given::with(|given| {
        never(given);
        given.unknown(50, 40);
    })
    .is(&[("unused", suspend)]);
    Given::with(|given| {
        never(given);
        given.grant().issued_at = ago(29);
    })
    .is(&[]);
}

#[test]
fn a_narrower_set_is_proposed_only_on_whole_evidence() {
    let wide = |change: fn(&mut Given)| {
        Given::with(|given| {
            given.grant().scopes = ScopeSet::parse(["campaigns:send", "lists:*"]).unwrap();
            given.usage.scopes.push(part(Some("lists:read"), 2));
            change(given);
        })
    };
    let rescope = "rescind key rescope KEY --scope campaigns:send --scope lists:read";
    wide(|_| {}).is(&[("over_scoped", rescope)]);
    // Asked for, but never granted.
    wide(|given| given.usage.scopes.push(part(Some("users:read"), 0))).is(&[("over_scoped", rescope)]);
    wide(|given| given.usage.scopes.push(part(None, 1))).is(&[]);
    wide(|given| given.unknown(10, 9)).is(&[]);
    wide(|given| given.grant().issued_at = ago(29)).is(&[]);
    wide(|given| given.usage.scopes.push(part(Some("lists:*"), 1))).is(&[]);
}

#[test]
fn what_a_key_is_needs_no_usage() {
    Given::with(|given| given.grant().expires_at = None)
        .is(&[("never_expires", "rescind key expiry KEY --at 90d")]);
    Given::with(|given| given.grant().issued_at = ago(365)).is(&[("old", "rescind key rotate KEY")]);
    Given::with(|given| given.grant().issued_at = ago(364)).is(&[]);
    Given::with(|given| given.grant().environment = Environment::Test)
        .is(&[("test_in_use", "rescind key suspend KEY --reason investigating")]);
    Given::with(|given| given.owner_gone = Some(ago(70)))
        .is(&[("orphaned", "rescind key revoke KEY --reason owner_left")]);
    let issuer = EndedIssuer { key_id: KeyId::from_u128(5), at: ago(61), position: Position::new(3) };
    Given::with(|given| given.issuer = Some(issuer))
        .is(&[("issued_by_revoked", "rescind key revoke KEY --reason compromised --cascade")]);
}

#[test]
fn a_rotation_that_comes_to_nothing_is_told() {
    let default = RotationRule::DEFAULT;
    let at = |days| RotationRule::At(ago(days));
    let check = |rule, started, state, successor: Option<Standing>, expected: &[(&str, &str)]| {
        Given::with(|given| {
            given.rotation(rule, started, state);
            given.successor = successor.map(|standing| Successor { standing });
        })
        .is(expected);
    };
    let running = RotationState::Running;
    check(default, 29, running, Some(Standing::Active), &[]);
    let cancel = [("failed_rotation", "rescind rotation cancel KEY")];
    check(default, 31, running, Some(Standing::Active), &cancel);
    check(default, 1, running, Some(Standing::Revoked), &cancel);
    check(at(1), 5, running, Some(Standing::Active), &[("failed_rotation", "rescind rotation finish KEY")]);
    let cancelled = RotationState::Cancelled { at: ago(1) };
    check(default, 5, cancelled, None, &[("failed_rotation", "rescind key rotate KEY")]);
    check(default, 31, RotationState::Finished { at: ago(1), forced: false }, None, &[]);
}

#[test]
fn a_policy_that_was_set_later_is_a_matter_of_review() {
    let policy = |rules| Policy::new("house".parse().unwrap(), Selector::ALL, rules).unwrap();
    let under = |rules: PolicyRules| Given::with(|given| given.policies = vec![policy(rules)]);
    under(PolicyRules { rotate_after_ms: Some(60 * DAY), ..PolicyRules::default() })
        .is(&[("old", "rescind key rotate KEY")]);
    under(PolicyRules { longest_lifetime_ms: Some(60 * DAY), ..PolicyRules::default() })
        .is(&[("breaks_policy", "rescind key expiry KEY --at 60d")]);
    under(PolicyRules { scopes_denied: ScopeSet::parse(["campaigns:*"]).unwrap(), ..PolicyRules::default() })
        .is(&[("breaks_policy", "rescind key rescope KEY --no-scopes")]);
    let networks_allowed = Networks::parse(["192.0.2.0/24"]).unwrap();
    under(PolicyRules { networks_allowed, ..PolicyRules::default() })
        .is(&[("breaks_policy", "rescind key restrict KEY --network 192.0.2.0/24")]);
    under(PolicyRules { networks_required: true, ..PolicyRules::default() })
        .is(&[("breaks_policy", "rescind key usage KEY")]);
    let mut seen = under(PolicyRules { networks_required: true, ..PolicyRules::default() });
    seen.usage.networks = vec![part(Some("198.51.100.0/24"), 1)];
    seen.is(&[("breaks_policy", "rescind key restrict KEY --network 198.51.100.0/24")]);
}

#[test]
fn every_kind_is_its_word_and_the_error_names_them_all() {
    for kind in Kind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(*kind));
        assert!("x".parse::<Kind>().unwrap_err().to_string().contains(kind.as_str()));
    }
}

#[test]
fn nothing_is_said_of_the_use_of_operators() {
    let given = Given::with(|given| {
        given.tenant = TenantId::operators();
        given.usage = KeyUsage::default();
    });
    assert_eq!(given.found(), []);
}
