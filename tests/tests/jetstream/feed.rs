//! The feed of notices: exact with racing writers, repeated live, resumed from its own last message.

use std::time::Duration;

use async_nats::Subscriber;
use bytes::Bytes;
use domain::TenantId;
use eventlog::jetstream::{FeedOutcome, JetStream, Notice, NoticeFeed};
use futures_util::StreamExt;
use tests::nats::{NatsCluster, NatsServer};
use tokio::time::{sleep, timeout};

use crate::given::{PATIENCE, batched, config, connect, outsider};

const NOTICES: u64 = 500;

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

/// Notice number n; every third is of tenant `mailer`.
fn notice(n: u64) -> Notice {
    let tenant = tenant(if n.is_multiple_of(3) { "mailer" } else { "acme" });
    let payload = Bytes::from(format!("{{\"id\":\"{n}\"}}"));
    Notice { tenant, kind: "revoked".into(), key: format!("k{n}"), id: n.to_string(), payload }
}

fn by(writer: usize, n: u64) -> Notice {
    Notice { id: format!("{n}:{writer}"), ..notice(n) }
}

fn number(id: &str) -> u64 {
    id.split(':').next().unwrap().parse().unwrap()
}

/// Does what a notice worker does: reads where the feed ends, and goes on from there in steps of its own size. Its ids are its
/// own too, other than a real worker's, so that the server's memory of ids does not help.
async fn announce_until(feed: NoticeFeed, writer: usize, until: u64, step: u64) -> u64 {
    let mut lost = 0;
    loop {
        let last = feed.last().await.unwrap();
        let (sequence, done) = last.map_or((0, 0), |last| (last.sequence, number(&last.id)));
        assert_eq!(sequence, done, "notice {done} stands in the wrong place");
        if done >= until {
            return lost;
        }
        let next: Vec<Notice> = (done + 1..=until.min(done + step)).map(|n| by(writer, n)).collect();
        match feed.append(sequence, next).await {
            Ok(FeedOutcome::Appended { last }) => assert!(last > sequence),
            Ok(FeedOutcome::LostRace) => lost += 1,
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}

/// The numbers of the notices heard live, after one more that ends them. Live is at most once: what a route or a change of leader
/// loses is not repeated, and whoever misses it reads it from the stream.
async fn heard_live(live: &mut Subscriber, feed: &NoticeFeed) -> Vec<u64> {
    let mut heard = Vec::new();
    for ending in NOTICES + 1..=NOTICES + 20 {
        assert_eq!(
            feed.append(ending - 1, vec![notice(ending)]).await.unwrap(),
            FeedOutcome::Appended { last: ending }
        );
        while let Ok(Some(message)) = timeout(Duration::from_secs(1), live.next()).await {
            let headers = message.headers.as_ref().unwrap();
            let n = number(headers.get("Nats-Sequence").unwrap().as_str());
            assert_eq!(message.payload, notice(n).payload);
            let subject = headers.get("Nats-Subject").unwrap().as_str();
            assert_eq!(message.subject.as_str(), subject.replace("notices", "live"));
            assert!(subject.ends_with(&format!(".revoked.k{n}")), "{subject}");
            if n > NOTICES {
                return heard;
            }
            heard.push(n);
        }
    }
    panic!("twenty notices after the race were not repeated live");
}

/// How many of the notices were also heard live, in their order and without repeats.
async fn racing_writers_leave_every_notice_once(first: &JetStream, second: &JetStream, url: &str) -> usize {
    let js = outsider(url).await;
    let mut live = js.client().subscribe("rescind.live.>").await.unwrap();
    js.client().flush().await.unwrap();
    // A batch takes longer than a publish and loses against it, so the long steps race among themselves first.
    let (mut lost, mut running) = (0, Vec::new());
    for (until, steps) in [(NOTICES / 2, [20, 30, 90]), (NOTICES, [1, 1, 7])] {
        let writers = [(first, steps[0]), (second, steps[1]), (first, steps[2])];
        for (writer, (nats, step)) in writers.into_iter().enumerate() {
            running.push(tokio::spawn(announce_until(nats.feed.clone(), writer, until, step)));
        }
        for writer in running.drain(..) {
            lost += timeout(PATIENCE, writer).await.expect("a writer ends").unwrap();
        }
    }
    assert!(lost > 0, "nobody raced");
    let stream = js.get_stream("RESCIND_FEED").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, NOTICES);
    for n in 1..=NOTICES {
        let message = stream.get_raw_message(n).await.unwrap();
        assert_eq!(message.payload, notice(n).payload);
        assert_eq!(message.headers.get("Content-Type").unwrap().as_str(), "application/cloudevents+json");
    }
    assert!(batched(url, "RESCIND_FEED").await.0 > 0, "nobody wrote a batch");
    let heard = heard_live(&mut live, &first.feed).await;
    assert!(heard.is_sorted_by(|a, b| a < b), "out of order or twice: {heard:?}");
    heard.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_writers_are_exact_on_one_server() {
    let server = NatsServer::start().await;
    let (first, second) = (connect(&server).await, connect(&server).await);
    assert_eq!(racing_writers_leave_every_notice_once(&first, &second, &server.url()).await as u64, NOTICES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_writers_are_exact_on_three_servers() {
    let cluster = NatsCluster::start(3).await;
    let urls = cluster.urls();
    let first = JetStream::connect(config(urls[0].clone(), 3, 1)).await.unwrap();
    let second = JetStream::connect(config(urls[2].clone(), 3, 2)).await.unwrap();
    assert!(racing_writers_leave_every_notice_once(&first, &second, &urls[1]).await > 0);
}

#[tokio::test]
async fn a_tenants_last_notice_is_found_behind_others() {
    let server = NatsServer::start().await;
    let feed = connect(&server).await.feed;
    assert_eq!(feed.last().await.unwrap(), None);
    assert_eq!(feed.last_of_tenant(&tenant("mailer")).await.unwrap(), None);
    let all = (1..=20).map(notice).collect();
    assert_eq!(feed.append(0, all).await.unwrap(), FeedOutcome::Appended { last: 20 });
    let last = feed.last_of_tenant(&tenant("mailer")).await.unwrap().unwrap();
    assert_eq!((last.sequence, last.id.as_str()), (18, "18"));
    assert_eq!(last.subject, "rescind.notices.mailer.revoked.k18");
    assert_eq!(feed.last_of_tenant(&tenant("mail")).await.unwrap(), None, "a name that another begins with");
    assert_eq!(
        feed.append(20, vec![notice(21), notice(22)]).await.unwrap(),
        FeedOutcome::Appended { last: 22 }
    );
    assert_eq!(feed.append(20, vec![notice(23)]).await.unwrap(), FeedOutcome::LostRace);
    assert_eq!(feed.append(21, (23..60).map(notice).collect()).await.unwrap(), FeedOutcome::LostRace);
    assert_eq!(feed.last().await.unwrap().unwrap().id, "22");
}
