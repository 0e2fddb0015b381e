//! What a gateway says of itself and of what it protects, in the one header that only its own configuration can fill.
//!
//! Key and requirement stand in one value, so that neither can come from the client without the other: whoever could forge
//! a looser requirement would have to know the gateway's key, and a gateway that forgets the header asks for nothing.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};
use domain::{Scope, TenantId};

use crate::http::codes;
use crate::http::problem::Problem;
use crate::usage::Service;

const GATEWAY: HeaderName = HeaderName::from_static("x-rescind-gateway");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The value of `client` that means the header of this name.
const FROM_REAL_IP: &str = "x-real-ip";
/// The wish for 403 in place of 429 and 503.
const CLOSED: (&str, &str) = ("closed", "403");

/// Who asks, and what it asks for. Holds a secret: not `Debug`.
pub(super) struct Gateway<'a> {
    /// Its operator key.
    pub(super) key: &'a str,
    pub(super) tenant: Option<OfTenant>,
    pub(super) scope: Option<Scope>,
    pub(super) service: Option<&'a str>,
    /// Where the client is. None unless the gateway says, and then a key with networks passes from nowhere.
    pub(super) client: Option<IpAddr>,
}

/// Whose keys count.
pub(super) enum OfTenant {
    Named(TenantId),
    /// Those of every tenant that the operator may ask about.
    Any,
}

impl<'a> Gateway<'a> {
    /// Reads `KEY; tenant=…; scope=…; client=…; service=…; closed=403`. Each may be there once, and there is nothing else.
    pub(super) fn of(headers: &'a HeaderMap) -> Result<Self, Problem> {
        let Some(value) = single(headers, &GATEWAY)? else {
            return Err(Problem::new(&codes::GATEWAY_MISSING));
        };
        let (key, settings) = value.split_once(';').map_or((value, None), |(key, rest)| (key, Some(rest)));
        let (mut tenant, mut scope, mut service, mut client, mut closed) = (None, None, None, None, None);
        for setting in settings.into_iter().flat_map(|settings| settings.split(';')) {
            let (name, value) = setting.split_once('=').ok_or_else(|| unfit("a setting is name=value"))?;
            let place = match name.trim() {
                "tenant" => &mut tenant,
                "scope" => &mut scope,
                "service" => &mut service,
                "client" => &mut client,
                "closed" => &mut closed,
                _ => return Err(unfit("its settings are tenant, scope, service, client and closed")),
            };
            if place.replace(value.trim()).is_some() {
                return Err(unfit("a setting is there twice"));
            }
        }
        if closed.is_some_and(|closed| closed != CLOSED.1) {
            return Err(unfit("closed can only be 403"));
        }
        if service.is_some_and(|service| !Service::is_label(service)) {
            return Err(unfit("service is 1 to 64 of A-Z, a-z, 0-9 and ._/-"));
        }
        Ok(Self {
            key: key.trim(),
            tenant: tenant.map(whose).transpose()?,
            scope: scope.map(str::parse).transpose().map_err(|_| unfit("its scope is no scope"))?,
            service,
            client: client.map(|client| address(client, headers)).transpose()?,
        })
    }
}

fn whose(text: &str) -> Result<OfTenant, Problem> {
    if text == "*" {
        return Ok(OfTenant::Any);
    }
    text.parse().map(OfTenant::Named).map_err(|_| unfit("its tenant is no tenant id"))
}

/// The client's address, as the gateway wrote it here or into a header that it says it writes itself.
fn address(text: &str, headers: &HeaderMap) -> Result<IpAddr, Problem> {
    let text = if text == FROM_REAL_IP { single(headers, &REAL_IP)?.unwrap_or_default() } else { text };
    let address: Result<IpAddr, _> = text.parse();
    address
        .map(|address| address.to_canonical())
        .map_err(|_| unfit("client is the client's address, or x-real-ip for the header that has it"))
}

/// A header's value, if it is there; twice is none of the gateway's doing.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut sent = headers.get_all(name).iter();
    match (sent.next(), sent.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| unfit(&format!("{name} is not printable ASCII")))
        }
        (Some(_), Some(_)) => Err(unfit(&format!("{name} is there twice"))),
    }
}

