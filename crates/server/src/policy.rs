//! Policies at work: whether a key is idle for all that is known, what a policy would have done, and what the worker sees.

pub(crate) mod idle;
pub(crate) mod span;
pub(crate) mod standing;
pub(crate) mod subject;
pub(crate) mod timeline;
pub(crate) mod trial;
pub(crate) mod watch;
