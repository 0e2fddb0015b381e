//! A few events of the log at a time, for answers that are not streams.

use std::time::Duration;

use domain::Position;
use eventlog::{ReadError, Recorded};
use tokio::time::timeout;

use crate::http::codes;
use crate::http::extract::Shared;
use crate::http::problem::Problem;

/// How long they may take together: they are all there.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// So many events behind a position. They have to be there: a log that ends before is told as away.
pub(super) async fn read_events(
    app: &Shared,
    after: Position,
    count: usize,
) -> Result<Vec<Recorded>, Problem> {
    let permit = app.gates.readings.try_acquire();
    let _permit = permit.map_err(|_| Problem::new(&codes::TOO_MANY_CLIENTS).retry())?;
    let away = |reason: String| Problem::new(&codes::UNAVAILABLE).detail(reason).retry();
    let read = async {
        let mut follower = app.log.follow(after).await?;
        let mut events: Vec<Recorded> = Vec::with_capacity(count);
        while events.len() < count {
            events.extend(follower.next().await?);
        }
        events.truncate(count);
        Ok(events)
    };
    let read =
        timeout(READ_WITHIN, read).await.map_err(|_| away("the log was not read in time".to_owned()))?;
    read.map_err(|error: ReadError| away(error.to_string()))
}
