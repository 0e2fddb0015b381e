//! The golden events of a key that changes.

use domain::{
    Cause, Envelope, Event, KeyExpiryChanged, KeyReinstated, KeyRelabelled, KeyRenamed, KeyRescoped,
    KeyRestricted, KeySuspended, KeyTransferred, Labels, Networks, Revision, ScopeSet, SuspendReason,
};

use super::{
    EXPIRES_AT, Golden, KEY, UNTIL, by_itself, envelope, labels, networks, owner, plain, scopes, sealed,
};

pub(super) fn golden() -> Vec<Golden> {
    [attributes(), suspended(), reinstated()].concat()
}

fn second(command_id: &str, event: Event) -> Envelope {
    Envelope { revision: Revision::new(2), ..envelope(KEY, command_id, event) }
}

fn attributes() -> Vec<Golden> {
    let renamed = |name| second("rename-spring", Event::KeyRenamed(KeyRenamed { name }));
    let relabelled = |labels| second("relabel-spring", Event::KeyRelabelled(KeyRelabelled { labels }));
    let transferred =
        |name| second("transfer-spring", Event::KeyTransferred(KeyTransferred { owner: owner(name) }));
    let rescoped = |scopes| second("rescope-spring", Event::KeyRescoped(KeyRescoped { scopes }));
    let restricted = |networks| second("restrict-spring", Event::KeyRestricted(KeyRestricted { networks }));
    let moved =
        |expires_at| second("expiry-spring", Event::KeyExpiryChanged(KeyExpiryChanged { expires_at }));
    vec![
        ("KeyRenamed".to_owned(), renamed(Some(plain("Autumn campaign")))),
        ("KeyRenamed-minimal".to_owned(), renamed(None)),
        ("KeyRenamed-sealed".to_owned(), renamed(Some(sealed()))),
        ("KeyRelabelled".to_owned(), relabelled(labels())),
        ("KeyRelabelled-minimal".to_owned(), relabelled(Labels::default())),
        ("KeyTransferred".to_owned(), transferred(plain("list-sender"))),
        ("KeyTransferred-sealed".to_owned(), transferred(sealed())),
        ("KeyRescoped".to_owned(), rescoped(scopes())),
        ("KeyRescoped-minimal".to_owned(), rescoped(ScopeSet::default())),
        ("KeyRestricted".to_owned(), restricted(networks())),
        ("KeyRestricted-minimal".to_owned(), restricted(Networks::default())),
        ("KeyExpiryChanged".to_owned(), moved(Some(EXPIRES_AT))),
        ("KeyExpiryChanged-never".to_owned(), moved(None)),
    ]
}

fn suspended() -> Vec<Golden> {
    let suspended = |command_id: &str, reason, note, until| {
        second(command_id, Event::KeySuspended(KeySuspended { reason, note, until }))
    };
    let note = Some(plain("Asked the list owner"));
    let mut golden = vec![
        (
            "KeySuspended".to_owned(),
            suspended("suspend-spring", SuspendReason::Investigating, note, Some(UNTIL)),
        ),
        (
            "KeySuspended-sealed".to_owned(),
            suspended("suspend-spring", SuspendReason::Other, Some(sealed()), None),
        ),
    ];
    golden.extend(SuspendReason::ALL.map(|reason| {
        let envelope = suspended(&format!("suspend-{reason}"), reason, None, None);
        let envelope = match reason {
            SuspendReason::Unused | SuspendReason::Policy => by_itself(Cause::Policy, envelope),
            _ => envelope,
        };
        (format!("KeySuspended-{reason}"), envelope)
    }));
    golden
}

fn reinstated() -> Vec<Golden> {
    let reinstated = |note| Envelope {
        revision: Revision::new(3),
        ..second("reinstate-spring", Event::KeyReinstated(KeyReinstated { note }))
    };
    vec![
        ("KeyReinstated".to_owned(), reinstated(Some(plain("It was the list owner")))),
        ("KeyReinstated-minimal".to_owned(), by_itself(Cause::Expiry, reinstated(None))),
        ("KeyReinstated-sealed".to_owned(), reinstated(Some(sealed()))),
    ]
}
