//! The record as a whole: sums, bounds, windows that fall out, restarts, damage and reports that come again.

use domain::{KeyId, LogId, TenantId, Timestamp};
use tempfile::TempDir;
use wire::{RunId, UsageEntry, UsageOrigin, UsageReport};

use super::rows::{DAY_MS, DAYS_KEPT, HOUR_MS, HOURS_KEPT};
use super::*;
use crate::RecordPlace;
use crate::tree::MemoryDisk;

const LOG: LogId = LogId::from_u128(3);
const KEY: KeyId = KeyId::from_u128(77);
/// Noon of a day, at a full hour.
const NOON: u64 = 20_000 * DAY_MS + 12 * HOUR_MS;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

/// `count` verdicts at one instant.
fn entry(verdict: &str, count: u64, ms: u64, service: &str) -> UsageEntry {
    UsageEntry {
        tenant: acme(),
        key_id: KEY,
        verdict: verdict.into(),
        count,
        first: at(ms),
        last: at(ms),
        origin: Some(UsageOrigin {
            scope: Some("campaigns:send".into()),
            service: service.into(),
            network: Some("192.0.2.0/24".into()),
        }),
    }
}

/// A server with its record, which counts its own reports.
struct Server {
    record: UsageRecord,
    run: RunId,
    sequence: u64,
    until: u64,
}

impl Server {
    async fn start(place: RecordPlace, run: u128, ms: u64) -> Self {
        let run = RunId::from_u128(run);
        let record = UsageRecord::open(place, LOG, run, "mail-1").await;
        let mut server = Self { record, run, sequence: 0, until: ms };
        server.report(ms, Vec::new()).await;
        server
    }

    fn make(&mut self, to: u64, entries: Vec<UsageEntry>) -> UsageReport {
        self.sequence += u64::from(!entries.is_empty());
        let from = std::mem::replace(&mut self.until, to);
        UsageReport {
            run: self.run,
            server: "mail-1".into(),
            sequence: self.sequence,
            from: at(from),
            to: at(to),
            leaving: false,
            max_staleness_ms: 5_000,
            missed: 0,
            entries,
        }
    }

    async fn report(&mut self, to: u64, entries: Vec<UsageEntry>) {
        let report = self.make(to, entries);
        self.record.take_in(vec![report]).await.unwrap();
    }

    async fn shown(&self, now: u64) -> KeyUsage {
        self.record.usage().of_key(&acme(), KEY, at(now)).await.unwrap()
    }
}

fn memory() -> (MemoryDisk, RecordPlace) {
    let disk = MemoryDisk::default();
    (disk.clone(), RecordPlace::Memory(disk))
}

#[tokio::test]
async fn verdicts_are_summed_up_by_everything_that_tells_them_apart() {
    let mut server = Server::start(memory().1, 1, NOON).await;
    let mut plain = entry("valid", 2, NOON + 900, "lists");
    plain.origin = Some(UsageOrigin { scope: None, service: "lists".into(), network: None });
    let entries =
        vec![entry("valid", 3, NOON + 500, "mailer"), plain, entry("revoked", 1, NOON + 950, "mailer")];
    server.report(NOON + 1_000, entries).await;
    server.report(NOON + 2_000, vec![entry("valid", 5, NOON + 1_500, "mailer")]).await;
    let shown = server.shown(NOON + 2_000).await;
    assert_eq!((shown.first_used, shown.last_used), (Some(at(NOON + 500)), Some(at(NOON + 1_500))));
    assert_eq!(shown.total, Requests { valid: 10, refused: 1 });
    assert_eq!(shown.hours, [Bucket { start: at(NOON), requests: shown.total }]);
    assert_eq!(shown.days, [Bucket { start: at(NOON - 12 * HOUR_MS), requests: shown.total }]);
    let scopes: Vec<_> =
        shown.scopes.iter().map(|part| (part.name.as_deref(), part.requests.valid)).collect();
    assert_eq!(scopes, [(Some("campaigns:send"), 8), (None, 2)]);
    let [mailer, lists] = &shown.services[..] else { panic!("{:?}", shown.services) };
    assert_eq!((mailer.service.as_deref(), mailer.requests.all()), (Some("mailer"), 9));
    assert_eq!((lists.network.as_deref(), mailer.network.as_deref()), (None, Some("192.0.2.0/24")));
    let [refused] = &shown.refused[..] else { panic!("{:?}", shown.refused) };
    assert_eq!((&*refused.verdict, refused.count, refused.last), ("revoked", 1, at(NOON + 950)));
    assert_eq!(
        (refused.service.as_deref(), refused.network.as_deref()),
        (Some("mailer"), Some("192.0.2.0/24"))
    );

    let usage = server.record.usage();
    let services = usage.services_of(&acme(), KEY, at(NOON + 1_000)).await.unwrap();
    assert_eq!(services.iter().map(|seen| seen.service.as_deref()).collect::<Vec<_>>(), [Some("mailer")]);
    let hour = (at(NOON), at(NOON + HOUR_MS));
    assert_eq!(usage.requests_in(&acme(), KEY, hour).await.unwrap(), shown.total);
    let before = (at(NOON - HOUR_MS), at(NOON));
    assert_eq!(usage.requests_in(&acme(), KEY, before).await.unwrap(), Requests::default());
    let months = (at(NOON - 60 * DAY_MS), at(NOON + 1));
    assert_eq!(usage.requests_in(&acme(), KEY, months).await.unwrap(), shown.total);
    assert_eq!(usage.first_used(&acme(), KEY).await.unwrap(), shown.first_used);
    assert_eq!(usage.last_used(&acme(), KeyId::from_u128(1)).await.unwrap(), None);
    let page = usage.page(&acme(), None, 10).await.unwrap();
    assert_eq!((page.len(), page[0].0, page[0].1.total), (1, KEY, shown.total));
}

