//! Proves: the log as a transparency log, its leaves, tree, tiles and checkpoints, and the archives that carry both.
//!
//! No network, no clock, no randomness; plain files in [`Levels`] and [`Archive`] alone.

mod archive;
mod files;
mod frontier;
mod leaf;
mod levels;

pub use archive::{Archive, ArchiveError, Events, SegmentWriter};
pub use files::put_durably;
pub use frontier::Frontier;
pub use leaf::{LogEvent, MAX_PAYLOAD, leaf_hash};
pub use levels::{Levels, TILE_WIDTH, tile_levels};
/// A node of the tree, or its root: 32 bytes, shown in base64.
pub use tlog_tiles::Hash;
