//! Proves: the log as a transparency log, its leaves, tree, tiles and checkpoints, and the archives that carry both.
//!
//! No network, no clock, no randomness; plain files in [`Levels`] and [`Archive`] alone.

mod archive;
mod checkpoint;
mod files;
mod frontier;
mod inclusion;
mod leaf;
mod levels;
mod signer;
mod tile_path;
mod verification;
mod vkey;

pub use archive::{Archive, ArchiveError, EventRecords, Events, SegmentWriter, encode_event};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use files::{put_durably, put_privately};
pub use frontier::Frontier;
pub use inclusion::{EventProof, MAX_PROOF_FILE, ProofError, check_growth, prove, prove_growth};
pub use leaf::{LogEvent, MAX_PAYLOAD, leaf_hash};
pub use levels::{LevelWriter, Levels, TILE_WIDTH, tile_levels};
pub use signer::{SignerError, SignerFile, Signers, log_of, origin_of};
pub use tile_path::TilePath;
/// A node of the tree, or its root: 32 bytes, shown in base64.
pub use tlog_tiles::Hash;
pub use verification::{Finding, Report, Trust, VerificationError, Witnessed, Wrong, verify_archive};
pub use vkey::{SignerKind, Vkey, VkeyError, cosigned};