#[tokio::test]
async fn quiet_is_what_is_known_to_be_quiet() {
    let mut server = Server::start(memory().1, 1, NOON).await;
    let used = vec![entry("valid", 1, NOON + 500, "mailer"), entry("revoked", 1, NOON + 900, "lists")];
    server.report(NOON + 1_000, used).await;
    server.report(NOON + 60_000, Vec::new()).await;
    let usage = server.record.usage();
    let quiet = async |service: Option<&'static str>, now| {
        usage.quiet_since(&acme(), KEY, service, at(now)).await.unwrap()
    };
    let seen = quiet(None, NOON + 60_000).await;
    assert_eq!(
        (seen.since, seen.last_used),
        (Some(at(NOON + 500)), Some(at(NOON + 500))),
        "a refusal is no use"
    );
    assert!(seen.held_up_by.is_empty());
    let never = quiet(Some("lists"), NOON + 60_000).await;
    assert_eq!((never.since, never.last_used), (Some(at(NOON)), None), "quiet since the record began");
    // Nothing was heard for a minute: that it was quiet is not known.
    let held_up = quiet(None, NOON + 120_000).await;
    assert_eq!((held_up.since, held_up.held_up_by.len()), (None, 1));
    assert_eq!(held_up.held_up_by[0].whom.as_deref(), Some("mail-1"));
    // Another server fell silent after the last use: quiet counts from when it could answer no more.
    let other = UsageReport {
        run: RunId::from_u128(2),
        server: "mail-2".into(),
        ..server.make(NOON + 60_000, vec![])
    };
    let other = UsageReport { sequence: 0, to: at(NOON + 70_000), ..other };
    server.record.take_in(vec![other]).await.unwrap();
    server.report(NOON + 120_000, Vec::new()).await;
    let later = quiet(None, NOON + 120_000).await;
    assert_eq!(later.since, Some(at(NOON + 78_000)), "{later:?}");
    assert_eq!(later.held_up_by[0].whom.as_deref(), Some("mail-2"));
}

#[tokio::test]
async fn hours_and_days_of_long_ago_fall_out() {
    let (disk, place) = memory();
    let mut server = Server::start(place, 1, NOON).await;
    let mut now = NOON;
    for hour in 0..HOURS_KEPT + 50 {
        now = NOON + hour * HOUR_MS;
        server.report(now + 1, vec![entry("valid", 1, now, "mailer")]).await;
    }
    let shown = server.shown(now).await;
    assert_eq!(shown.hours.len() as u64, HOURS_KEPT + 1, "7 days and the hour that goes on");
    assert_eq!(shown.hours[0].start, at(now - HOURS_KEPT * HOUR_MS));
    assert_eq!(shown.total.valid, HOURS_KEPT + 50);
    for day in 0..DAYS_KEPT + 20 {
        now = NOON + (20 + day) * DAY_MS;
        server.report(now + 1, vec![entry("valid", 1, now, "mailer")]).await;
    }
    let shown = server.shown(now).await;
    assert_eq!(shown.days.len() as u64, DAYS_KEPT);
    let rows = disk.dump();
    let of_kind = |kind: u8| rows.iter().filter(|(name, _)| name[0] == kind).count() as u64;
    assert!(
        of_kind(b'd') <= DAYS_KEPT && of_kind(b'h') <= HOURS_KEPT + 1,
        "{} {}",
        of_kind(b'd'),
        of_kind(b'h')
    );
}

