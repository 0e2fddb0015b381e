//! Names and counts that must not be mixed up: each parses once and prints as it parses.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;
use ulid::Ulid;

/// Why a text is not the id it was taken for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IdError {
    /// Not `[a-z0-9][a-z0-9-]{0,62}`.
    #[error("a tenant id is 1 to 63 of a-z, 0-9 and '-', and does not start with '-'")]
    Tenant,
    /// Not 26 characters of upper-case Crockford base32.
    #[error("an id of this kind is 26 characters of Crockford base32, such as 01JDA7W5W6M4Q0T3S8V2N9X1YZ")]
    Ulid,
    /// Empty, too long, or with a character outside printable ASCII.
    #[error("a command id is 1 to 128 printable ASCII characters without spaces")]
    Command,
    /// Neither `<tenant>.<key id>` nor `<tenant>._tenant`.
    #[error("a stream is named <tenant>.<key id> or <tenant>._tenant")]
    Stream,
}

/// The unit of isolation: `[a-z0-9][a-z0-9-]{0,62}`. It stands in all that is about a key, so a clone is no copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The tenant whose keys belong to operators; nobody else may open it.
    pub const OPERATORS: &'static str = "rescind";
    /// The tenant that exists from the start.
    pub const DEFAULT: &'static str = "default";
    /// The longest tenant id, in bytes.
    pub const MAX_LEN: usize = 63;

    /// The reserved tenant of operators' keys.
    #[must_use]
    pub fn operators() -> Self {
        Self(Self::OPERATORS.into())
    }

    /// Whether this is the reserved tenant of operators' keys.
    #[must_use]
    pub fn is_operators(&self) -> bool {
        &*self.0 == Self::OPERATORS
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.into())) } else { Err(IdError::Tenant) }
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the one canonical text form of a ULID: upper case, nothing that overflows 128 bits.
fn parse_ulid(text: &[u8]) -> Option<u128> {
    if text.len() != 26 || text[0] > b'7' {
        return None;
    }
    text.iter().try_fold(0_u128, |value, &byte| Some((value << 5) | u128::from(crockford_digit(byte)?)))
}

const fn crockford_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'H' => Some(byte - b'A' + 10),
        b'J' | b'K' => Some(byte - b'J' + 18),
        b'M' | b'N' => Some(byte - b'M' + 20),
        b'P'..=b'T' => Some(byte - b'P' + 22),
        b'V'..=b'Z' => Some(byte - b'V' + 27),
        _ => None,
    }
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// Takes all 128 bits as they are.
            #[must_use]
            pub const fn from_u128(value: u128) -> Self {
                Self(value)
            }

            /// The 128 bits.
            #[must_use]
            pub const fn to_u128(self) -> u128 {
                self.0
            }

            /// The 128 bits, most significant byte first.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// The inverse of [`Self::to_bytes`].
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }

            /// Reads the canonical 26 characters; no allocation.
            ///
            /// # Errors
            /// [`IdError::Ulid`] for any other text, lower case included.
            pub fn from_ascii(text: &[u8]) -> Result<Self, IdError> {
                parse_ulid(text).map(Self).ok_or(IdError::Ulid)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::from_ascii(text.as_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut buffer = [0_u8; 26];
                f.write_str(Ulid(self.0).array_to_str(&mut buffer))
            }
        }
    };
}

ulid_id! {
    /// The public half of a key: which key, never what opens it.
    KeyId
}
ulid_id! {
    /// One event, drawn by whoever asks for it to be written.
    EventId
}
ulid_id! {
    /// One history: two logs never share it, and a copy keeps it.
    LogId
}

/// What makes a command repeatable: the client's `Idempotency-Key`, or one made up for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(Box<str>);

impl CommandId {
    /// The longest command id, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A command id that is a ULID, as made up for a client that sent none.
    #[must_use]
    pub fn from_u128(value: u128) -> Self {
        Self(Ulid(value).to_string().into())
    }
}

