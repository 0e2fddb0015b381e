//! What a subject is called in a store of seals: of one length, and nobody learns from it which tenants and owners there are.

use domain::Subject;
use sha2::{Digest, Sha256};

/// The same in every store, so that a seal keeps its name when it is copied from one to another.
pub(crate) type Name = [u8; 16];

pub(crate) fn name_of(subject: &Subject) -> Name {
    let mut hash = Sha256::new();
    hash.update(b"rescind subject\0");
    hash.update(subject.tenant.as_str().as_bytes());
    hash.update([0]);
    hash.update(subject.owner.to_bytes());
    let mut name = [0; 16];
    name.copy_from_slice(&hash.finalize()[..16]);
    name
}