#[tokio::test]
async fn what_comes_late_joins_its_own_hour_and_day() {
    let mut server = Server::start(memory().1, 1, NOON).await;
    let yesterday = NOON - DAY_MS;
    let entries = [
        (1, NOON),
        (2, yesterday),
        (4, NOON + HOUR_MS),
        (8, NOON + 1),
        (16, NOON + HOUR_MS + 1),
        (32, yesterday),
    ];
    for ((count, ms), n) in entries.into_iter().zip(1..) {
        server.report(NOON + HOUR_MS + n, vec![entry("valid", count, ms, "mailer")]).await;
    }
    let shown = server.shown(NOON + HOUR_MS).await;
    let sums = |buckets: &[Bucket]| -> Vec<_> {
        buckets.iter().map(|bucket| (bucket.start, bucket.requests.valid)).collect()
    };
    assert_eq!(sums(&shown.hours), [(at(yesterday), 34), (at(NOON), 9), (at(NOON + HOUR_MS), 20)]);
    assert_eq!(sums(&shown.days), [(at(yesterday - 12 * HOUR_MS), 34), (at(NOON - 12 * HOUR_MS), 29)]);
}

#[tokio::test]
async fn a_key_in_steady_use_costs_one_row_a_report() {
    let (disk, place) = memory();
    let mut server = Server::start(place, 1, NOON).await;
    for n in 1..=3 {
        server.report(NOON + n, vec![entry("valid", 1, NOON + n, "mailer")]).await;
    }
    let rows = disk.dump();
    let of_key = rows.iter().filter(|(name, _)| b"khd".contains(&name[0])).count();
    assert_eq!(of_key, 1);
}

#[tokio::test]
async fn what_is_told_apart_is_bounded_and_the_sums_stay_right() {
    let mut server = Server::start(memory().1, 1, NOON).await;
    for n in 0..300_u64 {
        let mut one = entry("valid", 1, NOON + n, &format!("service-{n}"));
        let origin = one.origin.as_mut().unwrap();
        origin.scope = Some(format!("campaigns:send-{n}").into());
        origin.network = Some(format!("192.0.{n}.0/24").into());
        let collapsed = UsageEntry { origin: None, ..one.clone() };
        let odd = entry(&format!("verdict-{n}"), 1, NOON + n, "mailer");
        server.report(NOON + n + 1, vec![one, collapsed, odd]).await;
    }
    let shown = server.shown(NOON + 1_000).await;
    assert_eq!(shown.total, Requests { valid: 600, refused: 300 });
    for (parts, other) in [(&shown.scopes, &shown.scopes_other), (&shown.networks, &shown.networks_other)] {
        let apart: u64 = parts.iter().map(|part| part.requests.all()).sum();
        assert!(
            parts.len() <= 64 && apart + other.as_ref().unwrap().requests.all() == 900,
            "{}",
            parts.len()
        );
    }
    let apart: u64 = shown.services.iter().map(|seen| seen.requests.all()).sum();
    assert_eq!(apart + shown.services_other.as_ref().unwrap().requests.all(), 900);
    assert_eq!(shown.services[0].service.as_deref(), Some("mailer"), "the last seen are told apart");
    assert!(shown.refused.len() <= 24 && shown.refused.iter().map(|row| row.count).sum::<u64>() == 300);
    // A service that is told apart no longer may be any of the others: it is as quiet as they are.
    let usage = server.record.usage();
    let quiet = usage.quiet_since(&acme(), KEY, Some("service-0"), at(NOON + 1_000)).await.unwrap();
    assert_eq!(quiet.last_used, shown.services_other.unwrap().last_used);
    let since = usage.services_of(&acme(), KEY, at(NOON)).await.unwrap();
    assert!(since.iter().any(|seen| seen.service.is_none()), "the others are named too");
}

