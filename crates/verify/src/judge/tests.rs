//! Every verdict against every set of conditions, and what each answer tells to whom.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::{Grant, KeyIssued, Networks, Scope};

use super::*;
use crate::given::*;
use crate::{Answer, AsOf};

/// What is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Right,
    NoKey,
    OtherSecret,
    OtherTenant,
    NeverIssued,
}

const TOKENS: [Token; 5] =
    [Token::Right, Token::NoKey, Token::OtherSecret, Token::OtherTenant, Token::NeverIssued];

/// One key and one request; each flag brings its verdict about.
#[derive(Clone, Copy, Debug)]
struct Conditions {
    token: Token,
    standing: Standing,
    refused: bool,
    quarantined: bool,
    tenant_quarantined: bool,
    time_is_up: bool,
    closed: bool,
    stale: bool,
    outside: bool,
    beyond_scope: bool,
}

fn all_conditions() -> impl Iterator<Item = Conditions> {
    let standings = Standing::ALL.into_iter().filter(|standing| *standing != Standing::Quarantined);
    standings.flat_map(|standing| {
        TOKENS.into_iter().flat_map(move |token| {
            (0..256_u32).map(move |bits| Conditions {
                token,
                standing,
                refused: bits & 1 != 0,
                quarantined: bits & 2 != 0,
                tenant_quarantined: bits & 4 != 0,
                time_is_up: bits & 8 != 0,
                closed: bits & 16 != 0,
                stale: bits & 32 != 0,
                outside: bits & 64 != 0,
                beyond_scope: bits & 128 != 0,
            })
        })
    })
}

impl Conditions {
    /// All verdicts that apply; the order of the enum says which is given.
    fn applying(&self) -> Vec<Verdict> {
        let is = |standing| self.standing == standing;
        [
            (Verdict::Malformed, self.token == Token::NoKey),
            (Verdict::Unknown, self.token != Token::Right),
            (Verdict::Revoked, self.refused || is(Standing::Revoked)),
            (Verdict::Recalled, is(Standing::Recalled)),
            (Verdict::Quarantined, self.quarantined || self.tenant_quarantined),
            (Verdict::Expired, self.time_is_up || is(Standing::Expired)),
            (Verdict::Suspended, is(Standing::Suspended)),
            (Verdict::TenantClosed, self.closed),
            (Verdict::Stale, self.stale),
            (Verdict::NetworkDenied, self.outside),
            (Verdict::ScopeDenied, self.beyond_scope),
            (Verdict::Valid, true),
        ]
        .into_iter()
        .filter_map(|(verdict, applies)| applies.then_some(verdict))
        .collect()
    }

    fn answer(&self) -> Answer {
        let (index, mut writer) = given_acme();
        let grant = Grant {
            expires_at: Some(if self.time_is_up { NOW } else { LATER }),
            networks: Networks::parse(["192.0.2.0/24"]).unwrap(),
            ..granted()
        };
        let issued = KeyIssued { grant, ..issued(1) };
        assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued), crate::Applied::Done);
        writer.advance(at(2));
        change_row(&index, key_id(1), |row| match self.standing {
            Standing::Active | Standing::Quarantined => {}
            Standing::Suspended => row.suspend(),
            ended => row.end(ended, NOW),
        });
        if self.quarantined {
            change_row(&index, key_id(1), HotRow::quarantine);
        }
        let entry = index.tenants.at(index.tenants.find(&acme()).unwrap());
        if self.tenant_quarantined {
            entry.quarantine();
        }
        if self.closed {
            entry.close();
        }
        if self.refused {
            index.refuse(key_id(1), at(3), NOW);
        }
        self.ask(&index)
    }

    fn ask(&self, index: &KeyIndex) -> Answer {
        let token = match self.token {
            Token::Right | Token::OtherTenant => token(1),
            Token::NoKey => token(1).replace("live", "love"),
            Token::OtherSecret => forged(1),
            Token::NeverIssued => token(2),
        };
        let wanted = if self.token == Token::OtherTenant { tenant("other") } else { acme() };
        let scope: Scope = if self.beyond_scope { "lists:read" } else { "campaigns:send" }.parse().unwrap();
        let network: IpAddr = if self.outside { "198.51.100.1" } else { "192.0.2.1" }.parse().unwrap();
        let request = VerifyRequest {
            token: &token,
            tenant: Some(&wanted),
            scope: Some(&scope),
            network: Some(network),
        };
        let boot_ms = MOMENT.boot_ms + if self.stale { 5_001 } else { 5_000 };
        index.verify(&request, Moment { boot_ms, ..MOMENT })
    }
}

