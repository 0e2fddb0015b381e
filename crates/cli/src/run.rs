//! `rescind run`: hands a key to a command in its environment, past argv and the shell's history.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;
use domain::{KeyFormatError, ParsedKey};
use zeroize::Zeroizing;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::screen::{self, printable};
use crate::variable;

/// Longest line that is taken for a key; a foreign key may be long, but not so long.
const MAX_KEY: usize = 8192;

/// Run a command with a key in its environment, without the key ever being an argument
#[derive(Args, Debug)]
#[command(after_help = "\
NAME=- takes the first line of stdin and leaves the rest to the command; NAME=@FILE takes the one line of a file.
The command takes the place of rescind: same process, same signals, its exit code.

A key of ours whose checksum does not fit was cut off or mistyped: it is refused, and nothing is run. A value of another
form may be an imported key: it is passed on, with a warning.

Examples:
  rescind run --env MAILER_KEY=@mailer.key -- ./send-campaign --list spring
  vault-cli read mailer | rescind run --env MAILER_KEY=- -- ./send-campaign")]
pub(crate) struct Run {
    // Taken as text and looked at later: in place of `-` or a file it is most likely a key, and clap would repeat it.
    /// Which variable gets which key: NAME=- or NAME=@FILE; may be repeated
    #[arg(long = "env", value_name = "NAME=-|@FILE", required = true)]
    variables: Vec<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
}

/// Where a key is.
#[derive(Debug, PartialEq, Eq)]
enum Source<'a> {
    Stdin,
    File(&'a str),
}

impl Run {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let wanted = self.variables.iter().map(|text| wanted(text)).collect::<Result<Vec<_>, _>>()?;
        for (n, (name, source)) in wanted.iter().enumerate() {
            if wanted[..n].iter().any(|(before, _)| before == name) {
                return Err(Failure::usage(format!("{name} is given twice")));
            }
            if *source == Source::Stdin && wanted[..n].iter().any(|(_, before)| before == source) {
                return Err(Failure::usage("stdin holds one key, and two variables want it"));
            }
        }
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err(Failure::usage("there is no command to run"));
        };
        let mut command = Command::new(program);
        command.args(arguments);
        for (name, source) in &wanted {
            let key = source.read(name)?;
            check(name, &key)?;
            command.env(name, &*key);
        }
        // Only on failure does this return: the command has taken our place, with our process id and our signals.
        let error = command.exec();
        let (exit, code) = match error.kind() {
            io::ErrorKind::NotFound => (Exit::NoCommand, "no_command"),
            _ => (Exit::CannotRun, "cannot_run"),
        };
        Err(Failure::new(exit, code, format!("cannot run {}", printable(&program.to_string_lossy())))
            .because(error.to_string()))
    }
}

/// Takes `NAME=-` or `NAME=@FILE` apart. What else was typed is not repeated.
fn wanted(text: &str) -> Result<(&str, Source<'_>), Failure> {
    let refused = || {
        Failure::usage("--env wants NAME=- or NAME=@FILE, and never a key itself")
            .because("arguments are seen by other users of this machine and kept in the shell's history")
            .remedy("pass the key on stdin with NAME=-, or name its file with NAME=@FILE")
            .remedy("if that was a real key, consider to revoke it as leaked")
    };
    let (name, source) = text.split_once('=').ok_or_else(refused)?;
    if variable::parse(name).is_err() {
        return Err(refused());
    }
    match (source, source.strip_prefix('@')) {
        ("-", _) => Ok((name, Source::Stdin)),
        (_, Some(file)) if !file.is_empty() => Ok((name, Source::File(file))),
        _ => Err(refused()),
    }
}

impl Source<'_> {
    fn read(&self, name: &str) -> Result<Zeroizing<String>, Failure> {
        match self {
            Self::Stdin if io::stdin().is_terminal() => {
                Err(Failure::usage(format!("{name}=- reads stdin, and stdin is a terminal"))
                    .because("what is typed there shows on the screen")
                    .remedy(format!("pipe the key in, or name its file: --env {name}=@FILE")))
            }
            // Through a handle of its own: the buffer of `io::stdin` would swallow what belongs to the command.
            Self::Stdin => {
                let unbuffered = io::stdin().as_fd().try_clone_to_owned().map(File::from);
                let mut unbuffered = unbuffered.map_err(|error| NoKey::Io(error).told(name, "stdin"))?;
                first_line(&mut unbuffered).map_err(|why| why.told(name, "stdin"))
            }
            Self::File(path) => {
                let mut file = File::open(path)
                    .map_err(|error| Failure::io(format!("cannot read {}", printable(path)), &error))?;
                only_line(&mut file).map_err(|why| why.told(name, path))
            }
        }
    }
}

