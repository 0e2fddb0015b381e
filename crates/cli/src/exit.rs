//! How a run ended, as scripts read it.

use std::process::ExitCode;

/// The documented exit codes; a number never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok,
    /// Something went wrong that no other code names.
    Error,
    /// The command line or what was asked for is not well formed.
    Usage,
    /// There is no such tenant or key.
    NotFound,
    /// No operator key, not a good one, or one without the scope.
    Auth,
    /// A rule said no; nothing was changed.
    Refused,
    /// The server is not there or cannot serve now; nothing was changed.
    Unavailable,
    /// It is not known whether the change was made.
    OutcomeUnknown,
    /// `key verify`: the key may not be used.
    NotValid,
    /// `scan`: there are keys where none should be.
    Found,
    /// `import`: lines were refused; the others stand.
    SomeRefused,
    /// A key was ended, and a verifier may still accept it.
    Outstanding,
    /// `audit verify`: what was verified is not what was signed.
    NotProven,
    /// `audit rebuild`: the index or a view is not what the log says.
    Differs,
    /// `serve`: the configuration does not hold together.
    Config,
    /// `run`: the command is there and cannot be run; as `env` and every shell say it.
    CannotRun,
    /// `run`: there is no such command.
    NoCommand,
    /// Stopped by Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The table at the end of `rescind --help`.
    pub(crate) const HELP: &'static str = "\
Exit codes:
  0   done
  1   something went wrong
  2   the command line, or what was asked for, is not well formed
  3   no such tenant or key
  4   no operator key, not a good one, or one without the scope
  5   refused by a rule; nothing was changed
  7   the server is away or busy; nothing was changed, try again
  8   not known whether the change was made; ask again with the same --command-id
  10  key verify: the key is not valid
  11  scan: keys were found
  12  import: lines were refused; the others stand
  13  revoke, suspend, recall: done, and not yet enforced by every verifier
  14  audit verify: the log or the proof is not what was signed
  15  audit rebuild: the index or a view is not what the log says
  78  serve: the configuration does not hold together
  126 run: the command cannot be run; 127: there is none of that name; else run ends as the command does
  130 stopped by Ctrl-C";

    /// The number.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Auth => 4,
            Self::Refused => 5,
            Self::Unavailable => 7,
            Self::OutcomeUnknown => 8,
            Self::NotValid => 10,
            Self::Found => 11,
            Self::SomeRefused => 12,
            Self::Outstanding => 13,
            Self::NotProven => 14,
            Self::Differs => 15,
            Self::Config => 78,
            Self::CannotRun => 126,
            Self::NoCommand => 127,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_in_the_help() {
        for exit in [
            Exit::Ok,
            Exit::Error,
            Exit::Usage,
            Exit::NotFound,
            Exit::Auth,
            Exit::Refused,
            Exit::Unavailable,
            Exit::OutcomeUnknown,
            Exit::NotValid,
            Exit::Found,
            Exit::SomeRefused,
            Exit::Outstanding,
            Exit::NotProven,
            Exit::Differs,
            Exit::Config,
            Exit::CannotRun,
            Exit::Interrupted,
        ] {
            assert!(Exit::HELP.contains(&format!("\n  {:<4}", exit.number())), "{exit:?}");
        }
    }
}
