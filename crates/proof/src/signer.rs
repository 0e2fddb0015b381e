//! Signers: what a notary signs checkpoints with, one or more of them, one a line in a file.
//!
//! A line is a private key in the form of Go's sumdb/note: `PRIVATE+KEY+name+id+base64`. Two lines sign everything twice:
//! so a signer is exchanged while auditors still pin the old one.

use std::fmt;

use base64ct::{Base64, Encoding};
use domain::LogId;
use ed25519_dalek::SigningKey;
use signed_note::{Signer, StandardSigner};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::vkey::Vkey;

/// More are no rotation any more, and each makes every checkpoint longer.
const MAX_SIGNERS: usize = 4;

/// The origin line of a log's checkpoints, and the name of its signers.
#[must_use]
pub fn origin_of(log_id: LogId) -> String {
    format!("rescind/{log_id}")
}

/// The log whose checkpoints have this origin, if it is one of ours.
#[must_use]
pub fn log_of(origin: &str) -> Option<LogId> {
    origin.strip_prefix("rescind/")?.parse().ok()
}

/// Why a file gives no signers. Never repeats what stands in it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SignerError {
    /// Nothing is in it.
    #[error("it holds no signer; `rescind audit signer add` makes one")]
    Empty,
    /// A line is something else.
    #[error(
        "line {line} is no signer; each line is PRIVATE+KEY+name+id+key, as `rescind audit signer` writes it"
    )]
    Line {
        /// Which line, from 1.
        line: usize,
    },
    /// Too many lines.
    #[error("it holds more than {MAX_SIGNERS} signers; remove those that nobody pins any more")]
    TooMany,
    /// A signer of another log, which would sign in that one's name.
    #[error(
        "it holds a signer named {name}, and this log's are named {wanted}: give each log signers of its own"
    )]
    OtherLog {
        /// The name in the file.
        name: String,
        /// The log's origin.
        wanted: String,
    },
    /// The id that was to be removed.
    #[error("it holds no signer with the id {id}; `rescind audit signer show` lists them")]
    Unknown {
        /// As it was asked for.
        id: String,
    },
    /// The last one is not removed.
    #[error(
        "{id} is its only signer: add the next one first, and remove this one when auditors pin the next"
    )]
    Last {
        /// As it was asked for.
        id: String,
    },
}

/// The text of a signer file. Not shown, wiped on drop.
pub struct SignerFile(Zeroizing<String>);

impl SignerFile {
    /// What a file holds.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// A file with one new signer of a log, made from 32 random bytes.
    #[must_use]
    pub fn create(origin: &str, seed: Zeroizing<[u8; 32]>) -> Self {
        Self(line_of(origin, &seed))
    }

    /// The file with another new signer behind those that it has.
    ///
    /// # Errors
    /// [`SignerError`] when the file is no good, or full.
    pub fn with_another(&self, seed: Zeroizing<[u8; 32]>) -> Result<Self, SignerError> {
        let signers = self.signers()?;
        if signers.list.len() == MAX_SIGNERS {
            return Err(SignerError::TooMany);
        }
        let line = line_of(signers.list[0].1.name(), &seed);
        let mut text = Zeroizing::new(self.0.trim_end().to_owned());
        text.push('\n');
        text.push_str(&line);
        Ok(Self(text))
    }

    /// The file without the signer of this short id.
    ///
    /// # Errors
    /// [`SignerError`] when it is not there, or the last one.
    pub fn without(&self, id: &str) -> Result<Self, SignerError> {
        let signers = self.signers()?;
        let at = signers.list.iter().position(|(_, vkey)| vkey.short_id() == id);
        let at = at.ok_or_else(|| SignerError::Unknown { id: id.to_owned() })?;
        if signers.list.len() == 1 {
            return Err(SignerError::Last { id: id.to_owned() });
        }
        let mut text = Zeroizing::new(String::new());
        for (_, line) in lines(&self.0).enumerate().filter(|(n, _)| *n != at) {
            text.push_str(line.1);
            text.push('\n');
        }
        Ok(Self(text))
    }

    /// Its bytes, to be written where only their owner can read.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// What signs.
    ///
    /// # Errors
    /// [`SignerError`], which names the line.
    pub fn signers(&self) -> Result<Signers, SignerError> {
        let list: Vec<(StandardSigner, Vkey)> = lines(&self.0)
            .map(|(line, text)| parse(text).ok_or(SignerError::Line { line }))
            .collect::<Result<_, _>>()?;
        match list.len() {
            0 => Err(SignerError::Empty),
            1..=MAX_SIGNERS => Ok(Signers { list }),
            _ => Err(SignerError::TooMany),
        }
    }
}

impl fmt::Debug for SignerFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignerFile")
    }
}

/// The lines that say something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty())
}

