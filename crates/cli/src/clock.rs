//! Time and chance for the client: one stopwatch, and everything else from the service's own seam.

use std::time::{Duration, Instant};

use application::{Ambient, SystemAmbient};
use domain::Timestamp;

/// The stopwatch. What it measures is shown to people; no decision of the service rests on it.
#[expect(
    clippy::disallowed_methods,
    reason = "the client's one stopwatch: measured times are shown, or bound a wait"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The wall clock.
pub(crate) fn wall() -> Timestamp {
    SystemAmbient.now()
}

/// A fresh command id.
pub(crate) fn draw_command_id() -> String {
    domain::CommandId::from_u128(SystemAmbient.draw_ulid()).to_string()
}

/// A duration as people read it: `840 µs`, `1.234 ms`, `2.50 s`.
pub(crate) fn display(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.3} ms", duration.as_secs_f64() * 1e3),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (micros, shown) in [(0, "0 µs"), (840, "840 µs"), (1_234, "1.234 ms"), (2_500_000, "2.50 s")] {
            assert_eq!(display(Duration::from_micros(micros)), shown);
        }
    }

    #[test]
    fn command_ids_do_not_repeat() {
        assert_ne!(draw_command_id(), draw_command_id());
        assert_eq!(draw_command_id().len(), 26);
    }
}
