//! Embeds: verifies keys inside the service that accepts them, and stops accepting a revoked one within milliseconds.
//!
//! ```no_run
//! # async fn run(credential: &str, presented_key: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use guard::{Guard, Requirement};
//! let guard = Guard::builder("https://rescind.example:8443", credential).tenant("acme").name("mailer").connect().await?;
//! let send = Requirement::of_scope("campaigns:send")?;
//! let decision = guard.verify(presented_key, &send).await;
//! if decision.is_valid() { /* … */ }
//! # Ok(())
//! # }
//! ```
//!
//! With the features `tower` and `axum` a route is protected like this, and knows whose key it was:
//!
#![cfg_attr(feature = "axum", doc = "```no_run")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! # use axum::{Router, routing::post};
//! use guard::{Guard, Holder, Requirement};
//! # async fn run(credential: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let guard = Guard::connect("https://rescind.example:8443", credential).await?;
//! let app: Router = Router::new()
//!     .route("/campaigns/send", post(async |holder: Holder| format!("sent for {:?}", holder.owner())))
//!     .route_layer(guard.layer(Requirement::of_scope("campaigns:send")?));
//! # Ok(())
//! # }
//! ```
//!
//! **Errors.** [`Guard::connect`] says why there is no guard. A verify has none: whatever goes wrong ends in a verdict, and the
//! verdict of a guard that does not know is [`Verdict::Stale`], a refusal.
//!
//! **Deadlines.** A verify of a key that is held waits for nothing. The first sight of a key waits for the server, at most
//! [`Builder::first_sight_within`], together with all who present the same key. Past its lease a guard keeps nobody waiting.
//!
//! **Retries.** The guard's own tasks try again for as long as it lives, after 50 ms at first, up to 2 s, never two guards at
//! the same time. A credential that is refused is tried again, too: [`Status::state`] says so.
//!
//! **Memory.** [`Capacity`] bounds what is held; at most 4,096 keys wait for their first sight; an event of the feed and an
//! answer of the server have the longest that can be. A guard that falls behind is told so by the feed itself and goes on from
//! where it was.
//!
//! **Usage.** What the guard says of a key goes back to the server in sums, at most once a second, and is counted once however
//! often a report is repeated. No verify writes anything. While the server cannot be reached sums are kept; verdicts beyond
//! their room are told as missing, and a guard that dies leaves its last second unknown, by its name.
//!
//! **A replica** holds all keys of its tenant. One that changes is asked for like a first sight, at once and in the
//! background; until it is told, who presents it waits for the same answer. So nothing passes on what a key was before, and
//! the lease needs no rule of its own for it.

mod ask_server;
mod backoff;
mod builder;
mod client;
mod clock;
pub mod core;
mod feed;
mod filler;
mod guard;
mod keeper;
#[cfg(feature = "tower")]
mod layer;
mod link;
mod meters;
#[cfg(feature = "nats")]
mod nats;
mod passes;
#[cfg(feature = "tower")]
mod refusal;
mod replica;
mod requirement;
mod sse;
mod status;
mod tls;
mod usage;

pub use crate::builder::{Builder, ConnectError, Start};
pub use crate::client::UrlError;
pub use crate::clock::{Clock, SystemClock};
pub use crate::core::{Capacity, Decision, Holder};
pub use crate::guard::Guard;
#[cfg(feature = "tower")]
pub use crate::layer::{GuardLayer, GuardService};
#[cfg(feature = "nats")]
pub use crate::nats::NatsFeed;
pub use crate::requirement::{PastLease, Requirement};
pub use crate::status::{State, Status};
pub use crate::tls::TlsError;
pub use domain::{
    Environment, KeyId, Label, Labels, Position, Scope, ScopeError, ScopeSet, TenantId, Timestamp,
};
pub use verify::{AsOf, Moment, Verdict};
