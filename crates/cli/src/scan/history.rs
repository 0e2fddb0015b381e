//! Goes through the history of a repository by the `git` program: every object that a ref leads to, once.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::finding::Object;
use crate::environment;

/// Objects that git was asked for and that are not read yet. Git writes when its buffer (64 KiB at most) is full, and an
/// answer has more than 45 bytes: with this many on the way it is never git that waits for us to ask.
const ON_THE_WAY: usize = 8192;
/// Longest line about an object: 64 digits, and a path of at most 4 KiB.
const MAX_LINE: u64 = 16 << 10;
/// What is shown of git's own words.
const MAX_WORDS: u64 = 2000;
/// Calls to `read` are few with this; objects larger than it pass it by.
const READ_BUFFER: usize = 256 << 10;

/// Why the history, or the rest of it, was not searched.
#[derive(Debug)]
pub(super) enum HistoryError {
    /// There is no `git` to run.
    NoGit,
    /// Git ended badly; its words.
    Git(String),
    /// The pipe to git broke, or said what git does not say.
    Broken(io::Error),
}

impl From<io::Error> for HistoryError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// What git lists, before it is read.
struct Listed {
    id: String,
    kind: String,
    commit: String,
    path: String,
}

/// A repository, or the part of one below a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct History<'a> {
    /// A folder in the repository.
    pub(super) folder: &'a Path,
    /// Only what lay here.
    pub(super) below: Option<&'a Path>,
}

