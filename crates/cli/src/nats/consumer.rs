//! A consumer of notices: which tenant's, and what it is called.

use std::fmt;
use std::str::FromStr;

use domain::TenantId;

/// `TENANT/NAME`. Its durable, its account and its file are named after both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Consumer {
    pub(super) tenant: TenantId,
    name: Box<str>,
}

/// The longest name: it becomes part of the names of a durable and of a file.
const NAME_MAX: usize = 32;

impl Consumer {
    /// The one name on NATS. No two consumers share it, since no tenant has a `_`.
    pub(super) fn durable(&self) -> String {
        format!("{}_{}", self.tenant, self.name)
    }
}

impl FromStr for Consumer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a consumer is TENANT/NAME, the name 1 to 32 of a-z, 0-9 and -";
        let (tenant, name) = text.split_once('/').ok_or(FORM)?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=NAME_MAX).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(FORM);
        }
        Ok(Self { tenant: tenant.parse().map_err(|_| FORM)?, name: name.into() })
    }
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_is_named_so_that_nothing_else_can_be_meant() {
        let consumer: Consumer = "acme/campaign-mailer".parse().unwrap();
        assert_eq!(
            (consumer.durable().as_str(), consumer.to_string().as_str()),
            ("acme_campaign-mailer", "acme/campaign-mailer")
        );
        let long = format!("acme/{}", "x".repeat(33));
        for bad in [
            "acme", "acme/", "/mailer", "acme/a.b", "acme/*", "acme/a_b", "acme/a/b", "*/mailer", "Acme/m",
            "a_b/m", &long,
        ] {
            assert!(bad.parse::<Consumer>().is_err(), "{bad}");
        }
    }
}
