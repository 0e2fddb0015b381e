//! The real `rescind serve` as a process of its own, and a plain HTTP client to talk to it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

/// A start on an empty folder takes 0.1 s; on a loaded machine with a cluster behind it, much longer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A graceful stop finishes requests for up to 10 s and writes a snapshot.
const STOP_LIMIT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// No answer takes longer than the server's own time-outs.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// The binary under test, built with the tests.
#[must_use]
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a file");
    let deps = test.parent().expect("a file lies in a folder");
    let folder =
        if deps.ends_with("deps") { deps.parent().expect("deps lies in the profile's folder") } else { deps };
    folder.join("rescind-under-test")
}

/// How a server is started.
#[derive(Clone, Debug)]
pub struct ServerSetup {
    data: Arc<DataDir>,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

#[derive(Debug)]
enum DataDir {
    Own(TempDir),
    Given(PathBuf),
}

impl ServerSetup {
    /// An embedded log in a folder of its own, on a free port.
    #[must_use]
    pub fn embedded() -> Self {
        let dir =
            tempfile::Builder::new().prefix("rescind-").tempdir().expect("a folder for the server's data");
        Self { data: Arc::new(DataDir::Own(dir)), program: binary(), args: Vec::new(), env: Vec::new() }
    }

    /// A shared log on NATS.
    #[must_use]
    pub fn nats(url: &str) -> Self {
        Self::embedded().arg("--log").arg(url)
    }

    /// With its data in this folder, which stays.
    #[must_use]
    pub fn data_in(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data = Arc::new(DataDir::Given(dir.into()));
        self
    }

    /// Another build of the binary.
    #[must_use]
    pub fn program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// With one more environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Where its data lie.
    #[must_use]
    pub fn data(&self) -> &Path {
        match &*self.data {
            DataDir::Own(dir) => dir.path(),
            DataDir::Given(dir) => dir,
        }
    }

    /// The command that starts it, for tests that run it under something else.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--data").arg(self.data());
        if !self.args.iter().any(|arg| arg == "--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(&self.args).envs(self.env.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it is ready, lists too.
    ///
    /// # Panics
    /// When it ends or does not become ready in time; the text has its last words.
    #[must_use]
    pub fn start(&self) -> TestServer {
        let server = self.spawn();
        server.wait_ready();
        server.wait_views();
        server
    }

    /// Starts it and waits until it listens, ready or not.
    ///
    /// # Panics
    /// When it ends or does not listen in time; the text has its last words.
    #[must_use]
    pub fn spawn(&self) -> TestServer {
        TestServer::spawn(self, self.command())
    }
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct TestServer {
    setup: ServerSetup,
    child: Child,
    url: String,
    output: TempDir,
    client: Client,
}

impl TestServer {
    /// Starts the given command as this server.
    ///
    /// # Panics
    /// As [`ServerSetup::spawn`].
    #[must_use]
    pub fn spawn(setup: &ServerSetup, mut command: Command) -> Self {
        let output =
            tempfile::Builder::new().prefix("rescind-out-").tempdir().expect("a folder for the output");
        let file = |name| File::create(output.path().join(name)).expect("a file for the output");
        let child = command
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} cannot be started: {error}", command.get_program()));
        let mut server =
            Self { setup: setup.clone(), child, url: String::new(), output, client: Client::default() };
        server.url = server.wait_for("listens", |server| {
            // On stderr where stdout takes nothing.
            let said = server.stdout() + &server.stderr();
            let (_, rest) = said.split_once("listening on ")?;
            let (url, _) = rest.split_once('\n')?;
            Some(url.split_whitespace().next()?.to_owned())
        });
        server
    }

    /// Where it listens, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where its data lie.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.setup.data()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first operator's key.
    ///
    /// # Panics
    /// When the file is not there.
    #[must_use]
    pub fn operator_key(&self) -> String {
        let path = self.data().join("operator.key");
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .trim()
            .to_owned()
    }

    /// What it wrote to stdout so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.output.path().join("stdout")).unwrap_or_default()
    }

    /// What it wrote to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.output.path().join("stderr")).unwrap_or_default()
    }

    /// A client that speaks as the first operator.
    #[must_use]
    pub fn admin(&self) -> Admin {
        self.admin_with(&self.operator_key())
    }

    /// A client that speaks with this key.
    #[must_use]
    pub fn admin_with(&self, key: &str) -> Admin {
        Admin { client: self.client.clone(), url: self.url.clone(), key: key.to_owned() }
    }

    /// Waits until `/readyz` says so.
    ///
    /// # Panics
    /// When it ends or does not become ready in time.
    pub fn wait_ready(&self) {
        let url = format!("{}/readyz", self.url);
        let deadline = Instant::now() + START_LIMIT;
        while self.client.send("GET", &url, &[], None).status != 200 {
            assert!(Instant::now() < deadline, "not ready in time; stderr:\n{}", self.stderr());
            pause();
        }
    }

    /// Waits until every view has caught up: they open behind a server that is ready.
    ///
    /// # Panics
    /// When they come no further for longer than a start may take. A million events may take many times that.
    pub fn wait_views(&self) {
        let url = format!("{}/readyz?verbose", self.url);
        let mut deadline = Instant::now() + START_LIMIT;
        let mut before = 0;
        loop {
            let told = self.client.send("GET", &url, &[], None).json();
            let views = told["checks"]["progress"].as_array();
            if views.is_some_and(|views| views.iter().all(|view| view["stage"] == "ready")) {
                return;
            }
            let applied: u64 = views.into_iter().flatten().filter_map(|view| view["applied"].as_u64()).sum();
            if applied > before {
                (before, deadline) = (applied, Instant::now() + START_LIMIT);
            }
            assert!(Instant::now() < deadline, "views not ready in time: {told}; stderr:\n{}", self.stderr());
            pause();
        }
    }

