//! Forms in which several views store the same: times, and texts about people.

use domain::{Personal, PersonalText, Timestamp};
use serde::{Deserialize, Serialize};

/// A text about a person in postcard. Any change of it raises the `SCHEMA` of the views that store it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoredPersonal {
    Plain(String),
    Sealed(Vec<u8>),
}

impl StoredPersonal {
    pub(crate) fn of(personal: &Personal) -> Self {
        match personal {
            Personal::Plain(text) => Self::Plain(text.as_str().to_owned()),
            Personal::Sealed(bytes) => Self::Sealed(bytes.clone()),
        }
    }
}

/// The text as it is shown. The outer `Option` is whether it could be.
pub(crate) fn shown(stored: Option<StoredPersonal>) -> Option<Option<Personal>> {
    match stored {
        None => Some(None),
        // A note is the longest text there is; its bound holds for every field.
        Some(StoredPersonal::Plain(text)) => Some(Some(Personal::Plain(PersonalText::note(&text).ok()?))),
        Some(StoredPersonal::Sealed(bytes)) => Some(Some(Personal::Sealed(bytes))),
    }
}

/// A stored time, of which 0 is none.
pub(crate) fn instant(ms: u64) -> Option<Timestamp> {
    (ms != 0).then(|| Timestamp::from_millis(ms))
}
