//! Leaks: who found a key where it should not be, and what a tenant wants to happen then.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A text that is no response to a leak.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a response to a leak is revoke or suspend")]
pub struct LeakResponseError;

/// What happens to a key that is reported as leaked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LeakResponse {
    /// It is revoked at once.
    #[default]
    Revoke,
    /// It is suspended, and a person decides.
    Suspend,
}

impl LeakResponse {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Revoke, Self::Suspend];

    /// The word in API and CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Suspend => "suspend",
        }
    }
}

impl fmt::Display for LeakResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LeakResponse {
    type Err = LeakResponseError;

    fn from_str(text: &str) -> Result<Self, LeakResponseError> {
        Self::ALL.into_iter().find(|response| response.as_str() == text).ok_or(LeakResponseError)
    }
}

/// A text that names no source of a leak report.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a source is 1 to 64 of A-Z, a-z, 0-9 and ._/-")]
pub struct LeakSourceError;

/// Who found a leaked key, or where: `github`, `scan`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeakSource(Box<str>);

impl LeakSource {
    const MAX_LEN: usize = 64;

    /// The source as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LeakSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LeakSource {
    type Err = LeakSourceError;

    fn from_str(text: &str) -> Result<Self, LeakSourceError> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-".contains(&b));
        if fits { Ok(Self(text.into())) } else { Err(LeakSourceError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_prints_as_it_parses() {
        for response in LeakResponse::ALL {
            assert_eq!(response.to_string().parse(), Ok(response));
        }
        assert_eq!("ignore".parse::<LeakResponse>(), Err(LeakResponseError));
    }

    #[test]
    fn a_source_keeps_to_its_alphabet() {
        for good in ["github", "scan", "GitHub/secret-scanning_2.0", &"x".repeat(64)] {
            assert_eq!(good.parse::<LeakSource>().unwrap().to_string(), good);
        }
        for bad in ["", "a b", "a:b", "ä", "a\n", &"x".repeat(65)] {
            assert_eq!(bad.parse::<LeakSource>(), Err(LeakSourceError), "{bad:?}");
        }
    }
}
