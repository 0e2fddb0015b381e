//! A connection whose client takes nothing: let go once it carries a feed, which the client can go on with by another one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use metrics::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A client that takes nothing for so long, while something waits for it, has stopped reading: a feed brings something each
/// second, and guards give one up after 3 s. Other answers may wait for whoever reads them page by page.
const STUCK_AFTER: Duration = Duration::from_secs(15);

/// What a connection carries, as its requests tell.
#[derive(Clone, Default)]
pub(crate) struct Carries(Arc<AtomicBool>);

impl Carries {
    /// From now on a feed, which never ends by itself.
    pub(crate) fn a_feed(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection that ends, if it carries a feed, when its client takes nothing.
pub(crate) struct Outlet<S> {
    stream: S,
    carries: Carries,
    /// Runs while the connection takes nothing.
    waiting: Option<Pin<Box<Sleep>>>,
    stuck: Counter,
}

impl<S> Outlet<S> {
    pub(crate) const fn new(stream: S, carries: Carries, stuck: Counter) -> Self {
        Self { stream, carries, waiting: None, stuck }
    }

    /// What became of an attempt to write.
    fn wrote<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.waiting = None;
            return wrote;
        }
        if !self.carries.0.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(STUCK_AFTER)));
        ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        self.stuck.increment(1);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client of a feed takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Outlet<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Outlet<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(cx, wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.wrote(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.wrote(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    fn outlet() -> (Outlet<DuplexStream>, DuplexStream, Carries) {
        let (ours, theirs) = duplex(16);
        let carries = Carries::default();
        (Outlet::new(ours, carries.clone(), Counter::noop()), theirs, carries)
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_whose_client_takes_nothing_ends() {
        let (mut outlet, theirs, carries) = outlet();
        carries.a_feed();
        let begun = tokio::time::Instant::now();
        let ended = outlet.write_all(&[b'x'; 64]).await.unwrap_err();
        assert_eq!((ended.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, STUCK_AFTER));
        drop(theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_and_other_answers_are_waited_for() {
        let (mut other, theirs, _) = outlet();
        assert!(timeout(STUCK_AFTER * 10, other.write_all(&[b'x'; 64])).await.is_err());
        drop(theirs);
        let (mut outlet, mut theirs, carries) = outlet();
        carries.a_feed();
        let reading = tokio::spawn(async move {
            let mut piece = [0; 16];
            for _ in 0..8 {
                tokio::time::sleep(STUCK_AFTER - Duration::from_secs(1)).await;
                theirs.read_exact(&mut piece).await.unwrap();
            }
        });
        outlet.write_all(&[b'x'; 128]).await.unwrap();
        reading.await.unwrap();
    }
}
