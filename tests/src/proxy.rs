//! A TCP proxy of the tests' own: it can cut what passes through it, leave connections open on which nothing comes, or be late.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// What is read at a time.
const PIECE: usize = 16 << 10;

/// What a proxy does with connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Passage {
    /// Everything passes.
    #[default]
    Open,
    /// Every connection is closed, and each new one at once.
    Cut,
    /// Connections stay open, new ones are taken, and nothing comes through: only a time-out finds that out.
    HalfOpen,
}

#[derive(Clone, Copy, Debug)]
struct Control {
    passage: Passage,
    target: SocketAddr,
    /// How late the answers to requests are that contain this text.
    late: Option<(&'static str, Duration)>,
    /// Connections that were half open in an earlier one are closed.
    generation: u64,
}

/// A proxy in front of one address. Its connections end with it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    control: watch::Sender<Control>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of loopback; to be called within a runtime.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(target: SocketAddr) -> Self {
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port on loopback");
        listener.set_nonblocking(true).expect("a listener can be asked without waiting");
        let address = listener.local_addr().expect("a listener has an address");
        let listener = TcpListener::from_std(listener).expect("a listener belongs to the runtime");
        let control = Control { passage: Passage::Open, target, late: None, generation: 0 };
        let (control, told) = watch::channel(control);
        Self { address, control, accepting: tokio::spawn(accept(listener, told)) }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections from now on lead there.
    pub fn lead_to(&self, target: SocketAddr) {
        self.control.send_modify(|control| control.target = target);
    }

    /// Closes every connection, and each new one at once.
    pub fn cut(&self) {
        self.control.send_modify(|control| control.passage = Passage::Cut);
    }

    /// Leaves connections open and lets nothing through.
    pub fn half_open(&self) {
        self.control.send_modify(|control| control.passage = Passage::HalfOpen);
    }

    /// Lets new connections through. Those that were half open stay so: each side has to find out by itself.
    pub fn restore(&self) {
        self.control.send_modify(|control| (control.passage, control.late) = (Passage::Open, None));
    }

    /// Lets new connections through, and closes those that were half open.
    pub fn restore_and_close(&self) {
        self.control.send_modify(|control| {
            (control.passage, control.late) = (Passage::Open, None);
            control.generation += 1;
        });
    }

    /// Holds back the answers to requests that contain this text.
    pub fn answer_late(&self, request: &'static str, by: Duration) {
        self.control.send_modify(|control| control.late = Some((request, by)));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, control: watch::Receiver<Control>) {
    let mut carried = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => drop(carried.spawn(carry(client, control.clone()))),
                // No descriptor is left, say: whoever comes tries again.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = carried.join_next() => {}
        }
    }
}

/// One connection, until either side closes it or the proxy does.
async fn carry(mut client: TcpStream, mut control: watch::Receiver<Control>) {
    let begun = *control.borrow_and_update();
    match begun.passage {
        Passage::Cut => return,
        Passage::HalfOpen => return hold(&mut client, control).await,
        Passage::Open => {}
    }
    let Ok(server) = TcpStream::connect(begun.target).await else { return };
    if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
        return;
    }
    // Held until the end: a half that is dropped tells the other side that nothing more comes.
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (answers, asked) = (control.clone(), AtomicBool::new(false));
    let passage = tokio::select! {
        () = up(&mut from_client, &mut to_server, &answers, &asked) => return,
        () = down(&mut from_server, &mut to_client, &answers, &asked) => return,
        passage = left_open(&mut control) => passage,
    };
    if passage == Passage::HalfOpen {
        hold(&mut from_client, control).await;
    }
}

async fn left_open(control: &mut watch::Receiver<Control>) -> Passage {
    let left = control.wait_for(|control| control.passage != Passage::Open).await;
    left.map_or(Passage::Cut, |control| control.passage)
}

/// Swallows what the client sends, until it hangs up or the proxy closes such connections.
async fn hold(client: &mut (impl AsyncRead + Unpin), mut control: watch::Receiver<Control>) {
    let generation = control.borrow().generation;
    let mut sink = vec![0; PIECE];
    let swallow = async { while matches!(client.read(&mut sink).await, Ok(read) if read > 0) {} };
    let is_closed = |control: &Control| control.passage == Passage::Cut || control.generation != generation;
    tokio::select! {
        () = swallow => {}
        _ = control.wait_for(is_closed) => {}
    }
}

async fn up(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    control: &watch::Receiver<Control>,
    asked: &AtomicBool,
) {
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let piece = &piece[..read];
        if let Some((text, _)) = control.borrow().late
            && piece.windows(text.len()).any(|part| part == text.as_bytes())
        {
            asked.store(true, Ordering::SeqCst);
        }
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
}

async fn down(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    control: &watch::Receiver<Control>,
    asked: &AtomicBool,
) {
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let late = control.borrow().late.filter(|_| asked.swap(false, Ordering::SeqCst));
        if let Some((_, by)) = late {
            sleep(by).await;
        }
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Says everything back.
    async fn echo() -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.into_split();
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                });
            }
        });
        (address, serving)
    }

    async fn comes_back(stream: &mut TcpStream) -> bool {
        let mut answer = [0; 4];
        let said = async {
            stream.write_all(b"ping").await.ok()?;
            stream.read_exact(&mut answer).await.ok()
        };
        timeout(LIMIT, said).await.expect("an open or a cut connection answers in time").is_some()
    }

    #[tokio::test]
    async fn what_is_cut_is_closed_and_what_is_half_open_stays_silent() {
        let (address, _serving) = echo().await;
        let proxy = Proxy::start(address);
        let connect = async || TcpStream::connect(proxy.address()).await.unwrap();
        let mut before = connect().await;
        assert!(comes_back(&mut before).await);
        proxy.half_open();
        let mut meanwhile = connect().await;
        for stream in [&mut before, &mut meanwhile] {
            // Some first bytes may still pass: the proxy is told, not stopped.
            let silent = async { while comes_back(stream).await {} };
            assert!(
                timeout(Duration::from_millis(200), silent).await.is_err(),
                "neither closed nor answered"
            );
        }
        proxy.restore();
        assert!(comes_back(&mut connect().await).await);
        let silent = comes_back(&mut before);
        assert!(timeout(Duration::from_millis(200), silent).await.is_err(), "it stays as it was");
        proxy.restore_and_close();
        for stream in [&mut before, &mut meanwhile] {
            assert!(!comes_back(stream).await, "closed at last");
        }
        let mut open = connect().await;
        assert!(comes_back(&mut open).await);
        proxy.cut();
        assert!(!comes_back(&mut open).await);
        assert!(!comes_back(&mut connect().await).await);
    }

    #[tokio::test]
    async fn an_answer_may_be_late() {
        let (address, _serving) = echo().await;
        let proxy = Proxy::start(address);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.answer_late("ing", Duration::from_secs(3600));
        let late = comes_back(&mut stream);
        assert!(timeout(Duration::from_millis(200), late).await.is_err());
        proxy.answer_late("no such request", Duration::from_secs(3600));
        let mut other = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(comes_back(&mut other).await);
    }
}
