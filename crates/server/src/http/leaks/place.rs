//! Where a leak was found, as it is kept: without the secret that may be part of the address itself.

use domain::{AttributeError, Personal, PersonalText};

/// Letters and digits of a key's id, which may be shown.
const KEY_ID: usize = 26;
/// Letters and digits behind it: secret and checksum.
const SECRET: usize = 38;
/// What is put in the place of a secret.
const LEFT_OUT: &str = "…";
/// Tokens shorter than this are words that are part of many addresses, and no secrets.
const SHORTEST: usize = 8;

/// The part of a token that opens something: of a key of ours what follows its id, so that it is found however the rest is
/// written; else all of it.
fn secret_of(token: &str) -> &str {
    let at = token.len().saturating_sub(SECRET);
    if domain::ParsedKey::parse(token).is_ok() { &token[at..] } else { token }
}

/// Whether a text has the secret of this token in it.
pub(super) fn holds_secret_of(text: &str, token: &str) -> bool {
    token.len() >= SHORTEST && text.contains(secret_of(token))
}

/// The place for who can be told that it does not fit.
///
/// # Errors
/// Too long, or with a control character.
pub(super) fn strict(url: &str, token: &str) -> Result<Option<Personal>, AttributeError> {
    let url = without_secrets(url, token);
    if url.is_empty() {
        return Ok(None);
    }
    PersonalText::note(&url).map(Personal::Plain).map(Some)
}

/// The place as far as it fits.
pub(super) fn lenient(url: &str, token: &str) -> Option<Personal> {
    let url = without_secrets(url, token);
    let fits: String = url.chars().filter(|c| !c.is_control()).take(PersonalText::MAX_NOTE).collect();
    PersonalText::note(&fits).ok().map(Personal::Plain)
}

/// The same text without the secret of this token, and without that of any other key of our form.
fn without_secrets(text: &str, token: &str) -> String {
    let mut text = match holds_secret_of(text, token) {
        true => text.replace(secret_of(token), LEFT_OUT),
        false => text.to_owned(),
    };
    for marker in ["_live_", "_test_"] {
        let mut from = 0;
        while let Some(found) = text[from..].find(marker) {
            from += found + marker.len();
            let word = text[from..].bytes().take_while(u8::is_ascii_alphanumeric).count();
            if word > KEY_ID {
                let secret = from + KEY_ID..from + word.min(KEY_ID + SECRET);
                text.replace_range(secret, LEFT_OUT);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "rsk_live_01JD57W5E6M4Q0T3S8V2NFD1YZ0123456789ABCDEFGHIJKLMNOPQRSTUV1W00Rk";
    const SECRET_OF_KEY: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

    fn kept(url: &str, token: &str) -> String {
        let strict = strict(url, token).unwrap();
        assert_eq!(strict, lenient(url, token));
        strict.and_then(|place| place.plain().map(str::to_owned)).unwrap_or_default()
    }

    #[test]
    fn an_address_is_kept_as_it_is() {
        let url = "https://example.com/lists/blob/main/mailer.env#L3";
        assert_eq!(kept(url, KEY), url);
        assert_eq!(kept("", KEY), "");
        assert_eq!(kept(url, "lists"), url, "a word is no secret");
        assert_eq!(kept("lists_test_results/spring_live_data", KEY), "lists_test_results/spring_live_data");
    }

    #[test]
    fn a_secret_in_an_address_is_left_out() {
        for url in [
            format!("https://example.com/?key={KEY}&list=spring"),
            format!("https://example.com/?key={}&list=spring", KEY.replace('_', "%5F")),
            format!("{KEY}{KEY}"),
            KEY.to_owned(),
        ] {
            assert!(!kept(&url, KEY).contains(SECRET_OF_KEY), "{url}");
            assert!(kept(&url, KEY).contains("01JD57W5E6M4Q0T3S8V2NFD1YZ…"), "{url}");
        }
        // Another key of our form, reported or not.
        let other = kept(&format!("https://example.com/?key={KEY}"), "imported-mailer-token");
        assert_eq!(other, "https://example.com/?key=rsk_live_01JD57W5E6M4Q0T3S8V2NFD1YZ…");
        let imported = kept("https://example.com/imported-mailer-token/x", "imported-mailer-token");
        assert_eq!(imported, "https://example.com/…/x");
        assert!(holds_secret_of(&format!("scan.{}", &KEY[35..]), KEY));
    }

    #[test]
    fn what_does_not_fit_is_refused_or_cut() {
        let long = "ä".repeat(PersonalText::MAX_NOTE + 1);
        assert!(strict(&long, KEY).is_err() && strict("a\nb", KEY).is_err());
        let cut = lenient(&long, KEY).unwrap();
        assert_eq!(cut.plain().unwrap().chars().count(), PersonalText::MAX_NOTE);
        assert_eq!(lenient("a\n\u{1b}b", KEY).unwrap().plain(), Some("ab"));
        assert_eq!(lenient("\n", KEY), None);
    }
}
