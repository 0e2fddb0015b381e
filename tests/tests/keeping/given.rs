//! What the cases share: runs of the verbs, also killed in the middle, and a long log of which only the bytes matter.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use domain::{EventId, LogId, Position};
use eventlog::{EmbeddedLog, EventLog, NewEvent, Queue, Recorded, StreamId, StreamWrite, Unit};
use serde_json::Value;
use tests::server::{TestServer, binary};
use tokio::time::Instant;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("not one JSON object: {self:?}"))
    }

    /// The code of the failure.
    #[track_caller]
    pub(crate) fn failure(&self) -> String {
        let told: Value =
            serde_json::from_str(self.stderr.lines().last().unwrap_or_default()).unwrap_or_default();
        told["error"]["code"].as_str().unwrap_or_else(|| panic!("no failure: {self:?}")).to_owned()
    }
}

/// A verb with its arguments and `--json`, with nothing from this test's environment.
pub(crate) fn verb(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).arg("--json").stdin(Stdio::null());
    for name in ["RESCIND_URL", "RESCIND_KEY", "RESCIND_DATA", "RESCIND_LOG", "RESCIND_CONFIG"] {
        command.env_remove(name);
    }
    command
}

/// The same with a bug planted in it, by the bug's name.
pub(crate) fn planted(arguments: &[&str], bug: &str) -> Command {
    let mut command = verb(arguments);
    command.env("RESCIND_PLANTED", bug);
    command
}

/// What has to fail since there is a bug in it, and for this reason.
#[track_caller]
pub(crate) fn is_caught(run: impl FnOnce() + std::panic::UnwindSafe, reason: &str) {
    let panic = std::panic::catch_unwind(run).expect_err("nobody saw the planted bug");
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(text.contains(reason), "seen for another reason: {text}");
}

/// Runs it to its end.
pub(crate) fn ended(mut command: Command) -> Ended {
    let output = command.output().expect("the binary is built with the tests");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("a verb prints UTF-8");
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Runs a verb, which has to succeed.
#[track_caller]
pub(crate) fn done(arguments: &[&str]) -> Value {
    let ended = ended(verb(arguments));
    assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
    ended.json()
}

/// Runs a verb, which has to fail; the code of its failure.
#[track_caller]
pub(crate) fn refused(arguments: &[&str]) -> String {
    let ended = ended(verb(arguments));
    assert!(ended.code != 0, "{arguments:?}: {ended:?}");
    ended.failure()
}

/// As the first operator of a server.
pub(crate) fn on(mut command: Command, server: &TestServer) -> Command {
    command.env("RESCIND_URL", server.url()).env("RESCIND_KEY", server.operator_key());
    command
}

/// Starts it and kills it after so long; whether it had ended by itself before.
pub(crate) fn killed_after(mut command: Command, time: Duration) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child: Child = quiet.spawn().expect("the binary is built with the tests");
    std::thread::park_timeout(time);
    let had_ended = matches!(child.try_wait(), Ok(Some(_)));
    let _ = child.kill();
    let _ = child.wait();
    had_ended
}

/// How long a verb takes that succeeds: what a kill in its middle is timed by.
#[track_caller]
pub(crate) fn timed(arguments: &[&str]) -> Duration {
    let began = Instant::now();
    done(arguments);
    began.elapsed()
}

/// Numbers from a seed.
pub(crate) struct Drawn(u64);

impl Drawn {
    #[expect(clippy::print_stdout, reason = "a run that fails shows its seed")]
    pub(crate) fn from(seed: u64) -> Self {
        println!("seed {seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A moment in something that takes so long.
    pub(crate) fn moment(&mut self, length: Duration) -> Duration {
        length.mul_f64((5 + self.below(90)) as f64 / 100.0)
    }

    /// A number below another.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Writes a log of so many events over many streams into a data folder: units of one event, of several, of two streams.
pub(crate) async fn write_log(data: &Path, log_id: LogId, events: u64, seed: u64) {
    let mut drawn = Drawn::from(seed);
    let log = EmbeddedLog::open(&data.join("log.redb"), log_id).expect("a new log");
    let mut last = vec![Position::NONE; 3_000];
    let mut id = 0_u128;
    let mut new = |drawn: &mut Drawn| {
        id += 1;
        let size = usize::try_from(40 + drawn.below(300)).expect("small");
        NewEvent { id: EventId::from_u128(id), payload: Bytes::from(vec![drawn.below(256) as u8; size]) }
    };
    let mut written = 0;
    while written < events {
        // Every stream of a round is another one, so that all its units can wait for the same commit.
        let first = usize::try_from(drawn.below(2_000)).expect("small");
        let mut units = Vec::new();
        let mut stream = first;
        while units.len() < 400 && stream < first + 900 {
            let kind = drawn.below(40);
            let mut write = |stream: usize, count: usize| StreamWrite {
                stream: name(stream),
                expected: last[stream],
                events: (0..count).map(|_| new(&mut drawn)).collect(),
            };
            let writes = match kind {
                0 => vec![write(stream, 1), write(stream + 1, 1)],
                1 => vec![write(stream, 3)],
                _ => vec![write(stream, 1)],
            };
            stream += 2;
            units.push(Unit { writes, queue: Queue::Normal });
        }
        let names: Vec<Vec<(StreamId, usize)>> = units
            .iter()
            .map(|unit| unit.writes.iter().map(|w| (w.stream.clone(), w.events.len())).collect())
            .collect();
        let outcomes = futures_util::future::join_all(units.into_iter().map(|unit| log.append(unit))).await;
        for (outcome, names) in outcomes.into_iter().zip(names) {
            let eventlog::Outcome::Appended { positions } = outcome.expect("the log can be written") else {
                panic!("nobody else writes")
            };
            written += positions.len() as u64;
            let mut rest = &positions[..];
            for (stream, count) in names {
                last[number(&stream)] = rest[count - 1];
                rest = &rest[count..];
            }
        }
    }
}

fn name(stream: usize) -> StreamId {
    format!("acme.list-{stream}").parse().expect("a stream's name")
}

fn number(stream: &StreamId) -> usize {
    stream.as_str().rsplit('-').next().and_then(|n| n.parse().ok()).expect("a name of ours")
}

/// The whole log of a data folder.
pub(crate) async fn events_in(data: &Path) -> (LogId, Vec<Recorded>) {
    let log = EmbeddedLog::open(&data.join("log.redb"), LogId::from_u128(0)).expect("it is a log");
    let head = log.head().await.expect("it is open");
    let mut events: Vec<Recorded> = Vec::new();
    let mut follower = log.follow(Position::NONE).await.expect("it is open");
    while (events.len() as u64) < head.get() {
        events.extend(follower.next().await.expect("it can be read"));
    }
    (log.log_id(), events)
}
