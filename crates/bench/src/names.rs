//! Names of rows, with `*` for anything.

/// Whether the pattern means the name.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_it_says() {
        for (pattern, name, expected) in [
            ("verify-hit", "verify-hit", true),
            ("verify-hit", "verify-hit-2", false),
            ("verify-*", "verify-hit-2", true),
            ("*-64", "verify-http-64", true),
            ("*-64", "verify-http-64-spread", false),
            ("issue-*-64", "issue-embedded-64", true),
            ("issue-*-64", "issue-64", false),
            ("*", "recall", true),
            ("", "recall", false),
            ("*r*r*", "recall", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