#[test]
fn the_verdict_is_the_first_that_applies_under_every_set_of_conditions() {
    for conditions in all_conditions() {
        let answer = conditions.answer();
        let applying = conditions.applying();
        assert_eq!(Some(&answer.verdict), applying.iter().min(), "{conditions:?}");
        assert_eq!(answer.holder.is_some(), conditions.token == Token::Right, "{conditions:?}");
        let since = answer.holder.and_then(|holder| holder.since);
        let ended = matches!(answer.verdict, Verdict::Revoked | Verdict::Recalled | Verdict::Expired);
        assert_eq!(since, ended.then_some(NOW), "{conditions:?}");
    }
}

#[test]
fn all_verdicts_are_reached_and_in_the_order_of_the_list() {
    let reached: std::collections::BTreeSet<Verdict> =
        all_conditions().map(|conditions| conditions.answer().verdict).collect();
    assert!(reached.into_iter().eq(Verdict::ALL));
    assert!(Verdict::ALL.is_sorted());
}

#[test]
fn a_guess_learns_nothing_whatever_became_of_the_key() {
    let (index, mut writer) = given_acme();
    let _ = writer.issue(at(2), &acme(), key_id(1), &issued(1));
    let before = verify(&index, &forged(1));
    index.refuse(key_id(1), at(3), NOW);
    let after = verify(&index, &forged(1));
    let nobody = verify(&index, &token(2));
    for answer in [&before, &after, &nobody] {
        assert_eq!((answer.verdict, answer.holder.is_some()), (Verdict::Unknown, false));
    }
    assert_eq!(before.as_of, nobody.as_of);
}

#[test]
fn the_holder_learns_whose_key_it_is_and_nothing_is_copied() {
    let (index, mut writer) = given_acme();
    let grant = Grant { expires_at: Some(LATER), ..granted() };
    let issued = KeyIssued { grant, ..issued(1) };
    let _ = writer.issue(at(2), &acme(), key_id(1), &issued);
    let first = verify(&index, &token(1)).holder.unwrap();
    let second = verify(&index, &token(1)).holder.unwrap();
    assert_eq!(
        (&*first.tenant, first.key_id, first.environment),
        (&acme(), key_id(1), issued.grant.environment)
    );
    assert_eq!(
        (&*first.owner, &*first.scopes, first.expires_at),
        (&issued.grant.owner, &issued.grant.scopes, Some(LATER))
    );
    assert!(Arc::ptr_eq(&first.owner, &second.owner) && Arc::ptr_eq(&first.scopes, &second.scopes));
}

#[test]
fn a_key_without_networks_and_a_request_without_scope_are_not_denied() {
    let (index, mut writer) = given_acme();
    let _ = writer.issue(at(2), &acme(), key_id(1), &issued(1));
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Valid);
    let schemed = format!("secret-token:{}", token(1));
    assert_eq!(verify(&index, &schemed).verdict, Verdict::Valid);
}

#[test]
fn an_answer_says_how_recent_it_is() {
    let (index, _writer) = crate::new_index(MAX_STALENESS);
    assert_eq!(verify(&index, "x").as_of, AsOf { position: at(0), lag: Duration::MAX });
    index.prove_fresh(MOMENT.boot_ms - 40);
    assert_eq!(verify(&index, "x").as_of.lag, Duration::from_millis(40));
    index.prove_fresh(MOMENT.boot_ms + 10);
    assert_eq!(verify(&index, "x").as_of.lag, Duration::ZERO, "a proof asked for after the moment was taken");
}