/// Why an input holds no key.
#[derive(Debug)]
enum NoKey {
    Empty,
    Lines,
    TooLong,
    Unprintable,
    Io(io::Error),
}

impl NoKey {
    fn told(self, name: &str, place: &str) -> Failure {
        let what = format!("there is no key for {name} in {}", printable(place));
        match self {
            Self::Io(error) => Failure::io(what, &error),
            Self::Empty => Failure::usage(what)
                .because("it is empty")
                .remedy("a program that should print the key may have failed; look at what it says"),
            Self::Lines => {
                Failure::usage(what).because("it has several lines, and a key stands alone on one")
            }
            Self::TooLong => Failure::usage(what).because(format!("its line is longer than {MAX_KEY} bytes")),
            Self::Unprintable => Failure::usage(what).because("its line is not plain text without spaces"),
        }
    }
}

/// The first line, read byte by byte: a larger read could take what belongs to the command.
fn first_line(input: &mut impl Read) -> Result<Zeroizing<String>, NoKey> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_KEY));
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() == MAX_KEY => return Err(NoKey::TooLong),
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(NoKey::Io(error)),
        }
    }
    plain(&line)
}

fn only_line(input: &mut impl Read) -> Result<Zeroizing<String>, NoKey> {
    // Sized before it is filled: one that grew would leave an unwiped copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_KEY + 2));
    input.take(MAX_KEY as u64 + 2).read_to_end(&mut text).map_err(NoKey::Io)?;
    let end = text.iter().position(|b| *b == b'\n').unwrap_or(text.len());
    if end > MAX_KEY {
        return Err(NoKey::TooLong);
    }
    if !text[end..].iter().all(u8::is_ascii_whitespace) {
        return Err(NoKey::Lines);
    }
    plain(&text[..end])
}

fn plain(line: &[u8]) -> Result<Zeroizing<String>, NoKey> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Err(NoKey::Empty);
    }
    match std::str::from_utf8(line) {
        Ok(text) if line.iter().all(u8::is_ascii_graphic) => Ok(Zeroizing::new(text.to_owned())),
        _ => Err(NoKey::Unprintable),
    }
}

/// Refuses what can never be valid; only warns of what is not of our form.
fn check(name: &str, key: &str) -> Result<(), Failure> {
    match ParsedKey::parse(key) {
        Ok(_) => Ok(()),
        Err(error @ KeyFormatError::Checksum) => Err(Failure::new(
            Exit::Usage,
            "malformed_key",
            format!("the key for {name} is mistyped; nothing was run"),
        )
        .because(error.to_string())
        .remedy("copy the whole key again from where it was kept")
        .remedy("nowhere whole? its secret is lost: issue another with `rescind key issue`")),
        Err(KeyFormatError::Shape) => {
            screen::say(&format!("warning: the value for {name} is no key of ours; passed on as it is"));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_from_stdin_or_a_file_and_never_from_the_argument() {
        assert_eq!(wanted("API_KEY=-").unwrap(), ("API_KEY", Source::Stdin));
        assert_eq!(wanted("API_KEY=@a=b.key").unwrap(), ("API_KEY", Source::File("a=b.key")));
        for bad in ["API_KEY", "=-", "API_KEY=", "API_KEY=@", "API_KEY=hunter2", "2=-", "hunter2=-x"] {
            let failure = wanted(bad).unwrap_err();
            assert!(!format!("{failure:?}").contains("hunter2"), "{bad}");
        }
    }

    #[test]
    fn the_first_line_is_the_key_and_the_rest_is_left() {
        let mut input = &b"rsk_live_x\r\ndata"[..];
        assert_eq!(&**first_line(&mut input).unwrap(), "rsk_live_x");
        assert_eq!(input, b"data");
        assert!(matches!(first_line(&mut &b""[..]), Err(NoKey::Empty)));
        assert!(matches!(first_line(&mut &b"\nrsk"[..]), Err(NoKey::Empty)));
        assert!(matches!(first_line(&mut io::repeat(b'x')), Err(NoKey::TooLong)));
        assert!(matches!(first_line(&mut &b"a b\n"[..]), Err(NoKey::Unprintable)));
    }

    #[test]
    fn a_file_holds_one_line() {
        assert_eq!(&**only_line(&mut &b" rsk_live_x \n\n"[..]).unwrap(), "rsk_live_x");
        assert!(matches!(only_line(&mut &b"API_KEY=x\nB=y\n"[..]), Err(NoKey::Lines)));
        assert!(matches!(only_line(&mut &b" \n"[..]), Err(NoKey::Empty)));
        assert!(matches!(only_line(&mut io::repeat(b'x')), Err(NoKey::TooLong)));
        assert!(matches!(only_line(&mut &b"\xff\n"[..]), Err(NoKey::Unprintable)));
    }
}
