//! Runs the client as a process of its own, with nothing from this test's environment.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use tests::server::{TestServer, binary};

/// A run of the client, in a folder of its own and with nothing from this test's environment.
pub(crate) struct Run {
    pub(crate) command: Command,
    stdin: String,
    _folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn rescind(arguments: &[&str]) -> Run {
    let folder = tempfile::tempdir().expect("a folder for the run");
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder.path());
    for name in
        ["RESCIND_URL", "RESCIND_KEY", "RESCIND_DATA", "RESCIND_LISTEN", "RESCIND_LOG", "RESCIND_CONFIG"]
    {
        command.env_remove(name);
    }
    Run { command, stdin: String::new(), _folder: folder }
}

impl Run {
    /// As the first operator of this server.
    pub(crate) fn on(self, server: &TestServer) -> Self {
        let key = server.operator_key();
        self.at(server.url()).with_key(&key)
    }

    pub(crate) fn at(mut self, url: &str) -> Self {
        self.command.env("RESCIND_URL", url);
        self
    }

    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.command.env("RESCIND_KEY", key);
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    /// Runs it to its end, which has to be this exit code.
    #[track_caller]
    pub(crate) fn ends(mut self, code: i32) -> Ended {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary is built with the tests");
        // It may end without reading, and then the pipe is closed.
        let _ = child.stdin.take().expect("stdin is a pipe").write_all(self.stdin.as_bytes());
        let Output { status, stdout, stderr } =
            child.wait_with_output().expect("our own child can be waited for");
        let text = |bytes| String::from_utf8(bytes).expect("the client prints UTF-8");
        let ended = Ended { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) };
        assert_eq!(ended.code, code, "{ended:?}");
        ended
    }
}

impl Ended {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("stdout is one JSON object")
    }

    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "{word}: {}", self.stderr);
        }
        self
    }
}

/// Issues a key by the client: its id and the whole key.
pub(crate) fn issued(server: &TestServer) -> (String, String) {
    let arguments = [
        "key",
        "issue",
        "--owner",
        "campaign-team",
        "--name",
        "mailer",
        "--scope",
        "campaigns:send",
        "--json",
    ];
    let body = rescind(&arguments).on(server).ends(0).json();
    (
        body["key_id"].as_str().expect("an issue tells the id").to_owned(),
        body["key"].as_str().expect("an issue shows the key").to_owned(),
    )
}
