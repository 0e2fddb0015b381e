//! What a search found, as it is shown: where, and which key, never its secret.

use std::path::Path;

use domain::ParsedKey;
use serde_json::{Value, json};

use super::window::Place;
use crate::screen::printable;

/// Characters of a commit that people are shown: git's own short form is rarely longer.
const SHORT_ID: usize = 12;

/// Characters of a place that the server takes; of a longer one the end says more.
const MAX_REPORTED: usize = 1024;

/// What was searched.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// A file as it lies there.
    File(&'a Path),
    /// What came in on stdin.
    Stdin,
    /// An object of a repository's history.
    Object(Object<'a>),
}

/// An object of a repository's history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'a> {
    pub(super) repository: &'a Path,
    /// The commit that brought it, the oldest one of those that hold it.
    pub(super) commit: &'a str,
    pub(super) id: &'a str,
    /// `blob`, `commit` or `tag`.
    pub(super) kind: &'a str,
    /// The path in that commit; the name of a tag.
    pub(super) path: &'a str,
}

impl Origin<'_> {
    /// `config/mailer.env`, `4f2c1d0a9b8c:config/mailer.env`
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.to_string_lossy().into_owned(),
            Self::Stdin => "(stdin)".to_owned(),
            Self::Object(object) => object.name(),
        }
    }
}

/// The place as a report names it, for whoever reads the key's history without this folder at hand: with the repository that
/// a commit is in.
pub(super) fn reported(origin: &Origin<'_>, place: Place) -> String {
    let name = match origin {
        Origin::Object(object) => format!("{}@{}", object.repository.display(), object.name()),
        Origin::File(_) | Origin::Stdin => origin.name(),
    };
    let at = format!(":{}:{}", place.line, place.column);
    let name = printable(&name);
    let from = name.chars().count().saturating_sub(MAX_REPORTED - at.len());
    name.chars().skip(from).chain(at.chars()).collect()
}

impl Object<'_> {
    fn name(&self) -> String {
        let short = |id: &str| id.get(..SHORT_ID).unwrap_or(id).to_owned();
        match self.kind {
            "commit" => format!("{}:(message)", short(self.id)),
            "tag" => format!("{}:(tag {})", short(self.id), self.path),
            _ => format!("{}:{}", short(self.commit), self.path),
        }
    }
}

/// `rsk_live_01JDA7W5W6M4Q0T3S8V2N9X1YZ…`
fn masked(key: &ParsedKey<'_>) -> String {
    format!("{}_{}_{}…", key.prefix, key.environment, key.key_id)
}

/// `config/mailer.env:3:12  rsk_live_01JDA7W5W6M4Q0T3S8V2N9X1YZ…`
pub(super) fn line(origin: &Origin<'_>, place: Place, key: &ParsedKey<'_>) -> String {
    format!("{}:{}:{}  {}", printable(&origin.name()), place.line, place.column, masked(key))
}

/// The same for scripts.
pub(super) fn to_json(origin: &Origin<'_>, place: Place, key: &ParsedKey<'_>) -> Value {
    let mut told = json!({
        "line": place.line,
        "column": place.column,
        "offset": place.offset,
        "key": masked(key),
        "key_id": key.key_id.to_string(),
        "prefix": key.prefix,
        "environment": key.environment.as_str(),
    });
    match origin {
        Origin::File(path) => {
            told["source"] = json!("file");
            told["path"] = json!(path.to_string_lossy());
        }
        Origin::Stdin => told["source"] = json!("stdin"),
        Origin::Object(object) => {
            told["source"] = json!(object.kind);
            told["path"] = json!(object.path);
            told["commit"] = json!(object.commit);
            told["object"] = json!(object.id);
            told["repository"] = json!(object.repository.to_string_lossy());
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::given::a_key;

    #[test]
    fn a_finding_says_where_and_which_and_never_the_secret() {
        let text = a_key("rsk");
        let key = ParsedKey::parse(&text).unwrap();
        let place = Place { offset: 40, line: 3, column: 12 };
        let id = key.key_id;
        let file = Origin::File(Path::new("config/mailer.env"));
        assert_eq!(line(&file, place, &key), format!("config/mailer.env:3:12  rsk_live_{id}…"));
        let object = |kind, path| {
            Origin::Object(Object {
                repository: Path::new("."),
                commit: "4f2c1d0a9b8c7d6e",
                id: "0123456789abcdef",
                kind,
                path,
            })
        };
        assert!(line(&object("blob", "a b.env"), place, &key).starts_with("4f2c1d0a9b8c:a b.env:3:12  rsk"));
        assert!(line(&object("commit", ""), place, &key).starts_with("0123456789ab:(message):3:12  rsk"));
        assert!(line(&object("tag", "spring"), place, &key).starts_with("0123456789ab:(tag spring):3:12"));
        let blob = object("blob", "a b.env");
        assert_eq!(reported(&file, place), "config/mailer.env:3:12");
        assert_eq!(reported(&blob, place), ".@4f2c1d0a9b8c:a b.env:3:12");
        let long = "ä/".repeat(1000);
        let cut = reported(&Origin::File(Path::new(&long)), place);
        assert!(cut.chars().count() == MAX_REPORTED && cut.ends_with("ä/:3:12"), "{cut}");
        let forged = Origin::File(Path::new("a\n\u{1b}[2Jb"));
        assert_eq!(line(&forged, place, &key).lines().count(), 1);
        for told in [to_json(&file, place, &key), to_json(&object("blob", "x"), place, &key)] {
            assert!(!told.to_string().contains(&text[35..67]), "the secret");
            assert_eq!((&told["key_id"], &told["line"]), (&json!(id.to_string()), &json!(3)));
        }
    }
}