/// Settings that cannot be followed. Never with what was sent: the key is in it.
pub(super) fn unfit(why: &str) -> Problem {
    Problem::new(&codes::GATEWAY_REFUSED).detail(format!("X-Rescind-Gateway: {why}"))
}

/// Whether the request wants 403 in place of 429 and 503, whoever sent it: the answer is a refusal either way.
pub(super) fn wants_403(headers: &HeaderMap) -> bool {
    let mut settings = headers.get_all(&GATEWAY).iter().filter_map(|value| value.to_str().ok());
    settings.any(|value| {
        value.split(';').any(|setting| {
            setting.split_once('=').is_some_and(|(name, value)| (name.trim(), value.trim()) == CLOSED)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    #[track_caller]
    fn refused(values: &[(&'static str, &str)], words: &str) {
        let headers = headers(values);
        let problem = Gateway::of(&headers).map(|_| ()).unwrap_err();
        assert_eq!(problem.code.status, 502, "{values:?}");
        assert!(problem.said().contains(words), "{values:?}: {}", problem.said());
        assert!(!problem.said().contains("KEY"), "{}", problem.said());
    }

    #[test]
    fn everything_a_gateway_can_say_is_read() {
        let sent = [(
            "x-rescind-gateway",
            "KEY; tenant=acme;scope=lists:read ; client=::ffff:192.0.2.7; service=lists",
        )];
        let headers = headers(&sent);
        let gateway = Gateway::of(&headers).map_err(|problem| problem.said().to_owned()).unwrap();
        assert_eq!(gateway.key, "KEY");
        assert!(matches!(&gateway.tenant, Some(OfTenant::Named(tenant)) if tenant.as_str() == "acme"));
        assert_eq!(gateway.scope.as_ref().map(Scope::as_str), Some("lists:read"));
        assert_eq!((gateway.service, gateway.client), (Some("lists"), "192.0.2.7".parse().ok()));
    }

    #[test]
    fn an_address_in_a_header_counts_only_where_the_gateway_says_so() {
        let forged = ("x-real-ip", "192.0.2.9");
        let client = |sent: &[(&'static str, &str)]| {
            Gateway::of(&headers(sent)).ok().and_then(|gateway| gateway.client)
        };
        assert_eq!(client(&[("x-rescind-gateway", "KEY; tenant=*"), forged]), None);
        assert_eq!(
            client(&[("x-rescind-gateway", "KEY; client=192.0.2.1"), forged]),
            "192.0.2.1".parse().ok()
        );
        assert_eq!(
            client(&[("x-rescind-gateway", "KEY; client=x-real-ip"), forged]),
            "192.0.2.9".parse().ok()
        );
        refused(&[("x-rescind-gateway", "KEY; client=x-real-ip"), forged, forged], "there twice");
        refused(&[("x-rescind-gateway", "KEY; client=x-real-ip")], "client is");
    }

    #[test]
    fn what_cannot_be_followed_is_named_and_lets_nobody_pass() {
        refused(&[], "");
        let one = |value: &'static str, words: &str| refused(&[("x-rescind-gateway", value)], words);
        one("KEY; scope", "name=value");
        one("KEY;", "name=value");
        one("KEY; colour=red", "its settings are");
        one("KEY; scope=lists:read; scope=lists:*", "there twice");
        one("KEY; scope=a b", "no scope");
        one("KEY; scope=", "no scope");
        one("KEY; tenant=", "no tenant id");
        one("KEY; tenant=Acme", "no tenant id");
        one("KEY; client=here", "client is");
        one("KEY; service=a b", "service is");
        one("KEY; closed=200", "closed can only be 403");
        refused(
            &[("x-rescind-gateway", "KEY; tenant=*"), ("x-rescind-gateway", "KEY; tenant=*")],
            "there twice",
        );
    }

    #[test]
    fn the_wish_for_403_is_heard_before_anything_else_is_read() {
        assert!(wants_403(&headers(&[("x-rescind-gateway", "KEY; tenant=Acme; closed = 403")])));
        assert!(!wants_403(&headers(&[("x-rescind-gateway", "KEY; tenant=acme")])));
        assert!(!wants_403(&headers(&[])));
    }
}