fn line_of(origin: &str, seed: &[u8; 32]) -> Zeroizing<String> {
    let vkey = Vkey::of_log(origin, SigningKey::from_bytes(seed).verifying_key());
    let mut private = [1; 33];
    private[1..].copy_from_slice(seed);
    let encoded = Zeroizing::new(Base64::encode_string(&private));
    private.zeroize();
    Zeroizing::new(format!("PRIVATE+KEY+{origin}+{}+{}\n", vkey.short_id(), *encoded))
}

fn parse(line: &str) -> Option<(StandardSigner, Vkey)> {
    let signer = StandardSigner::new(line).ok()?;
    // PRIVATE, KEY, name, id; the rest is base64, which may have a plus in it.
    let private = Zeroizing::new(Base64::decode_vec(line.splitn(5, '+').last()?).ok()?);
    let seed = Zeroizing::new(<[u8; 32]>::try_from(private.get(1..)?).ok()?);
    let vkey = Vkey::of_log(signer.name(), SigningKey::from_bytes(&seed).verifying_key());
    (format!("{:08x}", signer.key_id()) == vkey.short_id()).then_some((signer, vkey))
}

/// All signers of a file. Everything is signed by each.
pub struct Signers {
    list: Vec<(StandardSigner, Vkey)>,
}

impl Signers {
    /// Their public parts.
    pub fn vkeys(&self) -> impl Iterator<Item = &Vkey> {
        self.list.iter().map(|(_, vkey)| vkey)
    }

    /// That all of them sign for this log.
    ///
    /// # Errors
    /// [`SignerError::OtherLog`].
    pub fn check_origin(&self, origin: &str) -> Result<(), SignerError> {
        match self.vkeys().find(|vkey| vkey.name() != origin) {
            Some(other) => {
                let (name, wanted) = (other.name().to_owned(), origin.to_owned());
                Err(SignerError::OtherLog { name, wanted })
            }
            None => Ok(()),
        }
    }

    pub(crate) fn as_signers(&self) -> Vec<&dyn Signer> {
        self.list.iter().map(|(signer, _)| signer as &dyn Signer).collect()
    }
}

impl fmt::Debug for Signers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.vkeys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(n: u8) -> Zeroizing<[u8; 32]> {
        Zeroizing::new([n; 32])
    }

    #[test]
    fn signers_are_created_added_and_removed() {
        let first = SignerFile::create("rescind/A", seed(1));
        let both = first.with_another(seed(2)).unwrap();
        let ids: Vec<String> = both.signers().unwrap().vkeys().map(Vkey::short_id).collect();
        assert_eq!(ids.len(), 2);
        let second = both.without(&ids[0]).unwrap();
        let left: Vec<String> = second.signers().unwrap().vkeys().map(Vkey::short_id).collect();
        assert_eq!(left, [ids[1].clone()]);
        assert!(matches!(second.without(&ids[1]), Err(SignerError::Last { .. })));
        assert!(matches!(second.without(&ids[0]), Err(SignerError::Unknown { .. })));
        let full = both.with_another(seed(3)).unwrap().with_another(seed(4)).unwrap();
        assert_eq!(full.with_another(seed(5)).unwrap_err(), SignerError::TooMany);
    }

    #[test]
    fn a_signer_of_any_seed_reads_as_it_was_written() {
        for n in 0..=255 {
            // Among them are private keys whose base64 has a plus in it.
            let mut seed = [n; 32];
            seed[0] = n ^ 0xfb;
            let file = SignerFile::create("rescind/A", seed.into());
            let again =
                SignerFile::new(String::from_utf8(file.expose().to_vec()).unwrap()).signers().unwrap();
            let vkey = again.vkeys().next().unwrap();
            assert_eq!(vkey.to_string().parse::<Vkey>().as_ref(), Ok(vkey), "{n}");
        }
    }

    #[test]
    fn what_is_no_signer_is_named_by_its_line_and_not_repeated() {
        let file = SignerFile::create("rescind/A", seed(1));
        let text = std::str::from_utf8(file.expose()).unwrap();
        let broken = SignerFile::new(format!("\n{text}{}", text.replace("rescind/A", "rescind/B")));
        let error = broken.signers().unwrap_err();
        assert_eq!(error, SignerError::Line { line: 3 });
        assert_eq!(SignerFile::new("\n \n".to_owned()).signers().unwrap_err(), SignerError::Empty);
        let secret = text.trim().rsplit('+').next().unwrap();
        for shown in [format!("{broken:?}"), format!("{:?}", file.signers().unwrap()), error.to_string()] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn signers_of_another_log_are_told() {
        let signers = SignerFile::create("rescind/A", seed(1)).signers().unwrap();
        signers.check_origin("rescind/A").unwrap();
        assert!(matches!(signers.check_origin("rescind/B"), Err(SignerError::OtherLog { .. })));
    }
}
