//! The `rescind` binary as the tests start it: the same entry, built with what only tests switch on.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
