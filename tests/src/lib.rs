//! Proves: what the tests share; the tests themselves are in `tests/tests/`.

pub mod apart;
pub mod foreign;
pub mod importing;
pub mod long_log;
pub mod nats;
pub mod proxy;
pub mod server;
pub mod sim;
pub mod tamper;
pub mod tools;
pub mod torture;
pub mod witness;