#[tokio::test]
async fn a_report_that_comes_again_is_counted_once_even_after_a_crash() {
    let (disk, place) = memory();
    let mut server = Server::start(place.clone(), 1, NOON).await;
    let report = server.make(NOON + 1_000, vec![entry("valid", 3, NOON + 500, "mailer")]);
    let taken = async |server: &Server| {
        server.record.take_in(vec![report.clone(), report.clone()]).await.unwrap();
        server.record.take_in(vec![report.clone()]).await.unwrap();
        server.shown(NOON).await.total.valid
    };
    assert_eq!(taken(&server).await, 3);
    disk.crash();
    let again = Server { record: UsageRecord::open(place, LOG, server.run, "mail-1").await, ..server };
    assert_eq!(taken(&again).await, 3, "what was taken in is durable, and known after a crash");
}

#[tokio::test]
async fn sums_survive_a_restart_and_a_kill_leaves_a_span_unknown() {
    let dir = TempDir::new().unwrap();
    let place = RecordPlace::usage(dir.path().join("records"));
    let mut server = Server::start(place.clone(), 1, NOON).await;
    server.report(NOON + 1_000, vec![entry("valid", 3, NOON + 500, "mailer")]).await;
    let before = server.shown(NOON + 1_000).await;
    let usage = server.record.usage();
    assert!(usage.coverage(&acme(), at(NOON), at(NOON + 1_000)).is_covered());
    // Killed: it never said that it leaves.
    server.record.close().await;
    usage.of_key(&acme(), KEY, at(NOON)).await.unwrap_err();

    let server = Server::start(place.clone(), 2, NOON + 60_000).await;
    assert_eq!(server.shown(NOON + 1_000).await, before);
    let usage = server.record.usage();
    let coverage = usage.coverage(&acme(), at(NOON), at(NOON + 60_000));
    let [span] = coverage.unknown() else { panic!("{coverage:?}") };
    assert_eq!((span.from, span.to, span.why), (at(NOON + 1_000), at(NOON + 9_000), Why::Silent));
    // A run that says that it leaves is missed by nobody.
    let mut server = server;
    let last = UsageReport { leaving: true, ..server.make(NOON + 61_000, Vec::new()) };
    server.record.take_in(vec![last]).await.unwrap();
    server.record.close().await;
    let server = Server::start(place, 3, NOON + 120_000).await;
    assert!(server.record.usage().coverage(&acme(), at(NOON + 9_000), at(NOON + 120_000)).is_covered());
}

#[tokio::test]
async fn a_record_that_does_not_open_is_kept_under_another_name() {
    let dir = TempDir::new().unwrap();
    let records = dir.path().join("records");
    let place = RecordPlace::usage(records.clone());
    for time in 1..=2 {
        std::fs::create_dir_all(records.join("usage")).unwrap();
        std::fs::write(records.join("usage/db"), b"not a log of sled's").unwrap();
        std::fs::write(records.join("usage/conf"), b"not a configuration of sled's").unwrap();
        let mut server = Server::start(place.clone(), time, NOON).await;
        server.report(NOON + 1_000, vec![entry("valid", 3, NOON + 500, "mailer")]).await;
        assert_eq!(server.shown(NOON).await.total.valid, 3);
        let unknown = server.record.usage().coverage(&acme(), at(NOON - 1), at(NOON + 1_000));
        assert_eq!(unknown.unknown()[0].why, Why::BeforeRecord);
        server.record.close().await;
        std::fs::remove_dir_all(records.join("usage")).unwrap();
    }
    for kept in ["usage.set-aside-1/db", "usage.set-aside-2/db"] {
        assert_eq!(std::fs::read(records.join(kept)).unwrap(), b"not a log of sled's", "{kept}");
    }
}

#[tokio::test]
async fn a_record_of_another_log_is_not_mixed_with_this_one() {
    let (_, place) = memory();
    let mut server = Server::start(place.clone(), 1, NOON).await;
    server.report(NOON + 1_000, vec![entry("valid", 3, NOON + 500, "mailer")]).await;
    server.record.close().await;
    let other = UsageRecord::open(place, LogId::from_u128(4), RunId::from_u128(2), "mail-1").await;
    let shown = other.usage().of_key(&acme(), KEY, at(NOON)).await.unwrap();
    assert_eq!(shown, KeyUsage::default());
}

#[tokio::test]
async fn who_waits_for_reports_is_told() {
    let mut server = Server::start(memory().1, 1, NOON).await;
    let mut applied = server.record.usage().applied();
    assert_eq!(applied.borrow_and_update().known_until, Some(at(NOON)));
    server.report(NOON + 1_000, vec![entry("valid", 3, NOON + 500, "mailer")]).await;
    assert!(applied.has_changed().unwrap());
    assert_eq!(*applied.borrow(), Applied { reports: 2, known_until: Some(at(NOON + 1_000)) });
}
