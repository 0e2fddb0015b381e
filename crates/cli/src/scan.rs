//! `rescind scan`: finds our keys in files and in the history of git, by form and checksum.

mod find;
mod finding;
#[cfg(test)]
mod given;
mod history;
mod search;
mod walk;
mod window;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use domain::KeyId;
use serde_json::json;

use crate::client::Client;
use crate::clock;
use crate::confirm;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::key_id;
use crate::leak::send::{self, Leak};
use crate::output::Output;
use crate::progress::{Progress, bar, bytes};
use crate::screen::{self, printable};
use crate::target::Connection;
use history::{Go, History, HistoryError};
use search::{Counts, MAX_LEAKS, Search, Wanted, each_file};
use walk::{Met, enclosing, walk};
use window::Window;

/// Who found them, in the history of what is reported.
const SOURCE: &str = "scan";
/// What stands for stdin among paths.
const STDIN: &str = "-";
/// Repositories below one folder whose history is searched; more than this is told, not searched.
const MAX_REPOSITORIES: usize = 10_000;

/// Find keys in files and in the history of git; exit code 11 if there are any
#[derive(Args, Debug)]
#[command(after_help = "\
Every file below PATH is searched, hidden and binary ones too, and of each git repository there everything that a branch,
tag or stash leads to, once. Links are not followed; archives and compressed files are not opened. A key is told by its
form and its checksum, so what is found is a key, of whatever prefix; its secret is never printed. A path of the history
is told once a key, at the commit that brought it there.

With --report each key that is found is told to the server, after the count was typed (scripts pass it with --confirm=): it
is revoked, or suspended, as its tenant wants, with the place in its history. What this service does not know is left.

Exit codes: 0 none found, 11 some found, 1 none found but not all could be read; with --report also 5, a key was refused.

Examples:
  rescind scan .
  rescind scan --report --confirm=2 exports/
  rescind scan --no-history --json build/ | jq -r .key_id
  docker logs mailer 2>&1 | rescind scan -")]
pub(crate) struct Scan {
    /// A file or folder; - is stdin
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Only what lies there now, not the history of git
    #[arg(long)]
    no_history: bool,
    /// Say nothing of this key, as when it was revoked and stays in the history; may be repeated
    #[arg(long = "ignore", value_name = "KEY_ID")]
    ignored: Vec<String>,
    /// Report what is found, so that it is ended
    #[arg(long)]
    report: bool,
    /// How many keys are to be reported: for scripts, instead of being asked
    #[arg(long, value_name = "COUNT", requires = "report")]
    confirm: Option<String>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: Output,
}

