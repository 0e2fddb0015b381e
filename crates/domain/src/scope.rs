//! What a key may do: scopes such as `campaigns:send`, and how a held scope covers a wanted one.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Why a text or a list is no scope.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ScopeError {
    /// Not `segment(:segment)*` with an optional `*` at the end.
    #[error(
        "a scope is segments of A-Z, a-z, 0-9 and ._/- joined by ':', the last may be '*', such as campaigns:send or lists:*"
    )]
    Shape,
    /// More than [`ScopeSet::MAX`].
    #[error("a key holds at most 64 scopes")]
    TooMany,
}

/// One permission: segments joined by `:`; a trailing `*` segment stands for the rest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Box<str>);

impl Scope {
    /// The longest scope, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The scope as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether who holds this scope may do what `wanted` names. `lists:*` covers `lists:read` and `lists:read:all`, not
    /// `lists` itself; a wanted `*` is covered only by a `*` at or before it.
    #[must_use]
    pub fn covers(&self, wanted: &Self) -> bool {
        self.covers_str(wanted.as_str())
    }

    /// [`Self::covers`] for a text known to have a scope's form.
    #[must_use]
    pub fn covers_str(&self, wanted: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(stem) => wanted.len() > stem.len() && wanted.starts_with(stem),
            None => *self.0 == *wanted,
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() > Self::MAX_LEN {
            return Err(ScopeError::Shape);
        }
        let plain =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-".contains(&b));
        let (stem, last) = text.rsplit_once(':').map_or((None, text), |(stem, last)| (Some(stem), last));
        let fits = (plain(last) || last == "*") && stem.is_none_or(|stem| stem.split(':').all(plain));
        if fits { Ok(Self(text.into())) } else { Err(ScopeError::Shape) }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All that a key may do: sorted, without repeats, at most [`ScopeSet::MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeSet(Box<[Scope]>);

impl ScopeSet {
    /// The most scopes of one key: a bound on the work of one verify.
    pub const MAX: usize = 64;

    /// Sorts and deduplicates.
    ///
    /// # Errors
    /// [`ScopeError::TooMany`] above [`Self::MAX`] different ones.
    pub fn new(mut scopes: Vec<Scope>) -> Result<Self, ScopeError> {
        scopes.sort();
        scopes.dedup();
        if scopes.len() > Self::MAX { Err(ScopeError::TooMany) } else { Ok(Self(scopes.into())) }
    }

    /// Reads each text as a scope.
    ///
    /// # Errors
    /// [`ScopeError`] of the first text that is none, or when there are too many.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, ScopeError> {
        Self::new(texts.into_iter().map(|text| text.as_ref().parse()).collect::<Result<_, _>>()?)
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Scope> {
        self.0.iter()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any of them covers what is wanted.
    #[must_use]
    pub fn covers(&self, wanted: &Scope) -> bool {
        self.0.iter().any(|held| held.covers(wanted))
    }

    /// The first of `wanted` that none of these covers.
    #[must_use]
    pub fn first_not_covered<'a>(&self, wanted: &'a Self) -> Option<&'a Scope> {
        wanted.0.iter().find(|scope| !self.covers(scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    #[test]
    fn a_star_stands_for_the_rest_and_only_at_the_end() {
        assert!(scope("lists:*").covers(&scope("lists:read")));
        assert!(scope("lists:*").covers(&scope("lists:read:all")));
        assert!(scope("lists:*").covers(&scope("lists:*")));
        assert!(scope("*").covers(&scope("campaigns:send")));
        assert!(!scope("lists:*").covers(&scope("lists")));
        assert!(!scope("lists:*").covers(&scope("listsx:read")));
        assert!(!scope("lists:read").covers(&scope("lists:read:all")));
        assert!(!scope("lists:read").covers(&scope("lists:*")), "a wanted star is more than any one scope");
        assert!(!scope("campaigns:send").covers(&scope("campaigns:Send")));
    }

    #[test]
    fn a_scope_keeps_to_its_form() {
        for bad in ["", ":", "a:", ":a", "a::b", "a:*:b", "*:a", "a*", "a b", "a,b", &"x".repeat(129)] {
            assert_eq!(bad.parse::<Scope>(), Err(ScopeError::Shape), "{bad}");
        }
        assert_eq!(scope("acme/keys:revoke").to_string(), "acme/keys:revoke");
    }

    #[test]
    fn a_set_is_sorted_and_bounded() {
        let set = ScopeSet::parse(["lists:read", "campaigns:send", "lists:read"]).unwrap();
        assert_eq!(set.iter().map(Scope::as_str).collect::<Vec<_>>(), ["campaigns:send", "lists:read"]);
        let many = (0..65).map(|n| format!("lists:{n}"));
        assert_eq!(ScopeSet::parse(many), Err(ScopeError::TooMany));
        let wide = ScopeSet::parse(["lists:*"]).unwrap();
        assert_eq!(wide.first_not_covered(&set), Some(&scope("campaigns:send")));
    }
}
