//! The floors: the least that could do the same work, with nothing of ours in it.

pub(crate) mod disk;
pub(crate) mod http;
pub(crate) mod stream;
pub(crate) mod table;
