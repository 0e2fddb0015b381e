//! Embeds: verifies keys inside the service that accepts them, and stops accepting a revoked one within milliseconds.

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
mod link;
mod meters;
mod requirement;
mod sse;
mod status;
mod tls;

pub use crate::builder::{Builder, ConnectError, Start};
pub use crate::client::UrlError;
pub use crate::clock::{Clock, SystemClock};
pub use crate::core::{Capacity, Decision, Holder};
pub use crate::guard::Guard;
pub use crate::requirement::{PastLease, Requirement};
pub use crate::status::{State, Status};
pub use crate::tls::TlsError;
pub use domain::{Environment, KeyId, Label, Labels, Position, Scope, ScopeError, ScopeSet, TenantId, Timestamp};
pub use verify::{AsOf, Moment, Verdict};
