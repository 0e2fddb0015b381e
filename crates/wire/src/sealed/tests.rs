//! What opens, and everything that must not.

use domain::{KeyId, StreamName};

use super::*;

const OWNER: OwnerTag = OwnerTag::from_bytes([5; 16]);

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn key(id: u128) -> StreamName {
    StreamName::Key(acme(), KeyId::from_u128(id))
}

fn seal(byte: u8, generation: u32) -> Seal {
    Seal::new([byte; 32], generation)
}

fn plain(text: &str) -> Personal {
    Personal::Plain(PersonalText::note(text).unwrap())
}

fn bytes(value: &Personal) -> Vec<u8> {
    match value {
        Personal::Sealed(bytes) => bytes.clone(),
        Personal::Plain(_) => panic!("it is not sealed"),
    }
}

fn sealed(by: &Seal, field: TextField, event: u128) -> Vec<u8> {
    let mut value = plain("Ada, on leave — ✉ since May");
    by.seal((&key(7), EventId::from_u128(event)), (field, OWNER), &mut value);
    bytes(&value)
}

fn owner(by: &Seal) -> Owner {
    let mut owner = Owner { tag: OWNER, name: plain("ada@lists.example") };
    by.seal_owner(&acme(), &mut owner);
    owner
}

#[test]
fn a_text_opens_with_its_seal_in_its_place() {
    for generation in [1, 127, 128, u32::MAX] {
        let by = seal(1, generation);
        for field in TextField::ALL.into_iter().filter(|field| *field != TextField::Owner) {
            let sealed = sealed(&by, field, 9);
            assert_eq!(by.open(&key(7), &sealed).unwrap().as_str(), "Ada, on leave — ✉ since May");
            let told = SealedText::read(&key(7), &sealed).unwrap();
            assert_eq!((told.field, told.generation, told.subject.owner), (field, generation, OWNER));
            assert!(!sealed.windows(3).any(|part| part == b"Ada"), "it can be read");
            let mut again = Personal::Sealed(sealed.clone());
            by.seal((&key(7), EventId::from_u128(9)), (field, OWNER), &mut again);
            assert_eq!(bytes(&again), sealed, "what is sealed is left alone");
        }
        assert_eq!(by.open_owner(&acme(), &owner(&by)).unwrap().as_str(), "ada@lists.example");
    }
}

#[test]
fn an_owner_s_name_is_the_same_bytes_each_time_and_no_other_text_is() {
    let by = seal(1, 1);
    assert_eq!(owner(&by), owner(&by));
    assert_ne!(owner(&by), owner(&seal(2, 1)));
    assert_ne!(sealed(&by, TextField::Note, 1), sealed(&by, TextField::Note, 2));
    assert_ne!(sealed(&by, TextField::Note, 1)[35..], sealed(&by, TextField::Url, 1)[35..]);
}

#[test]
fn an_operator_s_network_is_their_own_wherever_it_stands() {
    let sealed = sealed(&seal(1, 1), TextField::OperatorNetwork, 1);
    assert!(SealedText::read(&key(7), &sealed).unwrap().subject.tenant.is_operators());
}

#[test]
fn a_note_on_a_recall_opens_beside_the_keys_that_it_hit() {
    let by = seal(1, 1);
    let mut value = plain("the laptop was stolen");
    let tenant = StreamName::Tenant(acme());
    by.seal((&tenant, EventId::from_u128(1)), (TextField::RecallNote, OWNER), &mut value);
    assert!(by.open(&tenant, &bytes(&value)).is_some());
    assert!(by.open(&key(7), &bytes(&value)).is_some());
}

#[test]
fn nothing_opens_with_another_seal_or_elsewhere() {
    let by = seal(1, 2);
    let note = sealed(&by, TextField::Note, 9);
    let name = owner(&by);
    let other = "other".parse().unwrap();
    assert_eq!(seal(2, 2).open(&key(7), &note), None, "another secret");
    assert_eq!(seal(1, 1).open(&key(7), &note), None, "another generation");
    assert_eq!(by.open(&key(8), &note), None, "another key");
    assert_eq!(by.open(&StreamName::Key(other, KeyId::from_u128(7)), &note), None, "another tenant");
    assert_eq!(by.open_owner(&"other".parse().unwrap(), &name), None, "another tenant's owner");
    let moved = Owner { tag: OwnerTag::from_bytes([6; 16]), ..name };
    assert_eq!(by.open_owner(&acme(), &moved), None, "another owner");
}

#[test]
fn nothing_opens_once_a_bit_is_changed_or_a_byte_is_missing() {
    let by = seal(1, 1);
    let note = sealed(&by, TextField::Note, 9);
    let Personal::Sealed(name) = owner(&by).name else { panic!("it is sealed") };
    for at in 0..note.len() {
        let mut changed = note.clone();
        changed[at] ^= 1;
        assert_eq!(by.open(&key(7), &changed), None, "byte {at}");
        assert_eq!(by.open(&key(7), &note[..at]), None, "{at} bytes");
    }
    for at in 0..name.len() {
        let mut changed = name.clone();
        changed[at] ^= 1;
        let of = |bytes: &[u8]| Owner { tag: OWNER, name: Personal::Sealed(bytes.to_vec()) };
        assert_eq!(by.open_owner(&acme(), &of(&changed)), None, "byte {at}");
        assert_eq!(by.open_owner(&acme(), &of(&name[..at])), None, "{at} bytes");
    }
    assert_eq!(by.open(&key(7), &[]), None);
    assert_eq!(format!("{by:?}"), "Seal { generation: 1, .. }");
}
