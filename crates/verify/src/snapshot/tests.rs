//! A snapshot comes back whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use domain::{Grant, KeyIssued, Labels, Networks, Revision, ScopeSet, Selector, TenantId};

use super::*;
use crate::given::*;
use crate::{IndexWriter, KeyIndex, Verdict};

const LOG: LogId = LogId::from_u128(42);
const READER: u32 = 3;
const HEADER: SnapshotHeader = SnapshotHeader { log_id: LOG, position: Position::new(40), reader: READER };

/// Every kind of row, tenant and value.
fn given_index() -> (Arc<KeyIndex>, IndexWriter) {
    let (index, mut writer) = given_acme();
    let operators = TenantId::operators();
    let _ = writer.open_tenant(at(2), &operators);
    let _ = writer.issue(at(3), &operators, key_id(1), &issued(1));
    let grant = Grant {
        expires_at: Some(LATER),
        scopes: ScopeSet::parse(["lists:*", "campaigns:send"]).unwrap(),
        labels: Labels::new(vec!["service=mailer".parse().unwrap(), "team=lists".parse().unwrap()]).unwrap(),
        networks: Networks::parse(["192.0.2.0/24", "2001:db8::1"]).unwrap(),
        ..granted()
    };
    let rich = KeyIssued { grant, issuer: Some(key_id(1)), ..issued(2) };
    let _ = writer.issue(at(4), &acme(), key_id(2), &rich);
    let mut sealed = issued(3);
    sealed.grant.owner.tag = domain::OwnerTag::from_bytes([6; 16]);
    sealed.grant.owner.name = domain::Personal::Sealed(vec![0, 1, 255]);
    let _ = writer.issue(at(5), &acme(), key_id(3), &sealed);
    let _ = writer.issue(at(6), &acme(), key_id(4), &issued(4));
    let _ = writer.change(at(7), &acme(), key_id(4), Revision::new(2), NOW, &revoked());
    let _ = writer.issue(at(8), &acme(), key_id(5), &issued(5));
    let _ = writer.change(at(9), &acme(), key_id(5), Revision::new(2), NOW, &expired());
    writer.quarantine_key(at(10), &acme(), key_id(3));
    writer.quarantine_key(at(11), &acme(), key_id(6));
    writer.quarantine_tenant(at(12), &tenant("other"));
    let _ = writer.issue(at(13), &tenant("unopened"), key_id(7), &issued(7));
    let imported_id = domain::ImportKey::key_id(&acme(), &imported("sk-1").digest);
    let _ = writer.import(at(14), &acme(), imported_id, &imported("sk-1"));
    let _ = writer.change(at(15), &acme(), key_id(2), Revision::new(2), NOW, &transferred(8));
    let closed = domain::Event::TenantClosed(domain::TenantClosed { note: None });
    let _ = writer.change_tenant(at(16), &tenant("other"), Revision::new(2), NOW, &closed);
    writer.note_notice(&acme(), at(9));
    writer.advance(HEADER.position);
    (index, writer)
}

