//! The `rescind` binary: all of it is in the library, so that tests can drive it too.

fn main() -> std::process::ExitCode {
    cli::run()
}
