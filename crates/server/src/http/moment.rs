//! A moment of the log as clients name it: a position, or a time.

use std::str::FromStr;

use domain::{Position, Timestamp};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;
use wire::{format_rfc3339, parse_rfc3339};

use crate::http::app::App;
use crate::http::codes;
use crate::http::extract::parameter;
use crate::http::problem::Problem;

/// What a client may write for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Position(Position),
    Time(Timestamp),
}

/// A text that names no moment.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "it is a position, such as 812, or a time in RFC 3339, such as 2026-11-23T12:00:00Z, between 1970 and 9999"
)]
pub(crate) struct PlaceError;

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(|n| Self::Position(Position::new(n))).map_err(|_| PlaceError);
        }
        parse_rfc3339(text).map(Self::Time).map_err(|_| PlaceError)
    }
}

/// Where the log ended at a moment, and which time it was by the clock that keys expire by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Then {
    pub(crate) position: Position,
    pub(crate) time: Timestamp,
}

/// What an answer about the past rests on.
#[derive(Serialize, ToSchema)]
#[schema(as = AsOf)]
pub(crate) struct ThenJson {
    /// All events up to here were considered, and none after it.
    position: u64,
    /// The moment that expiries were judged at, RFC 3339.
    time: String,
}

impl From<Then> for ThenJson {
    fn from(then: Then) -> Self {
        Self { position: then.position.get(), time: format_rfc3339(then.time) }
    }
}

impl Then {
    /// Reads one query parameter; absent, it is now: the head, by this server's clock. A time means the last position whose log
    /// time is not above it; a position means its log time. What is still to come is refused.
    pub(crate) async fn read(app: &App, name: &str, text: Option<&str>) -> Result<Self, Problem> {
        let place: Option<Place> = parameter(name, text)?;
        let now = app.ambient.now();
        let head = app.past.head().await?;
        let refuse = |why: String| Err(Problem::new(&codes::BAD_QUERY).detail(format!("{name}: {why}")));
        match place {
            None => Ok(Self { position: head, time: now }),
            Some(Place::Time(time)) if time > now => {
                refuse(format!("it lies ahead; it is {} here", format_rfc3339(now)))
            }
            Some(Place::Position(position)) if position > head => {
                refuse(format!("position {position} is beyond the log's head {head}"))
            }
            Some(Place::Time(time)) => Ok(Self { position: app.past.position_at(time).await?, time }),
            Some(Place::Position(position)) => {
                Ok(Self { position, time: app.past.log_time(position).await? })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_position_or_a_time() {
        assert_eq!("812".parse(), Ok(Place::Position(Position::new(812))));
        assert_eq!("0".parse(), Ok(Place::Position(Position::NONE)));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(Place::Time(Timestamp::from_millis(1_000))));
        for bad in ["", "-1", "+1", "8.5", "now", "yesterday", "2026-11-23", "99999999999999999999", " 7"] {
            assert_eq!(bad.parse::<Place>(), Err(PlaceError), "{bad}");
        }
    }
}
