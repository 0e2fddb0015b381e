//! Spans as people write them: `90d`, `24h`, `90m`, `30s`; shown back as the largest unit that fits.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A text that is no span.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a span is a whole number and d, h, m or s, such as 90d or 24h")]
pub(crate) struct SpanError;

/// The units, the largest first.
const UNITS: [(char, u64); 4] = [('d', 86_400_000), ('h', 3_600_000), ('m', 60_000), ('s', 1_000)];

/// A length of time, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) u64);

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let unit = UNITS.iter().find(|(name, _)| text.ends_with(*name)).ok_or(SpanError)?;
        let number = &text[..text.len() - 1];
        // `parse` takes a plus sign too, and leading zeros would not be shown back.
        let plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
        let number: u64 = number.parse().map_err(|_| SpanError)?;
        if !plain {
            return Err(SpanError);
        }
        number.checked_mul(unit.1).map(Self).ok_or(SpanError)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, ms)| self.0.is_multiple_of(*ms)) {
            Some((name, ms)) if self.0 > 0 => write!(f, "{}{name}", self.0 / ms),
            // Only another program's event can hold a part of a second.
            _ => write!(f, "{}ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_strictly_and_show_the_largest_unit_that_fits() {
        for (text, ms, shown) in [
            ("90d", 7_776_000_000, "90d"),
            ("24h", 86_400_000, "1d"),
            ("25h", 90_000_000, "25h"),
            ("90m", 5_400_000, "90m"),
            ("2s", 2_000, "2s"),
        ] {
            assert_eq!((text.parse(), Span(ms).to_string().as_str()), (Ok(Span(ms)), shown));
            assert_eq!(shown.parse(), Ok(Span(ms)));
        }
        for bad in [
            "",
            "d",
            "0d",
            "01d",
            "+1d",
            "-1d",
            "1.5h",
            "1w",
            "90",
            "1 d",
            "ä",
            "99999999999999999999d",
            "9999999999999999d",
        ] {
            assert_eq!(bad.parse::<Span>(), Err(SpanError), "{bad}");
        }
        assert_eq!(Span(1_500).to_string(), "1500ms");
    }
}
