//! The settings of the notary: with which signer the log is made provable, and which witnesses cosign.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use proof::{SignerKind, Vkey};

use crate::config::{ConfigError, LogChoice, Role, bad};

/// The signer of a log in the data folder.
const SIGNER: &str = "signer.key";
/// More than this and a checkpoint is mostly cosignatures.
const MAX_WITNESSES: usize = 8;

/// How the log is made provable.
#[derive(Args, Clone, Debug, Default)]
pub struct NotaryArgs {
    /// The file of the signer with which the log is made provable, made if it is not there, or `off` [default: signer.key in the data folder; on NATS off]
    #[arg(long, env = "RESCIND_NOTARY", value_name = "FILE|off")]
    pub notary: Option<PathBuf>,
    /// A witness (C2SP tlog-witness) that cosigns each checkpoint: its vkey, `=`, and the prefix of its add-checkpoint; again, or after a comma, for each
    #[arg(long = "witness", env = "RESCIND_WITNESSES", value_name = "VKEY=URL", value_delimiter = ',')]
    pub witnesses: Vec<String>,
}

/// With what this server signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotaryChoice {
    /// The signer file.
    pub signer: PathBuf,
    /// Who cosigns.
    pub witnesses: Vec<Witness>,
}

/// One witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What its cosignatures are checked with.
    pub vkey: Vkey,
    /// The prefix of its `add-checkpoint`, without a slash at the end.
    pub url: String,
}

impl NotaryArgs {
    /// These, and where they say nothing, what a file says.
    pub(super) fn or(self, notary: Option<PathBuf>, witnesses: Option<Vec<String>>) -> Self {
        let own = Some(self.witnesses).filter(|own| !own.is_empty());
        Self { notary: self.notary.or(notary), witnesses: own.or(witnesses).unwrap_or_default() }
    }

    /// On by default where this server alone writes the log. Of several on one NATS log only the one that is told is its
    /// notary.
    pub(super) fn resolve(
        self,
        data: &Path,
        log: &LogChoice,
        role: Role,
    ) -> Result<Option<NotaryChoice>, ConfigError> {
        let signer = match self.notary {
            Some(text) if text.as_os_str() == "off" => None,
            Some(text) if text.as_os_str().is_empty() => {
                return Err(bad("notary", "it is `off`, or the path of the signer file"));
            }
            Some(_) if role == Role::Verify => {
                return Err(bad(
                    "notary",
                    "a verify-only server signs nothing: give it to a server with --role all",
                ));
            }
            Some(path) => Some(path),
            None => (*log == LogChoice::Embedded).then(|| data.join(SIGNER)),
        };
        let Some(signer) = signer else {
            if self.witnesses.is_empty() {
                return Ok(None);
            }
            return Err(bad(
                "witnesses",
                "they cosign what a notary signs, and this server signs nothing: give --notary FILE",
            ));
        };
        if self.witnesses.len() > MAX_WITNESSES {
            return Err(bad("witnesses", format!("{} are more than {MAX_WITNESSES}", self.witnesses.len())));
        }
        let witnesses = self.witnesses.iter().map(|text| text.parse());
        Ok(Some(NotaryChoice { signer, witnesses: witnesses.collect::<Result<_, _>>()? }))
    }
}

impl FromStr for Witness {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        // Base64 of a vkey needs no padding, so that the first `=` is ours.
        let (vkey, url) = text.split_once('=').ok_or_else(|| {
            bad(
                "witnesses",
                format!("`{text}` is not VKEY=URL, such as w1+6df7a6f4+BK…=https://witness.example"),
            )
        })?;
        let vkey: Vkey = vkey.parse().map_err(|error| bad("witnesses", format!("`{vkey}`: {error}")))?;
        if vkey.kind() != SignerKind::Witness {
            return Err(bad(
                "witnesses",
                format!("{} is a log's signer: a witness's vkey has signature type 4", vkey.name()),
            ));
        }
        let fits = url.starts_with("https://") || url.starts_with("http://");
        if !fits || url.contains('@') || url.len() < 10 {
            return Err(bad(
                "witnesses",
                format!("`{url}` is no http:// or https:// address without a password"),
            ));
        }
        Ok(Self { vkey, url: url.trim_end_matches('/').to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of tlog-cosignature, with a key of our own.
    const WITNESS: &str = "witness.example/w1+6df7a6f4+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn resolved(
        notary: Option<&str>,
        role: Role,
        log: &LogChoice,
    ) -> Result<Option<NotaryChoice>, ConfigError> {
        let args = NotaryArgs { notary: notary.map(PathBuf::from), witnesses: Vec::new() };
        args.resolve(Path::new("data"), log, role)
    }

    #[test]
    fn a_log_in_the_data_folder_is_signed_unless_told_otherwise() {
        let signer = |path: &str| Some(NotaryChoice { signer: path.into(), witnesses: Vec::new() });
        assert_eq!(resolved(None, Role::All, &LogChoice::Embedded).unwrap(), signer("data/signer.key"));
        assert_eq!(resolved(Some("off"), Role::All, &LogChoice::Embedded).unwrap(), None);
        assert_eq!(resolved(Some("a/b"), Role::All, &LogChoice::Embedded).unwrap(), signer("a/b"));
        assert!(resolved(Some(""), Role::All, &LogChoice::Embedded).is_err());
        assert!(resolved(Some("a/b"), Role::Verify, &LogChoice::Embedded).is_err());
    }

    #[test]
    fn a_witness_is_its_vkey_and_where_it_is() {
        let error = |text: &str| text.parse::<Witness>().unwrap_err().to_string();
        for text in [WITNESS, "w=https://witness.example", "+=", ""] {
            assert!(error(text).starts_with("witnesses:"), "{text}");
        }
        let id = proof_id();
        let text = format!("w+{id}+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=https://witness.example/");
        assert_eq!(text.parse::<Witness>().unwrap().url, "https://witness.example");
        assert!(error(&text.replace("https", "ftp")).contains("ftp://"));
        let orphans = NotaryArgs { notary: Some("off".into()), witnesses: vec![text] };
        assert!(orphans.resolve(Path::new("data"), &LogChoice::Embedded, Role::All).is_err());
    }

    /// The id that the vkey above has to have, by the refusal of every other.
    fn proof_id() -> String {
        use sha2::{Digest, Sha256};
        let hash = Sha256::digest([b"w\n\x04".as_slice(), &[0; 32]].concat());
        hash[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
