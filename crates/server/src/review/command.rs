//! The commands that mend findings, as a shell takes them.

use domain::{KeyId, ScopeSet, TenantId};

/// Command lines on one key.
#[derive(Clone, Copy)]
pub(super) struct Mend<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) key_id: KeyId,
}

impl Mend<'_> {
    /// `rescind <verb> <key id> --tenant <tenant> <rest>`
    pub(super) fn by(self, verb: &str, rest: &str) -> String {
        let line = format!("rescind {verb} {} --tenant {}", self.key_id, self.tenant);
        if rest.is_empty() { line } else { format!("{line} {rest}") }
    }

    /// Leaves the key these scopes.
    pub(super) fn rescope(self, scopes: &ScopeSet) -> String {
        if scopes.is_empty() {
            return self.by("key rescope", "--no-scopes");
        }
        let flags: Vec<_> =
            scopes.iter().map(|scope| format!("--scope {}", quoted(scope.as_str()))).collect();
        self.by("key rescope", &flags.join(" "))
    }

    /// Leaves the key these networks.
    pub(super) fn restrict<T: ToString>(self, networks: impl IntoIterator<Item = T>) -> String {
        let flags: Vec<_> =
            networks.into_iter().map(|network| format!("--network {}", network.to_string())).collect();
        self.by("key restrict", &flags.join(" "))
    }
}

/// A scope has no quotes in it, but may have a star.
fn quoted(scope: &str) -> String {
    if scope.contains('*') { format!("'{scope}'") } else { scope.to_owned() }
}
