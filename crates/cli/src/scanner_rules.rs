//! `rescind scanner-rules`: rules by which other scanners find our keys.

use clap::{Args, ValueEnum};
use domain::Prefix;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::screen;

/// Bits a character that the text of a key has at least. A random key has about 5; a placeholder, all zeros or one word
/// repeated, has less than 4.
const MIN_ENTROPY: u8 = 4;

/// A scanner that takes rules of others.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scanner {
    /// TOML for gitleaks 8: `gitleaks dir . -c FILE`, with its own rules beside ours
    Gitleaks,
    /// YAML for kingfisher 2: `kingfisher scan . --rules-path FILE`; it checks the checksum too
    Kingfisher,
}

/// Print a rule by which another scanner finds our keys
#[derive(Args, Debug)]
#[command(after_help = "\
A rule of gitleaks knows the form alone, so a mistyped key is found too. Kingfisher also computes the checksum.

Examples:
  rescind scanner-rules gitleaks > .gitleaks.toml
  rescind scanner-rules kingfisher --prefix rsk --prefix acme > rescind.yml")]
pub(crate) struct ScannerRules {
    /// For which scanner
    scanner: Scanner,
    /// What your keys begin with, as `rescind tenant list` shows it; may be repeated
    #[arg(long = "prefix", value_name = "PREFIX", default_value = "rsk")]
    prefixes: Vec<Prefix>,
}

impl ScannerRules {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let mut prefixes: Vec<&str> = self.prefixes.iter().map(Prefix::as_str).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        screen::data(
            match self.scanner {
                Scanner::Gitleaks => gitleaks(&prefixes),
                Scanner::Kingfisher => kingfisher(&prefixes),
            }
            .trim_end(),
        )?;
        Ok(Exit::Ok)
    }
}

/// What the checksum covers, as a regular expression: prefix, environment, key id, secret. The first digit of a key id
/// holds three bits.
fn covered(prefixes: &[&str]) -> String {
    format!(r"(?:{})_(?:live|test)_[0-7][0-9A-HJKMNP-TV-Z]{{25}}[0-9A-Za-z]{{32}}", prefixes.join("|"))
}

fn gitleaks(prefixes: &[&str]) -> String {
    let keywords: Vec<String> = prefixes
        .iter()
        .flat_map(|prefix| ["live", "test"].map(|environment| format!(r#""{prefix}_{environment}_""#)))
        .collect();
    format!(
        "\
# Keys of Rescind, for gitleaks 8: gitleaks dir . -c FILE
title = \"Rescind\"

# The rules of gitleaks itself stay on.
[extend]
useDefault = true

[[rules]]
id = \"rescind-api-key\"
description = \"An API key of Rescind: revoke it as leaked, and issue another.\"
regex = '''\\b({covered}[0-9A-Za-z]{{6}})(?:[^0-9A-Za-z]|$)'''
secretGroup = 1
entropy = {MIN_ENTROPY}
keywords = [{keywords}]
",
        covered = covered(prefixes),
        keywords = keywords.join(", "),
    )
}

fn kingfisher(prefixes: &[&str]) -> String {
    format!(
        "\
# Keys of Rescind, for kingfisher 2: kingfisher scan . --rules-path FILE
rules:
  - id: rescind.api-key
    name: Rescind API key
    pattern: '((?P<covered>{covered})(?P<checksum>[0-9A-Za-z]{{6}}))'
    # CRC-32 of all that stands before it, as six digits of base 62: what does not fit was never a key.
    pattern_requirements:
      checksum:
        actual:
          template: '{{{{ CHECKSUM }}}}'
          requires_capture: checksum
        expected: '{{{{ COVERED | crc32 | base62: 6 }}}}'
        skip_if_missing: false
    min_entropy: {MIN_ENTROPY}
    confidence: high
",
        covered = covered(prefixes),
    )
}

#[cfg(test)]
mod tests {
    use application::{Ambient, SystemAmbient};
    use domain::{Environment, KeyId, PlainSecret, format_key};

    use super::*;

    /// Shannon's, in bits a character.
    fn entropy(text: &str) -> f64 {
        let total = text.len() as f64;
        let counts = (0..=u8::MAX).map(|byte| text.bytes().filter(|b| *b == byte).count() as f64);
        counts.filter(|count| *count > 0.0).map(|count| -(count / total) * (count / total).log2()).sum()
    }

    #[test]
    fn no_key_is_so_plain_that_a_rule_would_pass_it_by() {
        let ambient = SystemAmbient;
        for _ in 0..10_000 {
            let secret = PlainSecret::draw(|bytes| ambient.fill(bytes));
            let id = KeyId::from_u128(ambient.draw_ulid());
            let key = format_key(&Prefix::default(), Environment::Live, id, &secret);
            assert!(entropy(key.expose()) > f64::from(MIN_ENTROPY) + 0.4, "{}", entropy(key.expose()));
        }
    }
}
