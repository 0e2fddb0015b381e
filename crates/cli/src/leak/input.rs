//! Keys from stdin or a file, never from the command line.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::screen;

/// Longest input that is read: some ten thousand keys.
const MAX_INPUT: u64 = 1 << 20;

/// Where the keys are.
#[derive(Args, Debug)]
pub(super) struct Input {
    // Only `-` is taken. Anything else is most likely a key, and must not be repeated in clap's words.
    #[arg(hide = true, value_name = "-")]
    argument: Option<String>,
    /// The file to read from; `-` is stdin
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Input {
    /// The lines that are not empty.
    pub(super) fn lines(&self) -> Result<Vec<Zeroizing<String>>, Failure> {
        if self.argument.as_deref().is_some_and(|argument| argument != "-") {
            return Err(Failure::usage("a key is not taken from the command line")
                .because("arguments are seen by other users of this machine and kept in the shell's history")
                .remedy("pass it on stdin, or name its file with --file"));
        }
        let mut text = Zeroizing::new(String::new());
        let read = match self.file.as_deref().filter(|path| *path != Path::new("-")) {
            Some(path) => {
                File::open(path).and_then(|file| file.take(MAX_INPUT + 1).read_to_string(&mut text))
            }
            None => {
                if io::stdin().is_terminal() {
                    screen::say("paste the key, then Enter and Ctrl-D:");
                }
                io::stdin().lock().take(MAX_INPUT + 1).read_to_string(&mut text)
            }
        };
        let length = read.map_err(|error| Failure::io("cannot read the input", &error))?;
        if length as u64 > MAX_INPUT {
            return Err(Failure::usage("the input is longer than 1 MiB").remedy("pass it in parts"));
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.map(|line| Zeroizing::new(line.to_owned())).collect();
        if lines.is_empty() {
            return Err(
                Failure::usage("the input holds no key").remedy("pass it on stdin, or its file with --file")
            );
        }
        Ok(lines)
    }
}
