//! Takes in what a handler left of a request's body, so that its answer arrives.
//!
//! A refusal is written before the body was read. Were the connection closed over what is still under way, the client's
//! network would throw away the answer with it, and the client would see a broken connection where it was told why not.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use futures_util::{Stream, StreamExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::http::extract::BODY_MAX;

/// How long the rest of a body may take: it is under way already. Who sends more slowly may lose the answer.
const REST_WITHIN: Duration = Duration::from_secs(1);

/// A body as the handler gets it: what is not read of it comes back when the handler drops it.
struct Lent {
    body: Option<BodyDataStream>,
    back: Option<oneshot::Sender<BodyDataStream>>,
}

/// Where the rest of a lent body comes back; of an empty one nothing does.
pub(crate) struct Unread(Option<oneshot::Receiver<BodyDataStream>>);

/// Lends a body to a handler.
pub(crate) fn lend(body: Body) -> (Body, Unread) {
    if body.is_end_stream() {
        return (body, Unread(None));
    }
    let (back, unread) = oneshot::channel();
    let lent = Lent { body: Some(body.into_data_stream()), back: Some(back) };
    (Body::from_stream(lent), Unread(Some(unread)))
}

impl Unread {
    /// Reads the rest, if the handler is done with the body; to be called when its answer is there.
    pub(crate) async fn take_in(self) {
        // Nothing comes back of a body that was read to its end, or that the answer goes on reading.
        let Some(Ok(mut rest)) = self.0.map(|mut unread| unread.try_recv()) else { return };
        let mut room = BODY_MAX;
        let reading = async {
            while let Some(Ok(piece)) = rest.next().await {
                let Some(left) = room.checked_sub(piece.len()) else { return };
                room = left;
            }
        };
        // Whether it ended, broke, was too long or too slow: the answer goes out.
        let _ = timeout(REST_WITHIN, reading).await;
    }
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = body.poll_next_unpin(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take()) {
            // The request may be over, and nobody there to take it in.
            let _ = back.send(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn body_of(pieces: usize) -> (Body, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&read);
        let pieces = stream::iter(0..pieces).map(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, axum::Error>(Bytes::from_static(&[b' '; 1024]))
        });
        (Body::from_stream(pieces), read)
    }

    #[tokio::test]
    async fn what_a_handler_left_is_read_up_to_a_bound() {
        for (pieces, are_read) in [(0, 0), (3, 3), (64, 64), (1_000, 65)] {
            let (body, read) = body_of(pieces);
            let (lent, unread) = lend(body);
            drop(lent);
            unread.take_in().await;
            assert_eq!(read.load(Ordering::Relaxed), are_read, "of {pieces}");
        }
    }

    #[tokio::test]
    async fn a_body_that_was_read_or_is_still_held_is_left_alone() {
        let (body, read) = body_of(3);
        let (lent, unread) = lend(body);
        assert_eq!(axum::body::to_bytes(lent, BODY_MAX).await.unwrap().len(), 3 * 1024);
        unread.take_in().await;
        assert_eq!(read.load(Ordering::Relaxed), 3);

        let (body, read) = body_of(3);
        let (lent, unread) = lend(body);
        unread.take_in().await;
        assert_eq!(read.load(Ordering::Relaxed), 0);
        drop(lent);
        assert!(lend(Body::empty()).0.is_end_stream(), "a handler sees that there is none");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_holds_no_answer_up() {
        let (lent, unread) = lend(Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>()));
        drop(lent);
        unread.take_in().await;
    }
}
