//! The one load generator for everybody who speaks HTTP: plain sockets, whole requests made ahead, every answer checked.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::rush::Failure;

/// Longer than any server's own time-out.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Larger than an answer with a thousand verdicts.
const MAX_ANSWER: usize = 4 << 20;
const READ_BYTES: usize = 16 << 10;

/// A whole request of HTTP/1.1.
pub(crate) fn request(method: &str, path: &str, operator: &str, body: Option<&Value>) -> Bytes {
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {operator}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into()
}

/// One answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Of head and body together.
    pub(crate) size: usize,
    pub(crate) head: String,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Its JSON, if it is a success.
    pub(crate) fn succeeded(&self) -> Result<Value, Failure> {
        if (200..300).contains(&self.status) {
            return Ok(serde_json::from_slice(&self.body)?);
        }
        Err(format!("answered {}: {}", self.status, String::from_utf8_lossy(&self.body)).into())
    }
}

/// One connection that is kept.
pub(crate) struct Line {
    stream: TcpStream,
    left: Vec<u8>,
}

impl Line {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, left: Vec::with_capacity(READ_BYTES) })
    }

    /// Sends one request and waits for its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer, Failure> {
        let end = timeout(ANSWER_WITHIN, self.exchange(request)).await??;
        let whole: Vec<u8> = self.left.drain(..end.size).collect();
        let head = String::from_utf8_lossy(&whole[..end.head]).into_owned();
        Ok(Answer { status: end.status, size: end.size, head, body: Bytes::from(whole).slice(end.head..) })
    }

    /// Sends one request and checks its answer in place, which is as little as a client can do.
    async fn check(&mut self, request: &[u8], marker: &memmem::Finder<'_>) -> Result<Reply, Failure> {
        let end = self.exchange(request).await?;
        let (head, body) = self.left[..end.size].split_at(end.head);
        let reply = match end.status {
            200..300 if marker.find(body).is_some() => Reply::Right,
            503 if memmem::find(head, b"\r\nretry-after: ").is_some() => Reply::Shed,
            status => return Err(format!("answered {status}: {}", String::from_utf8_lossy(body)).into()),
        };
        self.left.drain(..end.size);
        Ok(reply)
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<End, Failure> {
        self.stream.write_all(request).await?;
        loop {
            if let Some(end) = End::of(&self.left)? {
                return Ok(end);
            }
            if self.left.len() > MAX_ANSWER {
                return Err("an answer that does not end".into());
            }
            if self.stream.read_buf(&mut self.left).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Right,
    /// Not now, and when to come back.
    Shed,
}

/// Where an answer ends.
struct End {
    status: u16,
    head: usize,
    size: usize,
}

impl End {
    fn of(came: &[u8]) -> Result<Option<Self>, Failure> {
        let Some(head) = memmem::find(came, b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
        let text = &came[..head];
        let status = text.get(9..12).and_then(|text| str::from_utf8(text).ok()?.parse().ok());
        let status = status.ok_or("an answer without a status")?;
        let length = memmem::find(text, b"\r\ncontent-length: ").ok_or("an answer without its length")?;
        let digits = text[length + 18..].iter().take_while(|byte| byte.is_ascii_digit());
        let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
        let size = head + length;
        Ok((came.len() >= size).then_some(Self { status, head, size }))
    }
}

/// How long a load goes on.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// Requests again and again, for so long.
    Time(Duration),
    /// Each request once.
    AllSent,
}

/// Answers a second, with so many connections that each wait for their answer before they ask again. `marker` is in every
/// answer that is right.
pub(crate) async fn drive(
    address: SocketAddr,
    requests: &Arc<Vec<Bytes>>,
    connections: usize,
    until: Until,
    marker: &'static str,
) -> Result<f64, Failure> {
    let requests = Arc::clone(requests);
    // On a thread of its own, as a client elsewhere would be.
    spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, send_all(address, requests, connections, until, marker))
    })
    .await?
}

