//! The network that a key was presented from, as usage keeps it.

use std::net::{IpAddr, Ipv6Addr};

/// The network of an address as it is kept: /24 or /48, which tells a place and not a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageNetwork {
    /// Nobody told.
    Untold,
    /// The first three bytes.
    V4([u8; 3]),
    /// The first six bytes.
    V6([u8; 6]),
}

impl UsageNetwork {
    /// Of an address, if it was told; one of IPv4 in IPv6 is one of IPv4.
    #[must_use]
    pub fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Untold,
            Some(IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                Self::V4([a, b, c])
            }
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, e, f, ..] = address.octets();
                Self::V6([a, b, c, d, e, f])
            }
        }
    }

    /// As it is written: `192.0.2.0/24`. None where it was not told.
    #[must_use]
    pub fn text(self) -> Option<Box<str>> {
        match self {
            Self::Untold => None,
            Self::V4([a, b, c]) => Some(format!("{a}.{b}.{c}.0/24").into()),
            Self::V6([a, b, c, d, e, f]) => {
                let pair = |high, low| u16::from_be_bytes([high, low]);
                let address = Ipv6Addr::new(pair(a, b), pair(c, d), pair(e, f), 0, 0, 0, 0, 0);
                Some(format!("{address}/48").into())
            }
        }
    }
}
