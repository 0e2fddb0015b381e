//! `/metrics`: counts and times for Prometheus; no label ever holds a tenant, a key or a path.

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use ::verify::Verdict;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{Position, Timestamp};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::time::timeout;

use crate::fleet::MemberState;
use crate::http::app::App;
use crate::http::codes;
use crate::http::edge::Class;
use crate::http::extract::Shared;
use crate::http::fleet::states;
use crate::http::problem::Problem;
use crate::http::rebuild::{COMPARING, COMPARISONS};
use crate::logging::lines_lost;
use crate::notary::Notary;
use crate::webhooks::State as WebhookState;

const REQUESTS: &str = "rescind_http_request_seconds";
const VERIFIES: &str = "rescind_verify_total";
const COMMANDS: &str = "rescind_command_seconds";
const FEED_CLIENTS: &str = "rescind_feed_clients";
const FEEDS_STUCK: &str = "rescind_feeds_stuck_total";
const FEEDS_BEHIND: &str = "rescind_feeds_behind_total";
const FEED_NOTICES: &str = "rescind_feed_notices_total";
const HEAD: &str = "rescind_log_head_position";
const LAG: &str = "rescind_projection_lag_events";
const LEASE_AGE: &str = "rescind_lease_age_seconds";
const SKEW: &str = "rescind_clock_skew_seconds";
const KEYS: &str = "rescind_index_keys";
const INDEX_BYTES: &str = "rescind_index_bytes";
const EXPIRIES: &str = "rescind_expiries_total";
const GUARDS: &str = "rescind_fleet_guards";
const WEBHOOKS: &str = "rescind_webhooks";
const WEBHOOK_ATTEMPTS: &str = "rescind_webhook_attempts_total";
const WEBHOOK_DEAD_LETTERS: &str = "rescind_webhook_dead_letters_total";
const NOTARY_CHECKPOINT: &str = "rescind_notary_checkpoint_position";
const NOTARY_AGE: &str = "rescind_notary_checkpoint_age_seconds";
const NOTARY_LAG: &str = "rescind_notary_lag_events";
const NOTARY_FAILURES: &str = "rescind_notary_failures_total";
const BUILD: &str = "rescind_build_info";
const LOG_LINES_LOST: &str = "rescind_log_lines_lost_total";

/// All routes of gateways as one, with any method.
const GATEWAY_ROUTE: &str = "/v1/authz";
const ANY_METHOD: &str = "ANY";

/// Upper bounds of the histograms' buckets, in seconds: from a verify to the longest command.
const BUCKETS: [f64; 16] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// The exporter keeps every single measurement until it is asked to sum them up; at 100,000 a second this is 4 MB.
pub(crate) const SUM_UP_EVERY: Duration = Duration::from_secs(5);

/// How long a scrape waits for the log's head.
const HEAD_WITHIN: Duration = Duration::from_millis(500);

/// One recorder a process, however many nodes it runs: the metrics of two nodes in one process add up.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// The metrics that are written in the way of requests, looked up once.
pub(crate) struct Meters {
    recorder: PrometheusHandle,
    verdicts: [Counter; Verdict::ALL.len()],
    verify_requests: Histogram,
    gateway_requests: Histogram,
    pub(crate) feed_clients: Gauge,
    pub(crate) feed_notices: Counter,
    pub(crate) feeds_stuck: Counter,
    pub(crate) feeds_behind: Counter,
    pub(crate) expiries: Counter,
    /// Received, failed.
    pub(crate) webhook_attempts: [Counter; 2],
    pub(crate) webhook_dead_letters: Counter,
}

