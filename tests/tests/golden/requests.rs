//! The commands that the golden request tags are of.

use domain::{
    CancelRotation, ChangeExpiry, CloseTenant, ConfigureTenant, EndSuspension, Environment, EraseOwner,
    ExpireKey, Finish, FinishRotation, Grant, ImportKey, IssueKey, Issuer, KeyId, Label, Labels,
    LeakResponse, MarkFirstUsed, Networks, OpenTenant, Owner, OwnerTag, Personal, PersonalText, Policy,
    PolicyRules, RecallKeys, ReinstateKey, RelabelKey, RemovePolicy, RenameKey, ReportLeak, RequestTag,
    RescopeKey, RestrictKey, RevokeKey, RevokeReason, RotateKey, RotationRule, ScopeSet, SecretDigest,
    Selector, SetPolicy, SuspendKey, SuspendReason, TenantId, Timestamp, TransferKey, WarnExpiry, Widening,
};
use wire::TagSecret;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const EXPIRES_AT: Timestamp = Timestamp::from_millis(1_811_160_000_000);
const UNTIL: Timestamp = Timestamp::from_millis(1_796_000_000_000);

/// The tag of the command that a row names.
pub(crate) fn tag(secret: &TagSecret, command: &str) -> RequestTag {
    beginning_or_end(secret, command)
        .or_else(|| change(secret, command))
        .or_else(|| suspension(secret, command))
        .or_else(|| rotation(secret, command))
        .or_else(|| tenant_command(secret, command))
        .unwrap_or_else(|| panic!("a list of golden request tags names {command}: build that command here"))
}

fn beginning_or_end(secret: &TagSecret, command: &str) -> Option<RequestTag> {
    let (tenant, key_id) = (tenant(), key_id());
    Some(match command {
        "issue-key" => secret.request_tag(&IssueKey { tenant, grant: grant(), issuer: None }),
        "issue-key-minimal" => secret.request_tag(&IssueKey { tenant, grant: minimal(), issuer: None }),
        "import-key" => {
            secret.request_tag(&ImportKey { tenant, digest: digest(), grant: grant(), issuer: None })
        }
        "import-key-minimal" => secret.request_tag(&ImportKey {
            tenant,
            digest: digest(),
            grant: minimal(),
            issuer: Some(key_id),
        }),
        "revoke-key" => {
            let note = Some(plain("Seen in a public repository"));
            secret.request_tag(&RevokeKey { tenant, key_id, reason: RevokeReason::Compromised, note })
        }
        "revoke-key-without-note" => {
            secret.request_tag(&RevokeKey { tenant, key_id, reason: RevokeReason::OwnerLeft, note: None })
        }
        "report-leak" => {
            let url = Some(plain("https://example.com/campaigns/blob/main/send.py"));
            secret.request_tag(&ReportLeak { tenant, key_id, source: "github".parse().unwrap(), url })
        }
        "report-leak-minimal" => {
            secret.request_tag(&ReportLeak { tenant, key_id, source: "scan".parse().unwrap(), url: None })
        }
        "expire-key" => secret.request_tag(&ExpireKey { tenant, key_id, expires_at: Timestamp::MAX }),
        "warn-expiry" => secret.request_tag(&WarnExpiry {
            tenant,
            key_id,
            expires_at: Timestamp::MAX,
            before_ms: 7 * DAY_MS,
        }),
        _ => return None,
    })
}

fn change(secret: &TagSecret, command: &str) -> Option<RequestTag> {
    let (tenant, key_id) = (tenant(), key_id());
    let rescope = |scopes, widening| {
        secret.request_tag(&RescopeKey { tenant: tenant.clone(), key_id, scopes, by: issuer(), widening })
    };
    let restrict = |networks, widening| {
        secret.request_tag(&RestrictKey { tenant: tenant.clone(), key_id, networks, widening })
    };
    Some(match command {
        "rename-key" => {
            secret.request_tag(&RenameKey { tenant, key_id, name: Some(plain("Autumn campaign")) })
        }
        "rename-key-to-nothing" => secret.request_tag(&RenameKey { tenant, key_id, name: None }),
        "relabel-key" => secret.request_tag(&RelabelKey { tenant, key_id, labels: grant().labels }),
        "relabel-key-to-none" => {
            secret.request_tag(&RelabelKey { tenant, key_id, labels: Labels::default() })
        }
        "transfer-key" => secret.request_tag(&TransferKey { tenant, key_id, owner: grant().owner }),
        "transfer-key-sealed" => secret.request_tag(&TransferKey { tenant, key_id, owner: minimal().owner }),
        "rescope-key" => rescope(grant().scopes, Widening::Allowed),
        "rescope-key-to-nothing" => rescope(ScopeSet::default(), Widening::Refused),
        "restrict-key" => restrict(grant().networks, Widening::Allowed),
        "restrict-key-to-anywhere" => restrict(Networks::default(), Widening::Refused),
        "change-expiry" => secret.request_tag(&ChangeExpiry { tenant, key_id, expires_at: Some(EXPIRES_AT) }),
        "change-expiry-to-never" => secret.request_tag(&ChangeExpiry { tenant, key_id, expires_at: None }),
        _ => return None,
    })
}

