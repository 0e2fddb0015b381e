//! Instants on the command line: RFC 3339, or so long ago or ahead.

use domain::Timestamp;

use crate::failure::Failure;

/// Reads `2026-11-23T12:00:00Z`, or `90m`, `24h`, `7d` before now.
pub(crate) fn past(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    match span(text) {
        Some(millis) => Ok(Timestamp::from_millis(now.as_millis().saturating_sub(millis))),
        None => instant(text),
    }
}

/// Reads `2026-11-23T12:00:00Z`, or `90m`, `24h`, `7d` from now.
pub(crate) fn future(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    match span(text) {
        Some(millis) => Ok(now.plus_millis(millis).min(Timestamp::MAX)),
        None => instant(text),
    }
}

/// Reads a moment of the log as the API takes it: a position, a time, or so long before now.
pub(crate) fn moment(flag: &str, text: Option<&str>, now: Timestamp) -> Result<Option<String>, Failure> {
    let Some(text) = text else { return Ok(None) };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Some(text.to_owned()));
    }
    let at = past(text, now).map_err(|_| {
        Failure::usage(format!("{flag} is neither a position nor a time")).because(
            "write a position as 812, a time as 2026-11-23T12:00:00Z, or so long ago as 90m, 24h or 7d",
        )
    })?;
    Ok(Some(wire::format_rfc3339(at)))
}

/// Reads `90m`, `24h`, `7d` as milliseconds.
pub(crate) fn length(text: &str) -> Result<u64, String> {
    span(text).ok_or_else(|| "write a span as 90m, 24h or 7d".to_owned())
}

fn instant(text: &str) -> Result<Timestamp, String> {
    wire::parse_rfc3339(text)
        .map_err(|_| "write a time as 2026-11-23T12:00:00Z, or a span such as 90m, 24h or 7d".to_owned())
}

fn span(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    text[..text.len() - 1].parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_instants_or_spans() {
        let now = wire::parse_rfc3339("2026-11-23T12:00:00Z").unwrap();
        for (text, shown) in [
            ("90m", "2026-11-23T10:30:00.000Z"),
            ("7d", "2026-11-16T12:00:00.000Z"),
            ("2026-01-01T00:00:00+01:00", "2025-12-31T23:00:00.000Z"),
        ] {
            assert_eq!(wire::format_rfc3339(past(text, now).unwrap()), shown);
        }
        assert_eq!(wire::format_rfc3339(future("24h", now).unwrap()), "2026-11-24T12:00:00.000Z");
        for bad in ["", "h", "-1h", "1.5h", "yesterday", "5", "ä"] {
            assert!(past(bad, now).is_err(), "{bad}");
        }
        let moment = |text: &str| moment("--at", Some(text), now).map(Option::unwrap_or_default);
        assert_eq!(moment("812").unwrap(), "812");
        assert_eq!(moment("1h").unwrap(), "2026-11-23T11:00:00.000Z");
        assert!(moment("").is_err() && moment("-3").is_err() && moment("noon").is_err());
        assert!(
            future("9999999999999d", now).is_ok_and(|at| at <= Timestamp::MAX)
                || future("9999999999999d", now).is_err()
        );
    }
}
