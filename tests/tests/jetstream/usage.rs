//! Reports of usage in their stream: kept in order, replaced where they may be, followed from any place, and told from those
//! of another stream under the same name.

use eventlog::jetstream::{JetStream, Keeping, REPORT_MAX, StoredReport, UsageFollower, UsageStream};
use projection::RecordPlace;
use projection::usage::UsageRecord;
use tests::nats::{NatsCluster, NatsServer};
use tokio::time::timeout;
use wire::{RunId, UsageReport};

use crate::given::{PATIENCE, config, connect, outsider};

async fn publish(nats: &JetStream, run: &str, id: &str, keeping: Keeping) {
    timeout(PATIENCE, nats.usage.publish(run, id, keeping, id.as_bytes().to_vec())).await.unwrap().unwrap();
}

/// Follows as the contract asks: after an error again, from the last report that was taken in.
struct Following<'a> {
    usage: &'a UsageStream,
    follower: UsageFollower,
    after: u64,
}

impl<'a> Following<'a> {
    async fn from(usage: &'a UsageStream, after: u64) -> Self {
        Self { usage, follower: usage.follow(after).await.unwrap(), after }
    }

    async fn take(&mut self, count: usize) -> Vec<StoredReport> {
        let mut reports = Vec::new();
        while reports.len() < count {
            match timeout(PATIENCE, self.follower.next()).await.expect("reports come") {
                Ok(next) => reports.extend(next),
                Err(_) => self.follower = self.usage.follow(self.after).await.unwrap(),
            }
            self.after = reports.last().map_or(self.after, |report| report.sequence);
        }
        reports
    }
}

fn told(reports: &[StoredReport]) -> Vec<(u64, String)> {
    reports
        .iter()
        .map(|report| (report.sequence, String::from_utf8_lossy(&report.payload).into_owned()))
        .collect()
}

async fn sums_stay_and_idle_reports_replace_each_other(nats: &JetStream) {
    let mut live = Following::from(&nats.usage, 0).await;
    for (run, id, keeping) in [
        ("A", "a0", Keeping::Replaces),
        ("A", "a1", Keeping::Stays),
        ("B", "b0", Keeping::Replaces),
        ("A", "a1-idle", Keeping::Replaces),
        ("A", "a2", Keeping::Stays),
        ("A", "a2", Keeping::Stays),
        ("A", "a2-idle", Keeping::Replaces),
    ] {
        publish(nats, run, id, keeping).await;
    }
    let wanted = [(1, "a0"), (2, "a1"), (3, "b0"), (4, "a1-idle"), (5, "a2"), (6, "a2-idle")];
    let kept = told(&Following::from(&nats.usage, 0).await.take(4).await);
    assert_eq!(kept, [wanted[1], wanted[2], wanted[4], wanted[5]].map(|(n, id)| (n, id.to_owned())));
    // Who listens may or may not hear what is replaced in the meantime, and misses nothing else.
    let mut heard = Vec::new();
    while heard.last() != kept.last() {
        heard.extend(told(&live.take(1).await));
    }
    assert!(heard.is_sorted() && kept.iter().all(|one| heard.contains(one)), "{heard:?}");
    let rest = told(&Following::from(&nats.usage, 4).await.take(2).await);
    assert_eq!(rest, [(5, "a2".to_owned()), (6, "a2-idle".to_owned())]);
    nats.usage.publish("A", "large", Keeping::Stays, vec![7; REPORT_MAX]).await.unwrap();
}

#[tokio::test]
async fn sums_stay_and_idle_reports_replace_each_other_on_one_node() {
    let server = NatsServer::start().await;
    sums_stay_and_idle_reports_replace_each_other(&connect(&server).await).await;
}

#[tokio::test]
async fn sums_stay_and_idle_reports_replace_each_other_on_three_nodes() {
    let cluster = NatsCluster::start(3).await;
    let nats = JetStream::connect(config(cluster.url(), 3, 1)).await.unwrap();
    sums_stay_and_idle_reports_replace_each_other(&nats).await;
}

fn report(run: u128, sequence: u64, from: u64, to: u64) -> UsageReport {
    let entry = wire::UsageEntry {
        tenant: "acme".parse().unwrap(),
        key_id: domain::KeyId::from_u128(1),
        verdict: "valid".into(),
        count: 1,
        first: domain::Timestamp::from_millis(from),
        last: domain::Timestamp::from_millis(to),
        origin: None,
    };
    UsageReport {
        run: RunId::from_u128(run),
        server: "mail-1".into(),
        sequence,
        from: domain::Timestamp::from_millis(from),
        to: domain::Timestamp::from_millis(to),
        leaving: false,
        max_staleness_ms: 5_000,
        missed: 0,
        entries: vec![entry],
    }
}

async fn send(nats: &JetStream, report: &UsageReport, id: &str) {
    nats.usage.publish(&report.run.to_string(), id, Keeping::Stays, report.encode()).await.unwrap();
}

async fn known_until(record: &UsageRecord, millis: u64) {
    let mut applied = record.usage().applied();
    let there =
        applied.wait_for(|applied| applied.known_until.is_some_and(|until| until.as_millis() >= millis));
    timeout(PATIENCE, there).await.expect("the report comes back").unwrap();
}

#[tokio::test]
async fn a_record_goes_on_through_crashes_of_the_server_and_with_another_stream() {
    let mut server = NatsServer::start().await;
    let nats = connect(&server).await;
    let dir = tempfile::tempdir().unwrap();
    let open = async || {
        let place = RecordPlace::usage(dir.path().to_owned());
        UsageRecord::open(place, domain::LogId::from_u128(1), RunId::from_u128(1), "mail-1").await
    };
    let count = async |record: &UsageRecord| {
        let tenant = "acme".parse().unwrap();
        let now = domain::Timestamp::from_millis(60_000);
        record.usage().of_key(&tenant, domain::KeyId::from_u128(1), now).await.unwrap().total.valid
    };
    let record = open().await;
    let follow = tokio::spawn(record.clone().follow(nats.usage.clone()));
    send(&nats, &report(1, 1, 1_000, 2_000), "1").await;
    known_until(&record, 2_000).await;
    server.kill9();
    server.restart().await;
    // Sent again, as whoever does not know that it arrived must; and the stream may have forgotten the id.
    let sent_again = async {
        while nats
            .usage
            .publish("A", "1b", Keeping::Stays, report(1, 1, 1_000, 2_000).encode())
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, sent_again).await.expect("the stream comes back");
    send(&nats, &report(1, 2, 2_000, 3_000), "2").await;
    known_until(&record, 3_000).await;
    assert_eq!(count(&record).await, 2, "each report is counted once");
    follow.abort();
    record.close().await;

    // Somebody deletes the stream, and the next server makes another: its places mean nothing to the record.
    outsider(&server.url()).await.delete_stream("RESCIND_USAGE").await.unwrap();
    let nats = connect(&server).await;
    let record = open().await;
    let _follow = tokio::spawn(record.clone().follow(nats.usage.clone()));
    send(&nats, &report(1, 3, 3_000, 4_000), "3").await;
    known_until(&record, 4_000).await;
    assert_eq!(count(&record).await, 3);
    record.close().await;
}
