//! Finds out what became of a unit: reads it back from the leader and sends the identical unit again until that is certain.

use std::time::Duration;

use domain::Position;
use tokio::time::{Instant, sleep, timeout_at};

use super::log::Core;
use super::publish::Sent;
use super::read::Stored;
use crate::port::{AppendError, Outcome, ReadError, Unit};

/// How long a unit may stay open from its first sending: a broken connection is replaced within it, and a caller waits.
pub(super) const SETTLE_LIMIT: Duration = Duration::from_secs(5);
/// Waits between two looks: another write to the stream ends within milliseconds, an election within seconds.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));
/// Why a unit is refused although its stream ends where it should.
const IN_THE_WAY: &str = "another write to its stream stays under way, or its event id was used there before";

/// Looks at a unit of which only a part can be seen before that counts as all that there is: with the waits between them
/// half a second, where the server stores a whole batch in milliseconds.
const LOOKS_AT_A_PART: u32 = 10;

/// What the log says about a unit.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// It stands whole, from this position on.
    Stands(Position),
    /// Another event stands where it expected none: it can never be written any more.
    Overtaken,
    /// A stream of it has not come as far as it expects. It could be written once the stream has.
    TooEarly,
    /// A part of it stands at the end of the log: the rest is being stored, or it is another unit with the same event.
    InPart,
    Absent,
}

impl Core {
    /// Settles a unit that was sent without a certain answer, or refused. `doubt` says why an earlier sending may still
    /// land; without doubt nothing of it is under way.
    pub(super) async fn settle(
        &self,
        unit: &Unit,
        mut doubt: Option<String>,
        deadline: Instant,
    ) -> Result<Outcome, AppendError> {
        let mut obstacle = None;
        match timeout_at(deadline, self.settle_in_time(unit, &mut doubt, &mut obstacle)).await {
            Ok(outcome) => Ok(outcome),
            Err(_) => match doubt {
                Some(reason) => Err(AppendError::MayHaveHappened { reason }),
                None => Err(AppendError::DidNotHappen {
                    reason: obstacle.unwrap_or_else(|| IN_THE_WAY.to_owned()),
                }),
            },
        }
    }

    /// Cancelled at the deadline: `doubt` is set before anything is sent and cleared only by a certain answer.
    async fn settle_in_time(
        &self,
        unit: &Unit,
        doubt: &mut Option<String>,
        obstacle: &mut Option<String>,
    ) -> Outcome {
        let (mut pause, longest) = LOOK_AGAIN;
        let mut parts_seen = 0;
        loop {
            match self.standing(unit).await {
                Ok((Standing::Stands(first), _)) => return self.appended(unit, last_from(first, unit)),
                Ok((Standing::Overtaken, Some(conflict))) => return conflict,
                Ok((Standing::TooEarly, Some(conflict))) if doubt.is_none() => return conflict,
                Ok((Standing::InPart, Some(conflict))) if parts_seen == LOOKS_AT_A_PART => return conflict,
                Ok((Standing::InPart, _)) => parts_seen += 1,
                Ok((Standing::Absent, _)) if !self.is_away() => {
                    if let Some(outcome) = self.send_again(unit, doubt, obstacle).await {
                        return outcome;
                    }
                }
                Ok(_) => {}
                Err(error) => *obstacle = Some(error.to_string()),
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    async fn send_again(
        &self,
        unit: &Unit,
        doubt: &mut Option<String>,
        obstacle: &mut Option<String>,
    ) -> Option<Outcome> {
        let before = doubt.replace("NATS did not answer in time".to_owned());
        match self.publish([unit]).await {
            Sent::Stored(last) => return Some(self.appended(unit, last)),
            Sent::Refused => (*doubt, *obstacle) = (before, Some(IN_THE_WAY.to_owned())),
            Sent::Unsent(reason) => (*doubt, *obstacle) = (before, Some(reason)),
            Sent::Doubt(reason) => *doubt = Some(reason),
        }
        None
    }

    /// What the leader's log says about a unit now, and the conflict that follows if that stays so.
    async fn standing(&self, unit: &Unit) -> Result<(Standing, Option<Outcome>), ReadError> {
        let mut standing = Standing::Absent;
        for (nth, write) in unit.writes.iter().enumerate() {
            let found = self.first_at_leader(&write.stream, write.expected).await?;
            let ours = found.as_ref().is_some_and(|found| {
                found.expected == Some(write.expected)
                    && write.events.first().is_some_and(|event| event.id == found.event.id)
            });
            standing = match found {
                Some(found) if ours && nth == 0 => self.whole_from(unit, &found).await?,
                // The unit begins with another stream, which was without it a moment ago.
                Some(_) if ours => Standing::InPart,
                Some(_) => Standing::Overtaken,
                None if self.tail_at_leader(&write.stream).await? < write.expected => Standing::TooEarly,
                None => continue,
            };
            break;
        }
        let conflict = match standing {
            Standing::Stands(_) | Standing::Absent => None,
            Standing::Overtaken | Standing::TooEarly | Standing::InPart => self.conflict(unit).await?,
        };
        Ok((standing, conflict))
    }

    /// Whether a whole unit follows its first event: its events are consecutive, and its first carries the expectation.
    async fn whole_from(&self, unit: &Unit, first: &Stored) -> Result<Standing, ReadError> {
        let mut position = first.event.position;
        for write in &unit.writes {
            for event in &write.events {
                match self.at_leader(position).await? {
                    Some(found) if found.event.id == event.id && found.event.stream == write.stream => {}
                    None if first.batched => return Ok(Standing::InPart),
                    _ => return Ok(Standing::Overtaken),
                }
                position = position.next();
            }
        }
        Ok(Standing::Stands(first.event.position))
    }

    /// The first stream of a unit that does not end where the unit expects.
    async fn conflict(&self, unit: &Unit) -> Result<Option<Outcome>, ReadError> {
        for write in &unit.writes {
            let actual = self.tail_at_leader(&write.stream).await?;
            if actual != write.expected {
                return Ok(Some(Outcome::Conflict { stream: write.stream.clone(), actual }));
            }
        }
        Ok(None)
    }

    /// The outcome of a unit whose last event was just acknowledged.
    pub(super) fn appended(&self, unit: &Unit, last: Position) -> Outcome {
        let first = last.get() + 1 - unit.event_count() as u64;
        let positions: Vec<Position> = (first..=last.get()).map(Position::new).collect();
        let mut rest = &positions[..];
        for write in &unit.writes {
            let (ours, others) = rest.split_at(write.events.len());
            if let Some(end) = ours.last() {
                self.note(&write.stream, *end);
            }
            rest = others;
        }
        Outcome::Appended { positions }
    }
}

fn last_from(first: Position, unit: &Unit) -> Position {
    Position::new(first.get() + unit.event_count() as u64 - 1)
}