    /// Waits for something about this server.
    ///
    /// # Panics
    /// When the server ends, or it takes longer than a start may.
    pub fn wait_for<T>(&mut self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!(
                    "ended ({status}) before it {what}; stderr:\n{}\nstdout:\n{}",
                    self.stderr(),
                    self.stdout()
                );
            }
            assert!(Instant::now() < deadline, "not in time: {what}; stderr:\n{}", self.stderr());
            pause();
        }
    }

    /// Kills it without warning.
    pub fn kill9(mut self) -> ServerSetup {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.setup.clone()
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Panics
    /// When it does not stop in time or not with success.
    pub fn stop(mut self) -> ServerSetup {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child can be waited for") {
                assert!(status.success(), "stopped with {status}; stderr:\n{}", self.stderr());
                return self.setup.clone();
            }
            assert!(Instant::now() < deadline, "did not stop in time; stderr:\n{}", self.stderr());
            pause();
        }
    }

    /// Stops its clock: connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id is positive");
        kill_process(pid, signal).expect("our own child can be signalled");
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pause() {
    std::thread::park_timeout(LOOK_AGAIN);
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status; 0 when there was no answer at all.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The `code` of a problem.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// One header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
    }

    /// This answer, if it has the status.
    ///
    /// # Panics
    /// When it has another.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// A plain HTTP client: what comes back is told, whatever it is.
#[derive(Clone, Debug)]
pub struct Client {
    agent: ureq::Agent,
}

impl Default for Client {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_LIMIT))
            .max_idle_connections_per_host(64)
            .build();
        Self { agent: config.into() }
    }
}

impl Client {
    /// Sends one request. A connection that is refused or lost is an answer with status 0.
    #[must_use]
    pub fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.unwrap_or_default()).expect("tests send well-formed requests");
        let lost = |error: ureq::Error| Answer { status: 0, headers: Vec::new(), text: error.to_string() };
        match self.agent.run(request) {
            Err(error) => lost(error),
            Ok(mut response) => {
                let headers = response.headers().iter();
                let headers = headers
                    .map(|(name, value)| {
                        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                    })
                    .collect();
                let status = response.status().as_u16();
                match response.body_mut().read_to_string() {
                    Ok(text) => Answer { status, headers, text },
                    Err(error) => lost(error),
                }
            }
        }
    }
}

/// Speaks to a server with one operator's key.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
    url: String,
    key: String,
}

/// A key that a test issued.
#[derive(Clone, Debug)]
pub struct IssuedKey {
    /// Its id.
    pub key_id: String,
    /// The whole key.
    pub key: String,
    /// Where its event stands.
    pub position: u64,
}

impl Admin {
    /// The same operator, who reaches the server by another address.
    #[must_use]
    pub fn by(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// Sends a request with further headers.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let authorization = format!("Bearer {}", self.key);
        let mut all = vec![("authorization", authorization.as_str()), ("content-type", "application/json")];
        all.extend(headers);
        let body = body.map(Value::to_string);
        self.client.send(method, &format!("{}{path}", self.url), &all, body.as_ref().map(String::as_bytes))
    }

    /// GET.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    /// POST of a JSON body.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], Some(body))
    }

    /// POST under a command id.
    #[must_use]
    pub fn post_as(&self, command_id: &str, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("idempotency-key", command_id)], Some(body))
    }

    /// Opens a tenant, which may be open.
    #[track_caller]
    pub fn open_tenant(&self, tenant: &str) {
        let answer = self.post_as(&format!("open-{tenant}"), "/v1/tenants", &json!({"tenant": tenant}));
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }

    /// Issues a key for a sender.
    #[track_caller]
    #[must_use]
    pub fn issue(&self, tenant: &str, owner: &str) -> IssuedKey {
        let body = json!({"name": "campaign sender", "owner": owner, "scopes": ["campaigns:send"],
            "labels": {"service": "mailer"}});
        issued(&self.post(&format!("/v1/tenants/{tenant}/keys"), &body).expect(201).json())
    }

    /// Issues an operator's key that lets a guard listen and verify in one tenant, and nothing else.
    #[track_caller]
    #[must_use]
    pub fn issue_credential(&self, tenant: &str) -> IssuedKey {
        let scopes = [format!("{tenant}/feed"), format!("{tenant}/verify")];
        let body = json!({"name": "guard", "owner": "mailer", "scopes": scopes});
        issued(&self.post("/v1/tenants/rescind/keys", &body).expect(201).json())
    }

    /// Revokes a key as compromised.
    #[must_use]
    pub fn revoke(&self, tenant: &str, key_id: &str) -> Answer {
        self.post(&format!("/v1/tenants/{tenant}/keys/{key_id}/revoke"), &json!({"reason": "compromised"}))
    }

    /// The verdict on a key.
    #[track_caller]
    #[must_use]
    pub fn verdict(&self, key: &str) -> String {
        let answer = self.post("/v1/verify", &json!({"key": key})).expect(200);
        answer.json()["verdict"].as_str().expect("a verify tells its verdict").to_owned()
    }
}

#[track_caller]
fn issued(answer: &Value) -> IssuedKey {
    IssuedKey {
        key_id: answer["key_id"].as_str().expect("an issue tells the key id").to_owned(),
        key: answer["key"].as_str().expect("an issue shows the key").to_owned(),
        position: answer["position"].as_u64().expect("an issue tells its position"),
    }
}
