//! The list of public keys as the scanner publishes it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64ct::{Base64, Encoding};
use p256::ecdsa::VerifyingKey;
use p256::pkcs8::DecodePublicKey;
use serde::Deserialize;

/// The largest list that is read: each key takes less than 300 bytes.
pub(super) const LIST_MAX: u64 = 64 * 1024;

/// Public keys by their ids.
#[derive(Default)]
pub(super) struct KeyList {
    keys: Vec<(Box<str>, VerifyingKey)>,
    /// What its host calls this version of the list.
    pub(super) etag: Option<String>,
}

#[derive(Deserialize)]
struct Published {
    public_keys: Vec<PublishedKey>,
}

/// Whether it is the current one does not matter: a report signed before a change of keys is as good.
#[derive(Deserialize)]
struct PublishedKey {
    key_identifier: String,
    key: String,
}

impl KeyList {
    pub(super) fn key(&self, key_id: &str) -> Option<VerifyingKey> {
        self.keys.iter().find(|(id, _)| **id == *key_id).map(|(_, key)| *key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Reads `{"public_keys": [{"key_identifier", "key": PEM}]}`. Keys of other kinds are passed over.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let published: Published = serde_json::from_slice(bytes)
            .map_err(|_| "it is not {\"public_keys\": [{\"key_identifier\", \"key\"}]}".to_owned())?;
        let keys: Vec<_> = published
            .public_keys
            .into_iter()
            .filter_map(|listed| Some((listed.key_identifier.into(), read_pem(&listed.key)?)))
            .collect();
        if keys.is_empty() {
            return Err("there is no P-256 key in it".to_owned());
        }
        Ok(Self { keys, etag: None })
    }
}

/// Whatever the length of its lines.
fn read_pem(pem: &str) -> Option<VerifyingKey> {
    let base64: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    VerifyingKey::from_public_key_der(&Base64::decode_vec(&base64).ok()?).ok()
}

/// The list in a file.
pub(super) fn read(path: &Path) -> Result<KeyList, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LIST_MAX).read_to_end(&mut bytes));
    read.map_err(|error| error.to_string())?;
    KeyList::parse(&bytes)
}