impl Meters {
    /// Installs the recorder if this is the first node, and looks up the metrics.
    pub(crate) fn new() -> Self {
        let recorder = RECORDER.get_or_init(|| {
            let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).expect("there are buckets");
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if ::metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is in this process; /metrics shows nothing");
            }
            describe();
            gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            handle
        });
        Self {
            recorder: recorder.clone(),
            verdicts: Verdict::ALL.map(|verdict| counter!(VERIFIES, "verdict" => verdict.as_str())),
            verify_requests: histogram!(REQUESTS, "route" => "/v1/verify", "method" => "POST", "status" => "200"),
            gateway_requests: histogram!(REQUESTS, "route" => GATEWAY_ROUTE, "method" => ANY_METHOD, "status" => "200"),
            feed_clients: gauge!(FEED_CLIENTS),
            feed_notices: counter!(FEED_NOTICES),
            feeds_stuck: counter!(FEEDS_STUCK),
            feeds_behind: counter!(FEEDS_BEHIND),
            expiries: counter!(EXPIRIES),
            webhook_attempts: ["received", "failed"]
                .map(|outcome| counter!(WEBHOOK_ATTEMPTS, "outcome" => outcome)),
            webhook_dead_letters: counter!(WEBHOOK_DEAD_LETTERS),
        }
    }

    /// A request was answered. `route` is its pattern, of which there are few.
    pub(crate) fn request(
        &self,
        class: Class,
        method: &Method,
        route: &str,
        status: StatusCode,
        took: Duration,
    ) {
        if class == Class::Verify && status == StatusCode::OK && route == "/v1/verify" {
            return self.verify_requests.record(took.as_secs_f64());
        }
        // Gateways pass their clients' methods on, of which there can be any number.
        let (route, method) = if route.starts_with(GATEWAY_ROUTE) {
            if status == StatusCode::OK {
                return self.gateway_requests.record(took.as_secs_f64());
            }
            (GATEWAY_ROUTE, ANY_METHOD)
        } else {
            (route, method.as_str())
        };
        let status = status.as_str().to_owned();
        let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status)];
        histogram!(REQUESTS, &labels).record(took.as_secs_f64());
    }

    /// A verdict was given.
    pub(crate) fn verdict(&self, verdict: Verdict) {
        self.verdicts[verdict as usize].increment(1);
    }

    /// A command ended, with `ok` or an error's code.
    pub(crate) fn command(&self, command: &'static str, code: &'static str, took: Duration) {
        histogram!(COMMANDS, "command" => command, "code" => code).record(took.as_secs_f64());
    }

    /// Sums up what was measured; to be called every [`SUM_UP_EVERY`].
    pub(crate) fn sum_up(&self) {
        self.recorder.run_upkeep();
    }
}

fn describe() {
    describe_histogram!(REQUESTS, Unit::Seconds, "Time to answer a request, by route, method and status.");
    describe_counter!(VERIFIES, "Verdicts given, by verdict.");
    describe_histogram!(
        COMMANDS,
        Unit::Seconds,
        "Time of a command from decision to durable, by command and code."
    );
    describe_gauge!(FEED_CLIENTS, "Feeds open now.");
    describe_counter!(
        FEEDS_STUCK,
        "Connections of feeds that were closed because their client took nothing."
    );
    describe_counter!(
        FEEDS_BEHIND,
        "Times that a feed fell out of the live notices and went on from the view."
    );
    describe_counter!(FEED_NOTICES, "Notices sent to feeds.");
    describe_gauge!(HEAD, "The log's last position.");
    describe_gauge!(LAG, "Events that the index or a view has yet to take in, by view.");
    describe_gauge!(
        LEASE_AGE,
        Unit::Seconds,
        "Age of the proof that everything was heard; -1 when there never was one."
    );
    describe_gauge!(SKEW, Unit::Seconds, "By how much this server's clock is ahead of the log's.");
    describe_gauge!(KEYS, "Keys in the index.");
    describe_gauge!(INDEX_BYTES, Unit::Bytes, "Memory of the key index.");
    describe_counter!(EXPIRIES, "Expiries recorded by this server.");
    describe_gauge!(GUARDS, "Guards that this server knows, by state.");
    describe_gauge!(WEBHOOKS, "Webhooks of this server, by state; alert on disabled.");
    describe_counter!(WEBHOOK_ATTEMPTS, "Attempts to send a notice to a webhook, by outcome.");
    describe_counter!(WEBHOOK_DEAD_LETTERS, "Notices that webhooks gave up.");
    describe_gauge!(NOTARY_CHECKPOINT, "The last position that the log's checkpoint covers, on its notary.");
    describe_gauge!(
        NOTARY_AGE,
        Unit::Seconds,
        "Age of that checkpoint, which is signed anew each hour at least; -1 when there is none. Alert above two hours."
    );
    describe_gauge!(NOTARY_LAG, "Events that no checkpoint covers yet.");
    describe_counter!(NOTARY_FAILURES, "How often the notary could not go on.");
    describe_counter!(LOG_LINES_LOST, "Log lines that stderr did not take.");
    describe_gauge!(BUILD, "Always 1; the label tells the version.");
    // Written by the projection.
    describe_gauge!("rescind_index_applied_position", "The position that the key index has taken in.");
    describe_gauge!("rescind_view_applied_position", "The position that each view has taken in.");
    describe_counter!("rescind_view_rebuilds_total", "How often a view was set aside and rebuilt.");
    describe_counter!(
        COMPARISONS,
        "Comparisons of the index or a view with the log, by view and result; alert on differs."
    );
    describe_gauge!(COMPARING, "1 while such a comparison goes on.");
    describe_counter!("rescind_quarantined_events_total", "Events that this build could not read.");
}

