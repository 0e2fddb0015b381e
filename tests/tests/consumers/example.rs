//! Runs one of the two example consumers as its user would, and reads what it says and keeps.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::tools::{node_package, python_package};
use tokio::time::Instant;

/// A consumer reads its feed within milliseconds, and connects again within its longest back-off.
const SAY_LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Which of the two.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Language {
    Python,
    TypeScript,
}

/// Where it runs, again and again: its file and its environment stay.
pub(crate) struct Example {
    language: Language,
    dir: TempDir,
    args: Vec<String>,
    env: Vec<(&'static str, String)>,
    runs: usize,
}

/// One run of it. Killed when dropped.
pub(crate) struct Run {
    child: Child,
    said: PathBuf,
    state: PathBuf,
}

impl Example {
    /// On server-sent events, with a copy of this key.
    pub(crate) fn sse(language: Language, url: &str, key: &str) -> Self {
        let example = Self::new(language, "sse");
        example.use_key(key);
        let key_file = example.dir.path().join("feed.key").display().to_string();
        example.env("RESCIND_URL", url.to_owned()).env("RESCIND_KEY_FILE", key_file)
    }

    pub(crate) fn nats(language: Language, url: &str) -> Self {
        Self::new(language, "nats").env("NATS_URL", url.to_owned())
    }

    fn new(language: Language, feed: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("consumer-").tempdir().unwrap();
        let state = dir.path().join("deny.json").display().to_string();
        let args = ["--feed", feed, "--tenant", "acme", "--name", "campaign-mailer", "--state", &state];
        Self { language, args: args.map(str::to_owned).to_vec(), dir, env: Vec::new(), runs: 0 }
    }

    fn env(mut self, name: &'static str, value: String) -> Self {
        self.env.push((name, value));
        self
    }

    /// Puts another key in its file: read for the next connection.
    pub(crate) fn use_key(&self, key: &str) {
        fs::write(self.dir.path().join("feed.key"), key).unwrap();
    }

    pub(crate) fn start(&mut self) -> Run {
        self.runs += 1;
        let said = self.dir.path().join(format!("said-{}", self.runs));
        let output = File::create(&said).unwrap();
        let child = program(self.language)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Run { child, said, state: self.dir.path().join("deny.json") }
    }
}

impl Run {
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Waits until it has said a line that begins so, and gives that line.
    #[track_caller]
    pub(crate) fn says(&mut self, beginning: &str) -> String {
        self.wait_for(beginning, |run| {
            run.said()
                .split_inclusive('\n')
                .find(|line| line.starts_with(beginning) && line.ends_with('\n'))
                .map(|line| line.trim_end().to_owned())
        })
    }

    /// Waits until it has kept what is asked for.
    #[track_caller]
    pub(crate) fn keeps(&mut self, what: &str, look: impl Fn(&Value) -> bool) -> Value {
        self.wait_for(what, |run| {
            let held: Value = serde_json::from_slice(&fs::read(&run.state).ok()?).ok()?;
            look(&held).then_some(held)
        })
    }

    #[track_caller]
    fn wait_for<T>(&mut self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + SAY_LIMIT;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("ended ({status}) before `{what}`:\n{}", self.said());
            }
            let kept = fs::read_to_string(&self.state).unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "not in time: `{what}`; said:\n{}\nkept:\n{kept}",
                self.said()
            );
            thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// Kills it without warning.
    pub(crate) fn kill9(self) {}
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(language: Language) -> Command {
    match language {
        Language::Python => {
            let mut python = Command::new("python3");
            python.env("PYTHONPATH", python_package("nats-py", "2.16.0"));
            python.arg(source("consumer.py"));
            python
        }
        Language::TypeScript => {
            let mut node = Command::new("node");
            node.arg(compiled());
            node
        }
    }
}

pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// The example checked and compiled by the reference compiler, once a run of the tests: Node 20 does not run TypeScript as
/// it is. `erasableSyntaxOnly` holds it to what newer ones run.
pub(crate) fn compiled() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example-consumer");
        let _ = fs::remove_dir_all(&dir);
        let modules = dir.join("node_modules");
        for (scope, package, version) in
            [("@nats-io", "transport-node", "3.4.0"), ("@types", "node", "20.19.43")]
        {
            let name = format!("{scope}/{package}");
            fs::create_dir_all(modules.join(scope)).unwrap();
            symlink(node_package(&name, version).join("node_modules").join(&name), modules.join(&name))
                .unwrap();
        }
        fs::copy(source("consumer.mts"), dir.join("consumer.mts")).unwrap();
        let compiler = node_package("typescript", "5.9.3").join("node_modules/typescript/bin/tsc");
        let output = Command::new("node")
            .arg(compiler)
            .args(["--strict", "--noUncheckedIndexedAccess", "--erasableSyntaxOnly", "--skipLibCheck"])
            .args(["--module", "nodenext", "--target", "es2022", "consumer.mts"])
            .current_dir(&dir)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        dir.join("consumer.mjs")
    })
}