fn suspension(secret: &TagSecret, command: &str) -> Option<RequestTag> {
    let (tenant, key_id) = (tenant(), key_id());
    Some(match command {
        "suspend-key" => secret.request_tag(&SuspendKey {
            tenant,
            key_id,
            reason: SuspendReason::Investigating,
            note: Some(plain("Asked the list owner")),
            until: Some(UNTIL),
        }),
        "suspend-key-minimal" => {
            let reason = SuspendReason::Unused;
            secret.request_tag(&SuspendKey { tenant, key_id, reason, note: None, until: None })
        }
        "reinstate-key" => {
            let note = Some(plain("It was the list owner"));
            secret.request_tag(&ReinstateKey { tenant, key_id, note })
        }
        "reinstate-key-minimal" => secret.request_tag(&ReinstateKey { tenant, key_id, note: None }),
        "end-suspension" => secret.request_tag(&EndSuspension { tenant, key_id }),
        _ => return None,
    })
}

fn rotation(secret: &TagSecret, command: &str) -> Option<RequestTag> {
    let (tenant, key_id) = (tenant(), key_id());
    let rotate = |rule, expires_at, issuer| {
        secret.request_tag(&RotateKey { tenant: tenant.clone(), key_id, rule, expires_at, issuer })
    };
    let finish = |finish| secret.request_tag(&FinishRotation { tenant: tenant.clone(), key_id, finish });
    let used =
        |first_used_at| secret.request_tag(&MarkFirstUsed { tenant: tenant.clone(), key_id, first_used_at });
    Some(match command {
        "rotate-key-at" => rotate(RotationRule::At(UNTIL), None, None),
        "rotate-key-by-hand" => rotate(RotationRule::ByHand, None, Some(issuer())),
        "rotate-key-on-evidence" => {
            let rule = RotationRule::on_evidence(DAY_MS, 30 * DAY_MS).unwrap();
            rotate(rule, Some(EXPIRES_AT), None)
        }
        "mark-first-used" => {
            assert_eq!(used(UNTIL), used(EXPIRES_AT), "servers see the first use at different times");
            used(UNTIL)
        }
        "finish-rotation-by-rule" => {
            let tags = [true, false].map(|quiet| finish(Finish::ByRule { quiet }));
            assert_eq!(tags[0], tags[1], "what usage said is not what is asked");
            tags[0]
        }
        "finish-rotation-by-hand" => finish(Finish::ByHand),
        "finish-rotation-forced" => finish(Finish::Forced),
        "cancel-rotation" => secret.request_tag(&CancelRotation { tenant, key_id }),
        _ => return None,
    })
}

