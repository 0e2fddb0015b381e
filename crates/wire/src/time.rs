//! Instants as people and JSON write them: RFC 3339 in UTC.

use domain::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use thiserror::Error;

/// Always with milliseconds, so that texts sort like instants.
const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// A text that names no instant we can hold.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a time is RFC 3339, such as 2026-11-23T12:00:00Z, between 1970 and 9999")]
pub struct TimeError;

/// `2026-11-23T12:00:00.000Z`, always with milliseconds, so that texts sort like instants.
#[must_use]
pub fn format_rfc3339(at: Timestamp) -> String {
    PRINTER.timestamp_to_string(&instant(at))
}

/// Writes the same behind what is there.
pub(crate) fn write_rfc3339(at: Timestamp, out: &mut Vec<u8>) {
    PRINTER.print_timestamp(&instant(at), out).expect("a text goes into memory");
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    let millis = i64::try_from(at.min(Timestamp::MAX).as_millis()).expect("the last instant fits in 63 bits");
    jiff::Timestamp::from_millisecond(millis).expect("the last instant is within the library's range")
}

/// Reads RFC 3339 with any offset; parts below a millisecond are dropped.
///
/// # Errors
/// [`TimeError`].
pub fn parse_rfc3339(text: &str) -> Result<Timestamp, TimeError> {
    let at: jiff::Timestamp = text.parse().map_err(|_| TimeError)?;
    let millis = u64::try_from(at.as_millisecond()).map_err(|_| TimeError)?;
    Some(Timestamp::from_millis(millis)).filter(|at| *at <= Timestamp::MAX).ok_or(TimeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_they_parse() {
        for (text, printed) in [
            ("2026-11-23T12:00:00Z", "2026-11-23T12:00:00.000Z"),
            ("2026-11-23T13:00:00.1239+01:00", "2026-11-23T12:00:00.123Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(format_rfc3339(parse_rfc3339(text).unwrap()), printed);
        }
        assert_eq!(format_rfc3339(Timestamp::MAX), "9999-12-30T22:00:00.000Z");
        assert_eq!(format_rfc3339(Timestamp::from_millis(u64::MAX)), "9999-12-30T22:00:00.000Z");
        for bad in ["", "now", "2026-11-23", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z"] {
            assert_eq!(parse_rfc3339(bad), Err(TimeError), "{bad}");
        }
    }
}