impl FromStr for CommandId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text.into())) } else { Err(IdError::Command) }
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An event's place in the log: dense, from 1. [`Position::NONE`] stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// Before the first event.
    pub const NONE: Self = Self(0);

    /// The `n`th place; 0 is [`Position::NONE`].
    #[must_use]
    pub const fn new(n: u64) -> Self {
        Self(n)
    }

    /// The place as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event's place in its own stream: 1, 2, 3 …
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u32);

impl Revision {
    /// Before a stream's first event.
    pub const NONE: Self = Self(0);

    /// The `n`th event of a stream; 0 is [`Revision::NONE`].
    #[must_use]
    pub const fn new(n: u32) -> Self {
        Self(n)
    }

    /// The place as a number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The last instant that has an RFC 3339 form at every offset: 9999-12-30T22:00:00Z.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// This many milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds after the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This instant and so many milliseconds.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// Whose history an event belongs to: a key's, or its tenant's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamName {
    /// `<tenant>.<key id>`
    Key(TenantId, KeyId),
    /// `<tenant>._tenant`
    Tenant(TenantId),
}

impl StreamName {
    /// The last token of a tenant's own stream; a key id never looks like it.
    pub const TENANT_TOKEN: &'static str = "_tenant";

    /// The tenant that owns the stream.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        match self {
            Self::Key(tenant, _) | Self::Tenant(tenant) => tenant,
        }
    }

    /// The key, if it is a key's stream.
    #[must_use]
    pub const fn key_id(&self) -> Option<KeyId> {
        match self {
            Self::Key(_, key_id) => Some(*key_id),
            Self::Tenant(_) => None,
        }
    }
}

impl FromStr for StreamName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (tenant, last) = text.split_once('.').ok_or(IdError::Stream)?;
        let tenant = tenant.parse().map_err(|_| IdError::Stream)?;
        if last == Self::TENANT_TOKEN {
            return Ok(Self::Tenant(tenant));
        }
        Ok(Self::Key(tenant, last.parse().map_err(|_| IdError::Stream)?))
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(tenant, key_id) => write!(f, "{tenant}.{key_id}"),
            Self::Tenant(tenant) => write!(f, "{tenant}.{}", Self::TENANT_TOKEN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_id_keeps_to_its_alphabet() {
        for good in ["a", "default", "0-9", &"x".repeat(63)] {
            assert_eq!(good.parse::<TenantId>().unwrap().to_string(), good);
        }
        for bad in ["", "-a", "A", "a.b", "a*", "a>", "a b", "ä", &"x".repeat(64)] {
            assert_eq!(bad.parse::<TenantId>(), Err(IdError::Tenant), "{bad:?}");
        }
    }

    #[test]
    fn a_key_id_prints_as_it_parses_and_has_one_form() {
        let id = KeyId::from_u128(0x0193_4a7e_15c6_a12e_0d0f_28d8_aaf6_87df);
        let text = id.to_string();
        assert_eq!(text.parse::<KeyId>().unwrap(), id);
        assert!(text.to_lowercase().parse::<KeyId>().is_err());
        assert!("8ZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<KeyId>().is_err());
        assert_eq!("7ZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<KeyId>().unwrap().to_u128(), u128::MAX);
        assert!("01JDA7W5W6M4Q0T3S8V2N9X1YU".parse::<KeyId>().is_err(), "U is no Crockford digit");
    }

    #[test]
    fn a_stream_is_a_keys_or_a_tenants() {
        for text in ["acme._tenant", "acme.01JDA7W5W6M4Q0T3S8V2N9X1YZ"] {
            assert_eq!(text.parse::<StreamName>().unwrap().to_string(), text);
        }
        for text in ["acme", "acme.", "acme.x", ".01JDA7W5W6M4Q0T3S8V2N9X1YZ", "a.b._tenant"] {
            assert_eq!(text.parse::<StreamName>(), Err(IdError::Stream), "{text}");
        }
    }
}