impl History<'_> {
    fn git(self, arguments: &[&str]) -> Command {
        let mut git = Command::new("git");
        // Not the repository that a hook runs in, but this one; and nothing is fetched, locked or asked for.
        for variable in environment::OF_GIT {
            git.env_remove(variable);
        }
        git.env("GIT_NO_LAZY_FETCH", "1").env("GIT_NO_REPLACE_OBJECTS", "1").env("GIT_TERMINAL_PROMPT", "0");
        git.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
        git.arg("-C").arg(self.folder).args(arguments).stdin(Stdio::null());
        git.stdout(Stdio::piped());
        git
    }

    /// The one line that git answers.
    fn ask(self, arguments: &[&str]) -> Result<String, HistoryError> {
        let mut git = Git::start(self.git(arguments))?;
        let mut line = String::new();
        git.stdout()?.take(MAX_LINE).read_to_string(&mut line)?;
        git.end()?;
        Ok(line.trim().to_owned())
    }

    /// Whether older commits were never fetched, as in most builds of a forge.
    pub(super) fn is_shallow(self) -> Result<bool, HistoryError> {
        Ok(self.ask(&["rev-parse", "--is-shallow-repository"])? == "true")
    }

    /// How many commits there are, for a progress bar.
    pub(super) fn commits(self) -> Result<u64, HistoryError> {
        Ok(self.ask(&["rev-list", "--all", "--count"])?.parse().unwrap_or(0))
    }

    /// Visits every blob, commit and tag, which `visit` may read.
    pub(super) fn visit(self, visit: Visit<'_>) -> Result<(), HistoryError> {
        // Oldest first, each commit before what it brings: so an object is told with the commit it came with.
        let mut list = self.git(&["rev-list", "--all", "--objects", "--in-commit-order", "--reverse"]);
        if let Some(below) = self.below {
            list.arg("--full-history").arg("--").arg(below);
        }
        let mut listing = Git::start(list)?;
        let mut check =
            self.git(&["cat-file", "--buffer", "--batch-check=%(objecttype) %(objectname) %(rest)"]);
        // Git reads from git: nothing of it passes through us.
        check.stdin(listing.stdout()?);
        let mut checking = Git::start(check)?;
        let mut show = self.git(&["cat-file", "--buffer", "--batch"]);
        show.stdin(Stdio::piped());
        let mut showing = Git::start(show)?;

        let (kinds, wanted, contents) = (checking.stdout()?, showing.stdin()?, showing.stdout()?);
        let (on_the_way, arriving) = sync_channel(ON_THE_WAY);
        let mut gits = [listing, checking, showing];
        let outcome = thread::scope(|scope| {
            let asking = scope.spawn(move || ask_for_each(kinds, wanted, &on_the_way));
            let read = read_each(self.folder, contents, arriving, visit);
            if !matches!(read, Ok(Go::On)) {
                // They may wait for one another, and nobody reads any more.
                gits.iter_mut().for_each(Git::kill);
            }
            let asked = asking.join().unwrap_or_else(|_| Err(io::Error::other("the asking thread ended")));
            match read? {
                Go::On => asked.map(|()| Go::On),
                Go::Stop => Ok(Go::Stop),
            }
        });
        match outcome {
            Ok(Go::Stop) => Ok(()),
            Ok(Go::On) => gits.into_iter().try_for_each(Git::end),
            // What git says is nearer to the cause than the pipe that broke.
            Err(error) => match gits.iter_mut().map(Git::words).find(|words| !words.is_empty()) {
                Some(words) => Err(HistoryError::Git(words)),
                None => Err(HistoryError::Broken(error)),
            },
        }
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Go {
    On,
    Stop,
}

type Visit<'a> = &'a mut dyn FnMut(Object<'_>, &mut dyn Read) -> io::Result<Go>;

/// Asks git for each object of the list that can hold a key, and tells the reader what will arrive.
fn ask_for_each(kinds: ChildStdout, wanted: ChildStdin, on_the_way: &SyncSender<Listed>) -> io::Result<()> {
    let mut kinds = BufReader::with_capacity(READ_BUFFER, kinds);
    let mut wanted = BufWriter::new(wanted);
    let mut commit = String::new();
    loop {
        let line = line(&mut kinds)?;
        if line.is_empty() {
            return wanted.flush();
        }
        let mut words = line.splitn(3, ' ');
        let (kind, id) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match kind {
            "tree" => continue,
            "commit" => id.clone_into(&mut commit),
            "blob" | "tag" => {}
            _ => return Err(io::Error::other(format!("an object is not there: {line}"))),
        }
        let path = words.next().unwrap_or_default().to_owned();
        let listed = Listed { id: id.to_owned(), kind: kind.to_owned(), commit: commit.clone(), path };
        let question = format!("{id}\n");
        if on_the_way.send(listed).is_err() {
            // The reader has stopped, and says why.
            return Ok(());
        }
        wanted.write_all(question.as_bytes())?;
    }
}

fn read_each(
    repository: &Path,
    contents: ChildStdout,
    arriving: Receiver<Listed>,
    visit: Visit<'_>,
) -> io::Result<Go> {
    let mut contents = BufReader::with_capacity(READ_BUFFER, contents);
    for listed in arriving {
        let head = line(&mut contents)?;
        let size = head.strip_prefix(&*listed.id).and_then(|rest| rest.rsplit_once(' ')?.1.parse().ok());
        let Some(size) = size else {
            return Err(io::Error::other(format!("git does not show object {}", listed.id)));
        };
        let object = Object {
            repository,
            commit: &listed.commit,
            id: &listed.id,
            kind: &listed.kind,
            path: &listed.path,
        };
        let mut content = contents.by_ref().take(size);
        if visit(object, &mut content)? == Go::Stop {
            return Ok(Go::Stop);
        }
        io::copy(&mut content, &mut io::sink())?;
        let mut end = [0];
        contents.read_exact(&mut end)?;
    }
    Ok(Go::On)
}

/// A line without its end; an empty one where there is no more.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    if !line.is_empty() && line.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "git broke off"));
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// A running `git`, ended and waited for when dropped.
struct Git {
    child: Child,
    /// What it says on stderr: a file, which never fills up as a pipe would.
    said: File,
}

impl Git {
    fn start(mut command: Command) -> Result<Self, HistoryError> {
        let said = tempfile::tempfile()?;
        command.stderr(said.try_clone()?);
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => HistoryError::NoGit,
            _ => HistoryError::Broken(error),
        })?;
        Ok(Self { child, said })
    }

    fn stdout(&mut self) -> io::Result<ChildStdout> {
        self.child.stdout.take().ok_or_else(|| io::Error::other("stdout was taken"))
    }

    fn stdin(&mut self) -> io::Result<ChildStdin> {
        self.child.stdin.take().ok_or_else(|| io::Error::other("stdin was taken"))
    }

    fn kill(&mut self) {
        // It may have ended by itself, and then there is nothing to kill.
        drop(self.child.kill());
    }

    fn words(&mut self) -> String {
        let mut words = String::new();
        let read = self.said.rewind().and_then(|()| (&self.said).take(MAX_WORDS).read_to_string(&mut words));
        read.map_or_else(|error| error.to_string(), |_| words.trim().to_owned())
    }

    fn end(mut self) -> Result<(), HistoryError> {
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        let words = self.words();
        Err(HistoryError::Git(if words.is_empty() { status.to_string() } else { words }))
    }
}

impl Drop for Git {
    fn drop(&mut self) {
        self.kill();
        drop(self.child.wait());
    }
}
