//! What `tests/peers` measured of the rivals, to stand beside the same rows.

use std::path::Path;

use serde_json::{Value, json};

use crate::names;
use crate::rush::Failure;

/// Which of our rows a rivals' row belongs to.
const SAME: [(&str, &str); 9] = [
    ("verify-http-1", "verify-http-1"),
    ("verify-http-64", "verify-http-64"),
    ("verify-batch", "verify-batch"),
    ("issue-1", "issue-http-1"),
    ("issue-64", "issue-http-64"),
    ("revoke-1", "revoke-http-1"),
    ("revoke-64", "revoke-http-64"),
    ("revoke-refused-*", "revoke-enforced-1-*"),
    ("memory", "memory"),
];

/// A results file of the rivals' runs.
pub(crate) struct Rivals(Vec<Value>);

impl Rivals {
    /// Reads a results file, or `results.json` in a folder.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let file = if path.is_dir() { path.join("results.json") } else { path.to_owned() };
        let read = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", file.display());
        let text = match std::fs::read(&file) {
            // Nobody has measured them yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self(Vec::new())),
            text => text.map_err(|error| read(&error))?,
        };
        let held: Value = serde_json::from_slice(&text).map_err(|error| read(&error))?;
        Ok(Self(held["rows"].as_array().cloned().unwrap_or_default()))
    }

    /// The rival that comes nearest, with how far ours is ahead in their own run, or null.
    pub(crate) fn beside(&self, row: &str) -> Value {
        let of = |held: &&Value| held["row"].as_str().is_some_and(|name| is_same(name, row));
        let ahead = |held: &Value| held["ratio"]["median"].as_f64().unwrap_or(f64::INFINITY);
        let nearest = self.0.iter().filter(of).min_by(|a, b| ahead(a).total_cmp(&ahead(b)));
        nearest.map_or(Value::Null, |held| {
            let rival = &held["rival"];
            json!({
                "name": rival["name"], "version": rival["version"], "median": rival["median"], "min": rival["min"],
                "max": rival["max"], "unit": rival["unit"], "keys": held["keys"], "ours": held["ours"],
                "ahead": held["ratio"]["median"],
            })
        })
    }
}

fn is_same(theirs: &str, ours: &str) -> bool {
    SAME.iter().any(|(their_row, our_row)| {
        let ending = |pattern: &str, name: &str| {
            pattern.strip_suffix('*').and_then(|start| name.strip_prefix(start)).map(str::to_owned)
        };
        names::matches(their_row, theirs)
            && names::matches(our_row, ours)
            && ending(their_row, theirs) == ending(our_row, ours)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rival_stands_beside_our_row() {
        let held = |row: &str, name: &str, ahead: f64| json!({"row": row, "keys": 1000, "rival": {"name": name, "median": 1.0}, "ratio": {"median": ahead}});
        let rivals = Rivals(vec![
            held("issue-64", "openbao", 10.0),
            held("issue-64", "redis", 0.5),
            held("revoke-refused-p99", "redis", 2.0),
        ]);
        assert_eq!(rivals.beside("issue-http-64")["name"], "redis");
        assert_eq!(rivals.beside("revoke-enforced-1-p99")["ahead"], 2.0);
        assert_eq!(rivals.beside("revoke-enforced-1-p50"), Value::Null);
        assert_eq!(rivals.beside("issue-embedded-64"), Value::Null);
    }
}