fn tenant_command(secret: &TagSecret, command: &str) -> Option<RequestTag> {
    let tenant = tenant();
    let open = |name, prefix: &str| {
        secret.request_tag(&OpenTenant { tenant: tenant.clone(), name, prefix: prefix.parse().unwrap() })
    };
    let configure = |name, prefix: Option<&str>, leak_response| {
        let prefix = prefix.map(|text| text.parse().unwrap());
        secret.request_tag(&ConfigureTenant { tenant: tenant.clone(), name, prefix, leak_response })
    };
    let recall = |selector, reason, note| {
        secret.request_tag(&RecallKeys { tenant: tenant.clone(), selector, reason, note })
    };
    let set = |name: &str, selector, rules| {
        let policy = Policy::new(name.parse().unwrap(), selector, rules).unwrap();
        secret.request_tag(&SetPolicy { tenant: tenant.clone(), policy })
    };
    let acme = plain("Acme Newsletters");
    Some(match command {
        "open-tenant" => open(Some(acme), "mail"),
        "open-tenant-unnamed" => open(None, "rsk"),
        "configure-tenant" => configure(Some(Some(acme)), Some("mail"), Some(LeakResponse::Suspend)),
        "configure-tenant-unnamed" => configure(Some(None), None, None),
        "configure-tenant-response" => configure(None, None, Some(LeakResponse::Revoke)),
        "close-tenant" => {
            let note = Some(plain("Moved to another sender"));
            secret.request_tag(&CloseTenant { tenant, note })
        }
        "close-tenant-minimal" => secret.request_tag(&CloseTenant { tenant, note: None }),
        "recall-keys" => recall(every_part(), RevokeReason::OwnerLeft, Some(plain("Left in spring"))),
        "recall-keys-all" => recall(Selector::ALL, RevokeReason::Compromised, None),
        "recall-keys-sealed" => {
            let selector = Selector { owner: Some(owner(sealed())), ..Selector::ALL };
            recall(selector, RevokeReason::OwnerLeft, Some(sealed()))
        }
        "set-policy" => set("senders", every_part(), every_rule()),
        "set-policy-minimal" => {
            let rules = PolicyRules { rotate_after_ms: Some(180 * DAY_MS), ..PolicyRules::default() };
            set("age", Selector::ALL, rules)
        }
        "erase-owner" => {
            let tag = std::array::from_fn(|at| 0xf0 + u8::try_from(at).unwrap());
            secret.request_tag(&EraseOwner { tenant, owner: OwnerTag::from_bytes(tag) })
        }
        "erase-owner-another" => {
            secret.request_tag(&EraseOwner { tenant, owner: OwnerTag::from_bytes([7; 16]) })
        }
        "remove-policy" => secret.request_tag(&RemovePolicy { tenant, name: "senders".parse().unwrap() }),
        _ => return None,
    })
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn key_id() -> KeyId {
    "01JDA7W5W6M4Q0T3S8V2N9X1YZ".parse().unwrap()
}

fn issuer() -> Issuer {
    Issuer { key_id: key_id(), scopes: ScopeSet::default() }
}

fn digest() -> SecretDigest {
    SecretDigest::from_bytes(std::array::from_fn(|at| 0x20 + u8::try_from(at).unwrap()))
}

fn grant() -> Grant {
    let label = |text: &str| text.parse::<Label>().unwrap();
    Grant {
        environment: Environment::Live,
        name: Some(plain("Spring campaign")),
        owner: owner(plain("list-sender")),
        scopes: ScopeSet::parse(["lists:*", "campaigns:send"]).unwrap(),
        labels: Labels::new(vec![label("team=lists/eu"), label("service=mailer")]).unwrap(),
        networks: Networks::parse(["2001:db8::/32", "192.0.2.0/24"]).unwrap(),
        expires_at: Some(EXPIRES_AT),
    }
}

fn minimal() -> Grant {
    Grant {
        environment: Environment::Test,
        name: None,
        owner: owner(sealed()),
        scopes: ScopeSet::default(),
        labels: Labels::default(),
        networks: Networks::default(),
        expires_at: None,
    }
}

fn every_part() -> Selector {
    Selector {
        owner: Some(owner(plain("list-sender"))),
        label: Some("service=mailer".parse().unwrap()),
        scope: Some("campaigns:send".parse().unwrap()),
        issuer: Some("01JDA6Z0000000000000000001".parse().unwrap()),
        environment: Some(Environment::Live),
    }
}

fn every_rule() -> PolicyRules {
    PolicyRules {
        default_lifetime_ms: Some(90 * DAY_MS),
        longest_lifetime_ms: Some(365 * DAY_MS),
        rotate_after_ms: Some(180 * DAY_MS),
        suspend_idle_after_ms: Some(30 * DAY_MS),
        revoke_idle_after_ms: Some(60 * DAY_MS),
        warn_before_expiry_ms: vec![7 * DAY_MS, DAY_MS],
        scopes_allowed: grant().scopes,
        scopes_denied: ScopeSet::parse(["lists:delete"]).unwrap(),
        networks_required: true,
        networks_allowed: grant().networks,
    }
}

fn owner(name: Personal) -> Owner {
    Owner { tag: OwnerTag::from_bytes([0; 16]), name }
}

fn plain(text: &str) -> Personal {
    Personal::Plain(PersonalText::note(text).unwrap())
}

/// Bytes that are no UTF-8.
fn sealed() -> Personal {
    Personal::Sealed(vec![0xff, 0x00, 0x80, 0xc3, 0x28])
}