impl Scan {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let ignored = self.ignored.iter().map(|id| key_id::parse(id)).collect::<Result<BTreeSet<_>, _>>()?;
        // Whoever cannot report should know before a long search.
        let client = self.report.then(|| Client::find(&self.connection)).transpose()?;
        let begun = clock::now();
        let counts = Arc::new(Counts::default());
        let shown = Arc::clone(&counts);
        let progress = Progress::draw(move || told(&shown, begun.elapsed().as_secs_f64()));
        let wanted = Wanted { ignored, json: self.output.json, secrets: self.report };
        let search = Search::new(&counts, &progress, wanted);
        let mut repositories = Vec::new();
        for path in &self.paths {
            if path.as_os_str() == STDIN {
                search.stdin();
            } else {
                self.files(path, &search, &mut repositories);
            }
        }
        for (folder, below) in &repositories {
            let history = History { folder, below: below.as_deref() };
            search_history(history, &search, &progress);
        }
        search.stopped()?;
        let (found, leaks) = (search.found(), search.take_leaks());
        drop(progress);
        if !self.output.json {
            screen::say(&format!("searched {}", told(&counts, begun.elapsed().as_secs_f64())));
        }
        let exit = self.end(&found, &counts)?;
        match client.filter(|_| !leaks.is_empty()) {
            Some(client) => self.report(&client, leaks).map(|worse| worse.unwrap_or(exit)),
            None => Ok(exit),
        }
    }

    /// Reports what was found. What this service does not know is no failure: other services have keys of the same form.
    fn report(&self, client: &Client, leaks: Vec<(KeyId, Leak)>) -> Result<Option<Exit>, Failure> {
        let count = leaks.len();
        let what = format!(
            "report {count} {}, which ends what this service knows of them",
            plural(count as u64, "key")
        );
        confirm::confirm(&what, &count.to_string(), self.confirm.as_deref())?;
        let (ids, leaks): (Vec<_>, Vec<_>) = leaks.into_iter().unzip();
        let mut results = send::report(client, SOURCE, None, &leaks)?;
        for (result, key_id) in results.iter_mut().zip(ids) {
            result["key_id"] = key_id.to_string().into();
            let line =
                if self.output.json { json!({"report": result}).to_string() } else { send::line(result) };
            screen::data(&line)?;
        }
        if count == MAX_LEAKS {
            screen::say(&format!(
                "only {count} keys are reported at once: run it again with --ignore for these"
            ));
        }
        Ok(Some(Exit::Refused).filter(|refused| send::exit(&results) == *refused))
    }

    /// Searches the files below a path, and remembers whose history is to be searched.
    fn files(&self, path: &Path, search: &Search<'_>, repositories: &mut Vec<(PathBuf, Option<PathBuf>)>) {
        let wanted = !self.no_history;
        let mut remember = |folder: PathBuf, below: Option<PathBuf>| {
            if wanted && repositories.len() < MAX_REPOSITORIES {
                repositories.push((folder, below));
            } else if wanted {
                search.unread(&folder.to_string_lossy(), "too many repositories for one run");
            }
        };
        if let Some(folder) = enclosing(path) {
            // Git takes it relative to the repository's folder, or absolute.
            remember(folder, path.canonicalize().ok());
        }
        each_file(search, |give| {
            walk(path, &mut |met| {
                match met {
                    Met::File(file) => give(file),
                    Met::Repository(folder) => remember(folder, None),
                    Met::Unreadable(path, error) => {
                        search.unread(&path.to_string_lossy(), &error.to_string());
                    }
                }
                if search.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
    }

    fn end(&self, found: &BTreeSet<KeyId>, counts: &Counts) -> Result<Exit, Failure> {
        if let Some(first) = found.first() {
            if !self.output.json {
                let (keys, places) = (found.len(), counts.found());
                screen::say(&format!(
                    "found {keys} {} in {places} {}",
                    plural(keys as u64, "key"),
                    plural(places, "place")
                ));
                screen::say(&format!("  is it in use? rescind key show {first}"));
                if !self.report {
                    screen::say(&format!("  end it: rescind key revoke {first} --reason leaked"));
                    screen::say("  end them all: the same again with --report");
                }
            }
            return Ok(Exit::Found);
        }
        match counts.unread() {
            0 => Ok(Exit::Ok),
            unread => Err(Failure::new(
                Exit::Error,
                "scan_incomplete",
                format!("no key was found, but {unread} {} could not be searched", plural(unread, "place")),
            )
            .because("they are named above")
            .remedy("let this user read them, or name the paths that matter")),
        }
    }
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

/// `1204 files, 812 objects of history, 54.0 MB at 1.2 GB/s`
fn told(counts: &Counts, seconds: f64) -> String {
    let (files, objects, searched) = (counts.files(), counts.objects(), counts.bytes());
    let mut told = format!("{files} {}", plural(files, "file"));
    if objects > 0 {
        told.push_str(&format!(", {objects} {} of history", plural(objects, "object")));
    }
    let rate = if seconds > 0.0 { searched as f64 / seconds } else { 0.0 };
    told.push_str(&format!(", {} at {}/s", bytes(searched), bytes(rate as u64)));
    match counts.commits() {
        (done, total) if total > 0 => format!("{} {told}", bar(done, total)),
        _ => told,
    }
}

fn search_history(history: History<'_>, search: &Search<'_>, progress: &Progress) {
    if search.is_stopped() {
        return;
    }
    let name = format!("the history of {}", history.folder.display());
    match history.is_shallow() {
        Ok(true) => progress.aside(|| {
            screen::say(&format!(
                "{} is shallow: older commits are not here to be searched",
                printable(&name)
            ));
        }),
        Ok(false) => {}
        Err(error) => return search.unread(&name, &words(&error)),
    }
    if progress.is_drawn() {
        search.counts.expect_commits(history.commits().unwrap_or(0));
    }
    let mut window = Window::new();
    let visited = history.visit(&mut |object, content| {
        search.object(&mut window, object, content)?;
        Ok(if search.is_stopped() { Go::Stop } else { Go::On })
    });
    search.counts.expect_commits(0);
    if let Err(error) = visited {
        search.unread(&name, &words(&error));
    }
}

fn words(error: &HistoryError) -> String {
    match error {
        HistoryError::NoGit => "it needs `git` on PATH; --no-history leaves it out".to_owned(),
        HistoryError::Git(words) => words.lines().next().unwrap_or_default().to_owned(),
        HistoryError::Broken(error) => error.to_string(),
    }
}
