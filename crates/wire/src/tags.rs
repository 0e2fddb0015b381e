//! Keyed hashes under a tenant's tag secret: an owner that can be compared without being read, a command that can be
//! recognised after its texts are gone.

use std::fmt;

use domain::{OwnerTag, RequestTag};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::canonical::{Canonical, Parts};

/// 32 random bytes drawn when a tenant opens, kept in its seal, never in an event. Wiped on drop.
pub struct TagSecret(Zeroizing<[u8; TagSecret::LEN]>);

impl TagSecret {
    /// Bytes of a tag secret.
    pub const LEN: usize = 32;

    /// Draws one from a source of random bytes.
    #[must_use]
    pub fn draw(fill: impl FnOnce(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        fill(bytes.as_mut());
        Self(bytes)
    }

    /// Reads it back from the bytes that were put into the seal; none if they are not 32.
    #[must_use]
    pub fn from_seal(seal: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(seal.try_into().ok()?)))
    }

    /// The bytes to put into the tenant's seal.
    #[must_use]
    pub fn expose_for_seal(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The tag of an owner: equal for equal text in this tenant.
    #[must_use]
    pub fn owner_tag(&self, owner: &str) -> OwnerTag {
        OwnerTag::from_bytes(self.tag(b"owner\0", owner.as_bytes()))
    }

    /// The tag of what exactly is asked.
    #[must_use]
    pub fn request_tag(&self, command: &impl Canonical) -> RequestTag {
        let mut parts = Parts::default();
        command.write(&mut parts);
        RequestTag::from_bytes(self.tag(b"request\0", parts.as_bytes()))
    }

    fn tag(&self, label: &[u8], message: &[u8]) -> [u8; 16] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_ref()).expect("HMAC takes a key of any length");
        mac.update(label);
        mac.update(message);
        let mut tag = [0; 16];
        tag.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        tag
    }
}

impl fmt::Debug for TagSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagSecret")
    }
}

#[cfg(test)]
mod tests {
    use domain::{RevokeKey, RevokeReason};

    use super::*;

    fn secret(byte: u8) -> TagSecret {
        TagSecret::draw(|bytes| bytes.fill(byte))
    }

    #[test]
    fn an_owner_has_another_tag_in_another_tenant() {
        assert_eq!(secret(1).owner_tag("list-sender"), secret(1).owner_tag("list-sender"));
        assert_ne!(secret(1).owner_tag("list-sender"), secret(2).owner_tag("list-sender"));
        assert_ne!(secret(1).owner_tag("list-sender"), secret(1).owner_tag("list-sende"));
        assert_eq!(format!("{:?}", secret(1)), "TagSecret");
    }

    #[test]
    fn another_wish_has_another_tag() {
        let revoke = |reason, key| RevokeKey {
            tenant: "acme".parse().unwrap(),
            key_id: domain::KeyId::from_u128(key),
            reason,
            note: None,
        };
        let base = secret(1).request_tag(&revoke(RevokeReason::Leaked, 1));
        assert_eq!(base, secret(1).request_tag(&revoke(RevokeReason::Leaked, 1)));
        assert_ne!(base, secret(1).request_tag(&revoke(RevokeReason::Other, 1)));
        assert_ne!(base, secret(1).request_tag(&revoke(RevokeReason::Leaked, 2)));
    }
}