async fn send_all(
    address: SocketAddr,
    requests: Arc<Vec<Bytes>>,
    connections: usize,
    until: Until,
    marker: &'static str,
) -> Result<f64, Failure> {
    let mut lines = Vec::new();
    for _ in 0..connections {
        lines.push(Line::open(address).await?);
    }
    let marker = Rc::new(memmem::Finder::new(marker));
    let began = Instant::now();
    let sending = lines.into_iter().enumerate().map(|(at, mut line)| {
        let (requests, marker) = (Arc::clone(&requests), Rc::clone(&marker));
        tokio::task::spawn_local(async move {
            let mut answers = 0_usize;
            // Each connection goes through all of them by itself, from another place; or all share them.
            let (first, step) = match until {
                Until::Time(_) => (at * requests.len() / connections, 1),
                Until::AllSent => (at, connections),
            };
            let mut next = first;
            loop {
                match until {
                    Until::Time(time) if began.elapsed() >= time => return Ok::<_, Failure>(answers),
                    Until::AllSent if next >= requests.len() => return Ok(answers),
                    Until::Time(_) | Until::AllSent => {}
                }
                if line.check(&requests[next % requests.len()], &marker).await? == Reply::Shed {
                    return Err("the server had too much to do".into());
                }
                answers += 1;
                next += step;
            }
        })
    });
    let sending: Vec<_> = sending.collect();
    let mut answers = 0;
    for sender in sending {
        answers += timeout(ANSWER_WITHIN.max(limit(until)), sender).await???;
    }
    Ok(answers as f64 / began.elapsed().as_secs_f64())
}

/// Far more than the slowest load that says anything takes.
const fn limit(until: Until) -> Duration {
    match until {
        Until::Time(time) => time.saturating_add(ANSWER_WITHIN),
        Until::AllSent => Duration::from_secs(600),
    }
}

/// What came back of an open loop.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    pub(crate) right: usize,
    pub(crate) shed: usize,
}

/// Offers so many requests a second for so long, whatever comes back when: who waits for an answer sends the requests that
/// became due meanwhile right behind it.
pub(crate) async fn offer(
    address: SocketAddr,
    requests: &Arc<Vec<Bytes>>,
    connections: u32,
    per_second: f64,
    time: Duration,
    marker: &'static str,
) -> Result<Offered, Failure> {
    let requests = Arc::clone(requests);
    let every = Duration::from_secs_f64(f64::from(connections) / per_second);
    spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let offering = offer_all(address, requests, connections, every, time, marker);
        LocalSet::new().block_on(&runtime, offering)
    })
    .await?
}

async fn offer_all(
    address: SocketAddr,
    requests: Arc<Vec<Bytes>>,
    connections: u32,
    every: Duration,
    time: Duration,
    marker: &'static str,
) -> Result<Offered, Failure> {
    let mut lines = Vec::new();
    for _ in 0..connections {
        lines.push(Line::open(address).await?);
    }
    let marker = Rc::new(memmem::Finder::new(marker));
    let began = Instant::now();
    let sending = lines.into_iter().zip(0_u32..).map(|(mut line, at)| {
        let (requests, marker) = (Arc::clone(&requests), Rc::clone(&marker));
        // Not all at the same instant.
        let mut due = interval_at(began + every * at / connections, every);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        tokio::task::spawn_local(async move {
            let mut offered = Offered::default();
            let mut next = at as usize * requests.len() / connections as usize;
            while began.elapsed() < time {
                due.tick().await;
                match line.check(&requests[next % requests.len()], &marker).await? {
                    Reply::Right => offered.right += 1,
                    Reply::Shed => offered.shed += 1,
                }
                next += 1;
            }
            Ok::<_, Failure>(offered)
        })
    });
    let sending: Vec<_> = sending.collect();
    let mut all = Offered::default();
    for sender in sending {
        let offered = timeout(time + ANSWER_WITHIN, sender).await???;
        all.right += offered.right;
        all.shed += offered.shed;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let came =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\nvalidHTTP/1.1";
        let end = End::of(came).unwrap().unwrap();
        assert_eq!((end.status, &came[end.head..end.size]), (200, &b"valid"[..]));
        assert!(End::of(&came[..end.size - 1]).unwrap().is_none(), "the body is not all there");
        assert!(End::of(&came[..20]).unwrap().is_none(), "nor is the head");
        assert!(End::of(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "where it ends is not said");
    }
}
