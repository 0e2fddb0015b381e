//! Several servers announce one log on one feed, through kill -9 of the NATS server and of one of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{
    Actor, Cause, CommandId, Envelope, Environment, Event, EventId, Grant, KeyId, KeyIssued, KeyRevoked,
    Labels, Networks, Owner, OwnerTag, Personal, PersonalText, Position, RequestTag, Revision, RevokeReason,
    ScopeSet, SecretDigest, StreamName, TenantOpened, Timestamp,
};
use eventlog::jetstream::JetStream;
use eventlog::{EventLog, NewEvent, Outcome, Queue, StreamId, Unit};
use projection::stores::MemoryStores;
use projection::{Keeps, Projection, ProjectionConfig, Stage, StoredNotice};
use tests::nats::NatsServer;
use tokio::time::{sleep, timeout};

use crate::given::{PATIENCE, append_at_last, connect, outsider};

/// What becomes of every key.
const LIFE: [fn() -> Event; 2] = [
    || {
        Event::KeyIssued(Box::new(KeyIssued {
            prefix: "rsk".parse().unwrap(),
            digest: SecretDigest::from_bytes([7; 32]),
            grant: Grant {
                environment: Environment::Live,
                name: None,
                owner: Owner {
                    tag: OwnerTag::from_bytes([1; 16]),
                    name: Personal::Plain(PersonalText::name("list-sender").unwrap()),
                },
                scopes: ScopeSet::parse(["campaigns:send"]).unwrap(),
                labels: Labels::default(),
                networks: Networks::default(),
                expires_at: None,
            },
            issuer: None,
            predecessor: None,
        }))
    },
    || Event::KeyRevoked(KeyRevoked { reason: RevokeReason::Unused, note: None }),
];

fn event(id: u128, stream: &StreamName, revision: u32, event: Event) -> NewEvent {
    let envelope = Envelope {
        event_id: EventId::from_u128(id),
        stream: stream.clone(),
        revision: Revision::new(revision),
        occurred_at: Timestamp::from_millis(1_790_000_000_000),
        actor: Actor::System,
        command_id: CommandId::from_u128(id),
        request_tag: RequestTag::from_bytes([0; 16]),
        cause: Cause::Command,
        trace_context: None,
        event,
    };
    NewEvent { id: envelope.event_id, payload: Bytes::from(wire::encode(&envelope)) }
}

/// Opens two tenants, then lets keys `from..to` live and die.
async fn history(nats: &JetStream, from: u128, to: u128) {
    for n in from..to {
        let tenant = if n % 3 == 0 { "mailer" } else { "acme" }.parse().unwrap();
        let key = StreamName::Key(tenant, KeyId::from_u128(n));
        let mut expected = Position::NONE;
        for (life, revision) in LIFE.iter().zip(1..) {
            let event = event(n * 10 + u128::from(revision), &key, revision, life());
            let unit = Unit::single(StreamId::from(&key), expected, event, Queue::Normal);
            let Outcome::Appended { positions } = append_at_last(&nats.log, unit).await else {
                panic!("nobody else writes this key");
            };
            expected = positions[0];
        }
    }
}

async fn server(nats: &JetStream) -> Projection {
    let config = ProjectionConfig {
        stores: Arc::new(MemoryStores::new()),
        keeps: Keeps::Everything,
        max_staleness: Duration::from_secs(5),
    };
    let log: Arc<dyn EventLog> = nats.log.clone();
    let mut projection = Projection::start(config, log).await;
    projection.announce_on(nats.feed.clone());
    projection
}

/// What the feed should say: what a server's view of notices says.
async fn wanted(projection: &Projection, head: Position) -> Vec<StoredNotice> {
    let mut status = projection.notices().status();
    let there = status.wait_for(|status| status.stage == Stage::Ready && status.applied >= head);
    timeout(PATIENCE, there).await.expect("the view shows the head").unwrap();
    let mut notices: Vec<StoredNotice> = Vec::new();
    loop {
        let after = notices.last().map_or(Position::NONE, |notice| notice.position);
        let page = projection.notices().after(None, after, 200).await.unwrap();
        if page.is_empty() {
            return notices;
        }
        notices.extend(page);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_announce_every_notice_once_through_crashes() {
    let mut nats = NatsServer::start().await;
    let handles = [connect(&nats).await, connect(&nats).await, connect(&nats).await];
    for (n, name) in ["acme", "mailer"].into_iter().enumerate() {
        let stream = StreamName::Tenant(name.parse().unwrap());
        let opened = Event::TenantOpened(TenantOpened { name: None, prefix: "rsk".parse().unwrap() });
        let unit = Unit::single(
            StreamId::from(&stream),
            Position::NONE,
            event(n as u128 + 1, &stream, 1, opened),
            Queue::Normal,
        );
        let opened = append_at_last(&handles[0].log, unit).await;
        assert!(matches!(opened, Outcome::Appended { .. }));
    }
    history(&handles[0], 10, 60).await;
    let mut servers = Vec::new();
    for handle in &handles {
        servers.push(server(handle).await);
    }
    history(&handles[0], 60, 160).await;
    // Whoever announces now may be the one that dies.
    drop(servers.remove(0));
    history(&handles[1], 160, 260).await;
    nats.kill9();
    nats.restart().await;
    history(&handles[2], 260, 360).await;
    let wanted = wanted(&servers[0], handles[2].log.head().await.unwrap()).await;
    assert_eq!(wanted.len(), 700);

    let js = outsider(&nats.url()).await;
    let all_is_announced = async {
        while js.get_stream("RESCIND_FEED").await.unwrap().cached_info().state.messages < 700 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, all_is_announced).await.expect("all is announced");
    let stream = js.get_stream("RESCIND_FEED").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 700);
    for (sequence, notice) in (1..).zip(wanted) {
        let message = stream.get_raw_message(sequence).await.unwrap();
        assert_eq!(message.payload, notice.json, "notice {sequence}");
    }
    for server in servers {
        timeout(PATIENCE, server.stop()).await.expect("it stops");
    }
}