/// Shows all metrics.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", operation_id = "metrics", security(()),
    responses((status = 200, description = "Prometheus text", content_type = "text/plain", body = String)),
)]
pub(crate) async fn show(State(app): State<Shared>) -> Response {
    observe(&app).await;
    let text = app.meters.recorder.render();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    if text.is_empty() {
        return Problem::new(&codes::INTERNAL).into_response();
    }
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// What is only looked at when somebody asks.
async fn observe(app: &App) {
    let guards = states(app);
    for state in MemberState::ALL {
        let count = guards.iter().filter(|held| **held == state).count();
        gauge!(GUARDS, "state" => state.as_str()).set(count as f64);
    }
    let head = timeout(HEAD_WITHIN, app.log.head()).await.ok().and_then(Result::ok);
    if let Some(head) = head {
        gauge!(HEAD).set(head.get() as f64);
        for progress in app.projection.upgrade().map(|projection| projection.progress()).unwrap_or_default() {
            let lag = head.get().saturating_sub(progress.status.applied.get());
            gauge!(LAG, "view" => progress.name).set(lag as f64);
        }
    }
    if let Some(notary) = &app.notary {
        observe_notary(notary, head, app.ambient.now());
    }
    let boot_ms = app.ambient.boot_ms();
    let age = app.index.proven_at().map_or(-1.0, |at| boot_ms.saturating_sub(at) as f64 / 1000.0);
    gauge!(LEASE_AGE).set(age);
    gauge!(SKEW).set(app.lease.skew_ms() as f64 / 1000.0);
    gauge!(KEYS).set(app.index.key_count() as f64);
    gauge!(INDEX_BYTES).set(app.index.memory_bytes() as f64);
    let webhooks = app.webhooks.list(None);
    for state in WebhookState::ALL {
        let count = webhooks.iter().filter(|(_, webhook)| webhook.state() == state).count();
        gauge!(WEBHOOKS, "state" => state.as_str()).set(count as f64);
    }
    counter!(LOG_LINES_LOST).absolute(lines_lost());
}

fn observe_notary(notary: &Notary, head: Option<Position>, now: Timestamp) {
    let covers = notary.covers();
    gauge!(NOTARY_CHECKPOINT).set(covers.get() as f64);
    let age = notary.published().map_or(-1.0, |last| last.age_ms(now) as f64 / 1000.0);
    gauge!(NOTARY_AGE).set(age);
    if let Some(head) = head {
        gauge!(NOTARY_LAG).set(head.get().saturating_sub(covers.get()) as f64);
    }
    counter!(NOTARY_FAILURES).absolute(notary.going().failures);
}
