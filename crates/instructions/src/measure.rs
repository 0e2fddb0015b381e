//! What each case took when it was last written down, and how far it may go from there.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// A tenth more fails: hash tables are seeded anew in each run, which moves counts by a few in a hundred.
const MORE_PERCENT: u64 = 10;

/// Instructions a call, by case.
pub(crate) struct Measure(pub(crate) BTreeMap<String, u64>);

impl Measure {
    fn place() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("measure.txt")
    }

    pub(crate) fn read() -> Result<Self, String> {
        let place = Self::place();
        let text = fs::read_to_string(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let line = |line: &str| {
            let (name, count) = line.split_once(' ')?;
            Some((name.to_owned(), count.trim().parse().ok()?))
        };
        let lines =
            text.lines().map(|text| line(text).ok_or_else(|| format!("not a case and a count: {text}")));
        lines.collect::<Result<_, String>>().map(Self)
    }

    pub(crate) fn write(&self) -> Result<(), String> {
        let mut text = String::new();
        for (name, count) in &self.0 {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name} {count}");
        }
        fs::write(Self::place(), text).map_err(|error| format!("{}: {error}", Self::place().display()))
    }

    /// What is to be said against `now`.
    pub(crate) fn compare(&self, now: &Self) -> Vec<String> {
        let too_many = now.0.iter().filter_map(|(name, now)| match self.0.get(name) {
            None => Some(format!("{name} was never written down: run it with `write`")),
            Some(was) if *now * 100 > was * (100 + MORE_PERCENT) => Some(format!(
                "{name} takes {now} instructions where it took {was}: find out why, or write it down and say why"
            )),
            Some(_) => None,
        });
        let gone = self.0.keys().filter(|name| !now.0.contains_key(*name));
        too_many.chain(gone.map(|name| format!("{name} is written down and no case"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(text: &str) -> Measure {
        Measure::parse(text).unwrap()
    }

    #[test]
    fn a_tenth_more_passes_and_what_is_beyond_fails() {
        let was = measure("decode 1000\nencode 500\n");
        assert!(was.compare(&measure("decode 1100\nencode 100\n")).is_empty());
        let found = was.compare(&measure("decode 1101\nencode 500\n"));
        assert!(matches!(&found[..], [one] if one.starts_with("decode takes 1101")), "{found:?}");
    }

    #[test]
    fn a_case_that_comes_or_goes_is_told() {
        let found = measure("decode 1000\n").compare(&measure("encode 1000\n"));
        assert!(
            found[0].starts_with("encode was never") && found[1].starts_with("decode is written"),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_no_measure_is_not_read() {
        assert!(Measure::parse("decode\n").is_err() && Measure::parse("decode x\n").is_err());
    }
}
