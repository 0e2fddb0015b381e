//! Where a webhook may lead: which URLs are taken, and which addresses a name may resolve to when a connection is made.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use thiserror::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// The longest URL that is taken.
const URL_MAX: usize = 2048;

/// How long a name may take to resolve when a webhook is added.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(3);

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Public ones over HTTPS.
    Public,
    /// Any, over HTTP too: what an operator of the server allows, for tests and intranets.
    Anywhere,
}

/// Why a URL is not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum UrlError {
    #[error("it is an https:// URL of at most 2048 characters, without a user, a password or a #")]
    Form,
    #[error("it is http://, which this server speaks only with --webhooks-allow-private")]
    Plain,
}

/// An address that is not public.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the host has an address that is not public")]
pub(crate) struct RefusedAddress;

/// Reads a URL that somebody wants notices sent to.
pub(crate) fn read_url(text: &str, reach: Reach) -> Result<Uri, UrlError> {
    let bad = text.len() > URL_MAX
        || text.contains(['#', '@', '\\'])
        || !text.bytes().all(|b| b.is_ascii_graphic());
    let url: Uri = text.parse().map_err(|_| UrlError::Form)?;
    if bad || url.host().is_none_or(str::is_empty) || url.port_u16() == Some(0) {
        return Err(UrlError::Form);
    }
    match (url.scheme_str(), reach) {
        (Some("https"), _) | (Some("http"), Reach::Anywhere) => Ok(url),
        (Some("http"), Reach::Public) => Err(UrlError::Plain),
        _ => Err(UrlError::Form),
    }
}

/// Whether the host leads where it may now. What does not resolve is not refused: it may in a moment, and every delivery
/// looks again. Blocks for up to [`LOOK_UP_WITHIN`].
pub(crate) fn look_up(url: &Uri, reach: Reach) -> Result<(), RefusedAddress> {
    let timeout = NextTimeout { after: LOOK_UP_WITHIN.into(), ..NextTimeout::default() };
    match Checked(reach).resolve(url, &Config::default(), timeout) {
        Err(error) if is_refused(&error) => Err(RefusedAddress),
        _ => Ok(()),
    }
}

/// Whether an error of the client is our refusal.
pub(super) fn is_refused(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Other(inner) if inner.is::<RefusedAddress>())
}

/// Resolves a host and refuses it if any of its addresses is not public. The client connects to the very addresses that are
/// returned here, so a name that says something else a moment later gains nothing.
#[derive(Clone, Copy)]
pub(super) struct Checked(pub(super) Reach);

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Checked").field(&self.0).finish()
    }
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = DefaultResolver::default().resolve(uri, config, timeout)?;
        if self.0 == Reach::Public && !addresses.iter().all(|address| is_public(address.ip())) {
            return Err(ureq::Error::Other(Box::new(RefusedAddress)));
        }
        Ok(addresses)
    }
}

/// Whether an address is one of the internet's, by IANA's special-purpose registries. An IPv6 address that stands for an
/// IPv4 one is judged by that.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || (a == 100 && (64..128).contains(&b)) // carriers' own
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || (a == 192 && b == 88 && c == 99) // 6to4 relays, withdrawn
        || (a == 198 && (b == 18 || b == 19)) // benchmarks
        || address.is_documentation()
        || a >= 224) // multicast, reserved, broadcast
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = match segments {
        // Mapped, compatible, and translated by NAT64.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((high, low)),
        // 6to4.
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    if let Some((high, low)) = embedded {
        return is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    }
    let global = segments[0] & 0xe000 == 0x2000;
    let protocols = segments[0] == 0x2001 && segments[1] < 0x200; // Teredo among them
    let documentation =
        (segments[0] == 0x2001 && segments[1] == 0xdb8) || (segments[0] == 0x3fff && segments[1] < 0x1000);
    global && !protocols && !documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for public in [
            "8.8.8.8",
            "192.0.1.1",
            "100.63.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for refused in [
            "0.0.0.0",
            "10.0.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!is_public(refused.parse().unwrap()), "{refused}");
        }
    }

    #[test]
    fn what_resolves_to_this_machine_is_refused_however_it_is_written() {
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "169.254.169.254",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "0",
        ] {
            let url = read_url(&format!("https://{host}:8750/notices"), Reach::Public).unwrap();
            assert_eq!(look_up(&url, Reach::Public), Err(RefusedAddress), "{host}");
            assert_eq!(look_up(&url, Reach::Anywhere), Ok(()), "{host}");
        }
        let nowhere = read_url("https://nobody.example/", Reach::Public).unwrap();
        assert_eq!(look_up(&nowhere, Reach::Public), Ok(()), "it may resolve later");
    }

    #[test]
    fn a_url_is_https_and_holds_no_password() {
        for good in ["https://lists.example.com", "https://lists.example.com:8443/hooks/7?list=spring"] {
            read_url(good, Reach::Public).unwrap();
        }
        assert_eq!(read_url("http://lists.example.com/", Reach::Public), Err(UrlError::Plain));
        read_url("http://lists.example.com/", Reach::Anywhere).unwrap();
        let long = format!("https://lists.example.com/{}", "a".repeat(URL_MAX));
        for bad in [
            "",
            "lists.example.com",
            "/hooks",
            "https://",
            "https:///hooks",
            "ftp://lists.example.com/",
            "https://user:pass@lists.example.com/",
            "https://lists.example.com/#x",
            "https://lists.example.com\\@10.0.0.1/",
            "https://lists.example.com/a b",
            "https://lists.example.com:0/",
            "file:///etc/passwd",
            &long,
        ] {
            assert_eq!(read_url(bad, Reach::Anywhere), Err(UrlError::Form), "{bad}");
        }
    }
}
