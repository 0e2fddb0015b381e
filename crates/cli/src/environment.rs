//! The one place where the client reads the environment; `serve` reads its own through its configuration.

/// Where the server is.
pub(crate) const URL: &str = "RESCIND_URL";
/// The operator key itself. There is no flag for it: argv is seen by every user of the machine and kept in histories.
pub(crate) const KEY: &str = "RESCIND_KEY";

/// What git sets for a hook, so that what the hook calls works on the hook's repository.
pub(crate) const OF_GIT: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
];

/// A variable that is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the client's seam: a flag bound to RESCIND_KEY would take the key in argv"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether colours are wanted at all: see no-color.org, and terminals that cannot.
pub(crate) fn allows_colour() -> bool {
    variable("NO_COLOR").is_none() && can_redraw()
}

/// Whether the terminal, if there is one, can go back in a line.
pub(crate) fn can_redraw() -> bool {
    variable("TERM").is_none_or(|term| term != "dumb")
}