fn written(writer: &IndexWriter) -> Vec<u8> {
    let mut bytes = Vec::new();
    writer.write_snapshot(&HEADER, &mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<(SnapshotHeader, Arc<KeyIndex>, IndexWriter), SnapshotError> {
    read_snapshot(bytes, LOG, READER, MAX_STALENESS)
}

/// Puts the right checksums over changed bytes.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let header_crc = crc32fast::hash(&bytes[..HEADER_BYTES]);
    bytes[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&header_crc.to_le_bytes());
    let end = bytes.len() - 4;
    let crc = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn a_snapshot_comes_back_whole() {
    let (index, writer) = given_index();
    let (header, back, mut back_writer) = read(&written(&writer)).unwrap();
    assert_eq!((header, back.applied(), back.key_count()), (HEADER, HEADER.position, index.key_count()));
    for name in ["acme", "other", "unopened", "rescind", "absent"] {
        let (ours, mut theirs) = (index.tenant(&tenant(name)), back.tenant(&tenant(name)));
        if let (Some(ours), Some(theirs)) = (&ours, &mut theirs) {
            assert!(theirs.last_unread >= ours.last_unread, "{name}: or a later one");
            theirs.last_unread = ours.last_unread;
        }
        assert_eq!(theirs, ours, "{name}");
        for n in 1..=8 {
            assert_eq!(back.key(&tenant(name), key_id(n)), index.key(&tenant(name), key_id(n)), "{name} {n}");
        }
    }
    assert_eq!(back.keys_of_operators(), index.keys_of_operators());
    assert_eq!(verify(&back, &token(2)).verdict, Verdict::Stale, "the lease must be proven anew");
    back.prove_fresh(MOMENT.boot_ms);
    for n in 1..=8 {
        let (ours, theirs) = (verify(&index, &token(n)), verify(&back, &token(n)));
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{n}");
    }
    // The writer goes on where the other stopped.
    assert_eq!(back_writer.issue(at(8), &acme(), key_id(5), &issued(5)), crate::Applied::Older);
    let revoked = back_writer.change(at(41), &acme(), key_id(2), Revision::new(3), NOW, &revoked());
    assert_eq!((revoked, verify(&back, &token(2)).verdict), (crate::Applied::Done, Verdict::Revoked));
    let issued_after = KeyIssued { issuer: Some(key_id(1)), ..issued(8) };
    assert_eq!(back_writer.issue(at(42), &acme(), key_id(8), &issued_after), crate::Applied::Done);
    assert_eq!(back.key(&acme(), key_id(8)).unwrap().key.issuer, Some(key_id(1)));
}

#[test]
fn an_empty_index_comes_back() {
    let (_, mut writer) = crate::new_index(MAX_STALENESS);
    writer.advance(HEADER.position);
    assert_eq!(read(&written(&writer)).unwrap().1.key_count(), 0);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = written(&given_index().1);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(read(&changed).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn every_truncation_and_any_addition_is_noticed() {
    let bytes = written(&given_index().1);
    for len in 0..bytes.len() {
        assert!(read(&bytes[..len]).is_err(), "cut off at {len}");
    }
    let longer = [&*bytes, &[0]].concat();
    assert!(matches!(read(&longer), Err(SnapshotError::Damaged { what: "bytes after the end" })));
}

#[test]
fn wrong_bytes_under_right_checksums_never_panic() {
    let bytes = written(&given_index().1);
    for at in 0..bytes.len() - 4 {
        for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at].wrapping_add(1)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok((_, index, _)) = read(&sealed(changed)) {
                // What is accepted can also be used.
                for n in 1..=8 {
                    let _ = verify(&index, &token(n));
                    let _ = index.key(&acme(), key_id(n));
                }
            }
        }
    }
}

#[test]
fn a_count_is_not_believed_before_its_values_come() {
    let bytes = written(&given_index().1);
    // Six counts of four bytes and one of eight end the header.
    for (at, len) in (HEADER_BYTES - 32..HEADER_BYTES).step_by(4).map(|at| (at, 4)) {
        let mut changed = bytes.clone();
        changed[at..at + len].fill(0xff);
        assert!(matches!(read(&changed), Err(SnapshotError::Damaged { what: "the header's checksum" })));
        assert!(read(&sealed(changed)).is_err(), "count at {at}");
    }
}

#[test]
fn another_log_a_newer_reader_and_another_format_are_told_apart() {
    let bytes = written(&given_index().1);
    let other = read_snapshot(&*bytes, LogId::from_u128(43), READER, MAX_STALENESS);
    assert!(matches!(other, Err(SnapshotError::OtherLog { found: LOG, .. })));
    let older = read_snapshot(&*bytes, LOG, READER - 1, MAX_STALENESS);
    assert!(matches!(older, Err(SnapshotError::Reader { found: READER, max: 2 })));
    assert!(read_snapshot(&*bytes, LOG, READER + 1, Duration::ZERO).is_ok());
    let mut format = bytes.clone();
    format[8] = 1;
    assert!(matches!(read(&sealed(format)), Err(SnapshotError::Format { found: 1, known: 2 })));
    assert!(matches!(read(b"rescind!"), Err(SnapshotError::NotASnapshot)));
}

#[test]
fn a_header_of_another_position_is_refused() {
    let (_, writer) = given_index();
    let header = SnapshotHeader { position: at(39), ..HEADER };
    let error = writer.write_snapshot(&header, io::sink()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn what_no_row_refers_to_any_more_is_left_behind() {
    let (index, mut writer) = given_acme();
    for n in 1..=3 {
        let mut key = issued(n);
        key.grant.owner = owner_of(n as u8);
        key.grant.labels = Labels::new(vec![format!("list={n}").parse().unwrap()]).unwrap();
        key.grant.scopes = ScopeSet::parse([format!("lists:{n}")]).unwrap();
        key.grant.networks = Networks::parse([format!("192.0.2.{n}")]).unwrap();
        key.issuer = Some(key_id(90 + n));
        let _ = writer.issue(at(1 + u64::from(n)), &acme(), key_id(n), &key);
    }
    // The first key takes on what the third has; what it had before is nobody's then.
    let third = issued(3).grant;
    let scopes = ScopeSet::parse(["lists:3"]).unwrap();
    let changes = [
        transferred(3),
        relabelled("list=3"),
        domain::Event::KeyRescoped(domain::KeyRescoped { scopes }),
        domain::Event::KeyRestricted(domain::KeyRestricted { networks: third.networks }),
    ];
    for (n, event) in (2..).zip(changes) {
        let applied = writer.change(at(u64::from(n) + 3), &acme(), key_id(1), Revision::new(n), NOW, &event);
        assert_eq!(applied, crate::Applied::Done);
    }
    writer.advance(HEADER.position);
    let (_, back, _) = read(&written(&writer)).unwrap();
    for n in 1..=3 {
        assert_eq!(back.key(&acme(), key_id(n)), index.key(&acme(), key_id(n)));
        let request = crate::VerifyRequest { token: &token(n), tenant: None, scope: None, network: None };
        let owner = |index: &KeyIndex| index.verify(&request, MOMENT).holder.unwrap().owner;
        assert_eq!(owner(&back), owner(&index));
    }
    let lens = |index: &KeyIndex| {
        let values = &index.values;
        [
            values.owners.len(),
            values.labels.len(),
            values.scopes.len(),
            values.networks.len(),
            values.issuers.len(),
        ]
    };
    assert_eq!((lens(&index), lens(&back)), ([4, 4, 4, 4, 4], [3, 3, 3, 3, 4]));
}

#[test]
fn recalls_must_be_in_the_rows_first() {
    let (index, mut writer) = given_index();
    let applied = writer.change_tenant(at(41), &acme(), Revision::new(2), NOW, &recalled(Selector::ALL));
    assert_eq!(applied, crate::Applied::Done);
    writer.advance(at(41));
    let header = SnapshotHeader { position: at(41), ..HEADER };
    assert_eq!(writer.write_snapshot(&header, io::sink()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    writer.settle();
    // One that this index has not applied: it is in the log after the position.
    index.recall(&tenant("elsewhere"), at(42), NOW, &Selector::ALL);
    let mut bytes = Vec::new();
    writer.write_snapshot(&header, &mut bytes).unwrap();
    let (_, back, _) = read(&bytes).unwrap();
    back.prove_fresh(MOMENT.boot_ms);
    assert_eq!(verify(&back, &token(2)).verdict, Verdict::Recalled);
    assert_eq!(back.tenant(&tenant("elsewhere")), None);
}
