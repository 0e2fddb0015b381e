//! The read models, one file each, and how their rows are named.

pub(crate) mod history;
pub(crate) mod keys;
pub(crate) mod notices;
pub(crate) mod stored;
pub(crate) mod tenants;
pub(crate) mod times;

use domain::{KeyId, Position, TenantId};

use crate::tree::TreeError;

/// The most rows that one page holds.
pub const MAX_PAGE: usize = 200;

/// Writes a row's name piece by piece. Names sort as their pieces do: a tenant ends in a byte that no tenant id has, and
/// numbers are big-endian.
#[derive(Clone)]
pub(crate) struct RowName(Vec<u8>);

impl RowName {
    pub(crate) fn of(kind: u8) -> Self {
        let mut name = Vec::with_capacity(64);
        name.push(kind);
        Self(name)
    }

    pub(crate) fn tenant(self, tenant: &TenantId) -> Self {
        self.bytes(tenant.as_str().as_bytes()).bytes(&[0])
    }

    pub(crate) fn key_id(self, key_id: KeyId) -> Self {
        self.bytes(&key_id.to_bytes())
    }

    pub(crate) fn position(self, position: Position) -> Self {
        self.number(position.get())
    }

    pub(crate) fn number(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Takes the last `N` bytes off a row's name.
pub(crate) fn split_end<const N: usize>(name: &[u8]) -> Result<(&[u8], [u8; N]), TreeError> {
    name.split_last_chunk()
        .map(|(rest, end)| (rest, *end))
        .ok_or_else(|| TreeError::damaged("a row's name is too short"))
}

/// The position at the end of a row's name.
pub(crate) fn position_at_end(name: &[u8]) -> Result<Position, TreeError> {
    Ok(Position::new(u64::from_be_bytes(split_end(name)?.1)))
}

/// A text in a row's name.
pub(crate) fn tenant_in(bytes: &[u8]) -> Result<TenantId, TreeError> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| TreeError::damaged("a row names no tenant"))
}