#[test]
fn no_secret_opens_a_key_that_was_never_read() {
    let (index, mut writer) = given_acme();
    let _ = writer.issue(at(2), &acme(), key_id(1), &issued(1));
    change_row(&index, key_id(1), |row| {
        // As if the digest of a key whose issue was not read were known: the flag for issued cleared.
        let mut bytes = row.to_bytes();
        bytes[63] = 0;
        *row = HotRow::from_bytes(&bytes).unwrap();
    });
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Unknown);
}

const FOREIGN: &str = "sk-campaigns-0123456789";

fn ask(index: &KeyIndex, token: &str, tenant: Option<&TenantId>) -> Verdict {
    index.verify(&VerifyRequest { token, tenant, scope: None, network: None }, MOMENT).verdict
}

fn import(writer: &mut crate::IndexWriter, position: u64, token: &str) -> KeyId {
    let imported = imported(token);
    let key_id = ImportKey::key_id(&acme(), &imported.digest);
    assert_eq!(writer.import(at(position), &acme(), key_id, &imported), crate::Applied::Done);
    writer.advance(at(position));
    key_id
}

#[test]
fn an_imported_key_is_opened_by_its_old_token_within_its_tenant() {
    let (index, mut writer) = given_acme();
    let key_id = import(&mut writer, 2, FOREIGN);
    let long = "x".repeat(MAX_IMPORTED_TOKEN);
    import(&mut writer, 3, &long);
    let (ours, other) = (acme(), tenant("other"));
    assert_eq!(ask(&index, FOREIGN, Some(&ours)), Verdict::Valid);
    assert_eq!(ask(&index, &long, Some(&ours)), Verdict::Valid);
    assert_eq!(ask(&index, FOREIGN, None), Verdict::Malformed, "nobody said whose");
    assert_eq!(ask(&index, FOREIGN, Some(&other)), Verdict::Malformed);
    assert_eq!(ask(&index, "sk-campaigns-012345678", Some(&ours)), Verdict::Malformed);
    let request = VerifyRequest { token: FOREIGN, tenant: Some(&ours), scope: None, network: None };
    let holder = index.verify(&request, MOMENT).holder.unwrap();
    assert_eq!((holder.key_id, &*holder.tenant), (key_id, &ours));
    index.refuse(key_id, at(4), NOW);
    assert_eq!(ask(&index, FOREIGN, Some(&ours)), Verdict::Revoked, "like any key");
}

#[test]
fn a_token_that_is_longer_than_any_is_not_looked_up() {
    let (index, mut writer) = given_acme();
    let longer = "x".repeat(MAX_IMPORTED_TOKEN + 1);
    import(&mut writer, 2, &longer);
    assert_eq!(ask(&index, &longer, Some(&acme())), Verdict::Malformed);
}

#[test]
fn a_token_of_our_form_may_be_another_services_and_is_then_imported() {
    let (index, mut writer) = given_acme();
    import(&mut writer, 2, &token(1));
    assert_eq!(ask(&index, &token(1), Some(&acme())), Verdict::Valid);
    assert_eq!(ask(&index, &token(1), None), Verdict::Unknown);
}

#[test]
fn neither_way_opens_a_key_of_the_other() {
    // An imported row where a key of our form would be, with the digest that would open it; and the other way round.
    let (index, mut writer) = given_acme();
    let KeyIssued { digest, grant, .. } = issued(1);
    let planted = domain::KeyImported { digest, grant, issuer: None };
    assert_eq!(writer.import(at(2), &acme(), key_id(1), &planted), crate::Applied::Done);
    let imported = imported(FOREIGN);
    let foreign_id = ImportKey::key_id(&acme(), &imported.digest);
    let planted = KeyIssued { digest: imported.digest, ..issued(2) };
    assert_eq!(writer.issue(at(3), &acme(), foreign_id, &planted), crate::Applied::Done);
    writer.advance(at(3));
    assert_eq!(ask(&index, &token(1), Some(&acme())), Verdict::Unknown);
    assert_eq!(ask(&index, FOREIGN, Some(&acme())), Verdict::Malformed);
}
