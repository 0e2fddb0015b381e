//! How far long work is: one line on stderr that is drawn over, where a person looks and nowhere else.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::environment;
use crate::screen;

/// Often enough to look alive, seldom enough to cost nothing.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Characters of a bar.
const BAR: u64 = 24;
/// Back to the first column, and empty to the end.
const CLEAR: &str = "\r\u{1b}[K";

/// A line that is drawn until this is dropped.
pub(crate) struct Progress {
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
    // Held while the line is drawn, and while something else is printed in its place.
    line: Arc<Mutex<()>>,
}

impl Progress {
    /// Draws what `tell` says, if stderr is a terminal that can; from a thread of its own, so that work that waits still
    /// shows.
    pub(crate) fn draw(tell: impl Fn() -> String + Send + 'static) -> Self {
        let line = Arc::new(Mutex::new(()));
        if !io::stderr().is_terminal() || !environment::can_redraw() {
            return Self { drawing: None, line };
        }
        let (stop, stopped) = mpsc::channel::<()>();
        let shared = Arc::clone(&line);
        let thread = thread::spawn(move || {
            while matches!(stopped.recv_timeout(DRAW_EVERY), Err(RecvTimeoutError::Timeout)) {
                let _held = shared.lock().unwrap_or_else(PoisonError::into_inner);
                screen::ask(&format!("{CLEAR}{}", tell()));
            }
        });
        Self { drawing: Some((stop, thread)), line }
    }

    /// Whether anybody sees it.
    pub(crate) const fn is_drawn(&self) -> bool {
        self.drawing.is_some()
    }

    /// Prints something else: the line makes room and comes back below.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        let _held = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if self.drawing.is_some() {
            screen::ask(CLEAR);
        }
        print()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.drawing.take() {
            drop(stop);
            // It only draws: there is nothing to learn from how it ended.
            drop(thread.join());
            screen::ask(CLEAR);
        }
    }
}

/// `[######------------------]  25 %`
pub(crate) fn bar(done: u64, total: u64) -> String {
    let done = done.min(total);
    let full = (done * BAR).checked_div(total).unwrap_or(BAR);
    let percent = (done * 100).checked_div(total).unwrap_or(100);
    let cells: String = (0..BAR).map(|cell| if cell < full { '#' } else { '-' }).collect();
    format!("[{cells}] {percent:>3} %")
}

/// `840 B`, `1.2 kB`, `3.4 GB`
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut unit = "B";
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_up() {
        assert_eq!(bar(0, 8), "[------------------------]   0 %");
        assert_eq!(bar(2, 8), "[######------------------]  25 %");
        assert_eq!(bar(9, 8), "[########################] 100 %");
        assert_eq!(bar(0, 0), bar(1, 1), "nothing to do is done");
    }

    #[test]
    fn bytes_read_well() {
        for (count, shown) in [(0, "0 B"), (999, "999 B"), (1_200, "1.2 kB"), (3_400_000_000, "3.4 GB")] {
            assert_eq!(bytes(count), shown);
        }
    }
}
