//! Where a log is, as a verb names it: `embedded:DIR`, or the address of NATS.

use std::fmt;
use std::path::PathBuf;

use crate::config::{ConfigError, NatsArgs, NatsChoice, bad};

/// What stands before a data folder.
const EMBEDDED: &str = "embedded:";

/// Where a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPlace {
    /// In this data folder.
    Embedded(PathBuf),
    /// On NATS JetStream.
    Nats(NatsChoice),
}

impl LogPlace {
    /// Reads `embedded:DIR` or `nats://…`; NATS is entered as `nats` says, and streams that are made there get so many
    /// copies.
    ///
    /// # Errors
    /// [`ConfigError`], which names the setting.
    pub fn parse(
        setting: &'static str,
        text: &str,
        nats: &NatsArgs,
        replicas: Option<usize>,
    ) -> Result<Self, ConfigError> {
        if let Some(folder) = text.strip_prefix(EMBEDDED) {
            if folder.is_empty() {
                return Err(bad(setting, "it names no data folder: write embedded:DIR"));
            }
            return Ok(Self::Embedded(folder.into()));
        }
        if !text.contains("://") {
            return Err(bad(setting, "it is neither embedded:DIR nor nats://host:port"));
        }
        let args = NatsArgs { log: Some(text.to_owned()), ..nats.clone() };
        Ok(Self::Nats(NatsChoice::resolve_with(args, replicas)?))
    }
}

/// An address of NATS may hold a password: it is not shown.
impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(folder) => write!(f, "{EMBEDDED}{}", folder.display()),
            Self::Nats(_) => f.write_str("NATS"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_nats() {
        let parse = |text: &str| LogPlace::parse("from", text, &NatsArgs::default(), Some(3));
        assert_eq!(parse("embedded:/srv/data").unwrap(), LogPlace::Embedded("/srv/data".into()));
        let Ok(LogPlace::Nats(choice)) = parse("nats://mailer:hunter2@a:4222") else { panic!("NATS") };
        assert_eq!(choice.replicas, 3);
        assert!(!LogPlace::Nats(choice).to_string().contains("hunter2"));
        for bad in ["", "embedded:", "rescind-data", "http://a:1", "nats://"] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(!error.is_empty(), "{bad}");
        }
    }
}
