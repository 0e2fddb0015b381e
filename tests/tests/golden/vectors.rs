//! Vectors that another implementation has to meet: the key's text and digest, derived key ids, keyed tags.

use std::collections::HashSet;

use domain::{
    CommandId, Environment, EventId, IssueKey, KeyFormatError, KeyId, Owner, OwnerTag, ParsedKey, Personal,
    PersonalText, PlainSecret, Prefix, StreamName, TenantId, TextField, digest_key, format_key,
};
use wire::{Seal, TagSecret};

use crate::files::{hex, rows, unhex};
use crate::requests;

const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A secret of just these characters: each is drawn by its place in the alphabet.
fn secret(text: &str) -> PlainSecret {
    PlainSecret::draw(|bytes| {
        for (byte, c) in bytes.iter_mut().zip(text.chars()) {
            *byte = u8::try_from(BASE62.find(c).expect("a secret is base62")).unwrap();
        }
    })
}

#[test]
fn keys_are_written_and_read_in_the_published_form() {
    for row in rows("keys.txt") {
        let [prefix, environment, key_id, secret_text, key, digest] =
            row.split(' ').collect::<Vec<_>>().try_into().expect("six words a row");
        let (prefix, environment): (Prefix, Environment) =
            (prefix.parse().unwrap(), environment.parse().unwrap());
        let key_id: KeyId = key_id.parse().unwrap();
        assert_eq!(format_key(&prefix, environment, key_id, &secret(secret_text)).expose(), key);
        assert_eq!(
            hex(&digest_key(&prefix, environment, key_id, &secret(secret_text)).to_bytes()),
            digest,
            "{key}"
        );
        for text in [key.to_owned(), format!("secret-token:{key}")] {
            let parsed = ParsedKey::parse(&text).unwrap_or_else(|error| panic!("{key}: {error}"));
            assert_eq!(
                (parsed.prefix, parsed.environment, parsed.key_id),
                (prefix.as_str(), environment, key_id)
            );
            assert_eq!(hex(&parsed.digest().to_bytes()), digest, "{key}");
        }
    }
}

#[test]
fn texts_that_are_no_keys_are_refused_for_the_right_reason() {
    for row in rows("keys-refused.txt") {
        let (why, text) = row.split_once(' ').expect("two words a row");
        let expected = match why {
            "checksum" => KeyFormatError::Checksum,
            _ => KeyFormatError::Shape,
        };
        assert_eq!(ParsedKey::parse(text).err(), Some(expected), "{text}");
    }
}

#[test]
fn a_key_id_follows_from_tenant_and_command_id() {
    for row in rows("key-ids.txt") {
        let [tenant, command_id, key_id] =
            row.split(' ').collect::<Vec<_>>().try_into().expect("three words a row");
        let (tenant, command_id): (TenantId, CommandId) =
            (tenant.parse().unwrap(), command_id.parse().unwrap());
        assert_eq!(IssueKey::key_id(&tenant, &command_id).to_string(), key_id, "{tenant} {command_id}");
    }
}

#[test]
fn an_owners_tag_is_an_hmac_under_the_tenants_secret() {
    for row in rows("owner-tags.txt") {
        let (secret, rest) = row.split_once(' ').unwrap();
        let (tag, owner) = rest.split_once(' ').unwrap();
        let secret = TagSecret::from_seal(&unhex(secret)).expect("32 bytes");
        assert_eq!(hex(&secret.owner_tag(owner).to_bytes()), tag, "{owner}");
    }
}

#[test]
fn a_commands_tag_is_an_hmac_under_the_tenants_secret() {
    let mut tags = HashSet::new();
    for row in ["request-tags.txt", "request-tags-2.txt", "request-tags-3.txt"].into_iter().flat_map(rows) {
        let [secret, tag, command] =
            row.split(' ').collect::<Vec<_>>().try_into().expect("three words a row");
        let secret = TagSecret::from_seal(&unhex(secret)).expect("32 bytes");
        assert_eq!(hex(&requests::tag(&secret, command).to_bytes()), tag, "{command}");
        assert!(tags.insert(tag.to_owned()), "{command} has the tag of another");
    }
}

#[test]
fn a_text_is_sealed_and_opened_in_the_published_form() {
    let tenant: TenantId = "acme".parse().unwrap();
    let tag = OwnerTag::from_bytes(std::array::from_fn(|at| 0xf0 + u8::try_from(at).unwrap()));
    let event: EventId = "01JDA7W5W7ABCDEFGHJKMNPQRS".parse().unwrap();
    let of_key: StreamName = "acme.01JDA7W5W6M4Q0T3S8V2N9X1YZ".parse().unwrap();
    for row in rows("sealed-texts.txt") {
        let [name, generation, sealed, text] =
            row.splitn(4, ' ').collect::<Vec<_>>().try_into().expect("three words and a text a row");
        let seal =
            Seal::new(std::array::from_fn(|at| 1 + u8::try_from(at).unwrap()), generation.parse().unwrap());
        let plain = Personal::Plain(PersonalText::note(text).unwrap());
        let (field, stream) = match name {
            "owner" | "owner-again" => {
                let mut owner = Owner { tag, name: plain };
                seal.seal_owner(&tenant, &mut owner);
                assert_eq!(owner.name, Personal::Sealed(unhex(sealed)), "{name}");
                assert_eq!(seal.open_owner(&tenant, &owner).unwrap().as_str(), text, "{name}");
                continue;
            }
            "name" => (TextField::Name, of_key.clone()),
            "note" => (TextField::Note, of_key.clone()),
            "url" => (TextField::Url, of_key.clone()),
            "operator-network" => (TextField::OperatorNetwork, of_key.clone()),
            "holder-network" => (TextField::HolderNetwork, of_key.clone()),
            "tenant-name" => (TextField::TenantName, StreamName::Tenant(tenant.clone())),
            "tenant-note" => (TextField::TenantNote, StreamName::Tenant(tenant.clone())),
            "recall-note" => (TextField::RecallNote, StreamName::Tenant(tenant.clone())),
            other => panic!("seal the text of {other} here"),
        };
        let mut value = plain;
        seal.seal((&stream, event), (field, tag), &mut value);
        assert_eq!(value, Personal::Sealed(unhex(sealed)), "{name}");
        assert_eq!(seal.open(&stream, &unhex(sealed)).unwrap().as_str(), text, "{name}");
    }
}
