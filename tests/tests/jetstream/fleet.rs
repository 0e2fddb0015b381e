//! The registry of the fleet: one order for all who put and follow, deletions only of what is unchanged, and a channel.

use eventlog::jetstream::{FleetEntry, FleetFollower, FleetRegistry, JetStream};
use tests::nats::{NatsCluster, NatsServer};
use tokio::time::timeout;

use crate::given::{PATIENCE, config, connect, eventually, outsider};

/// Puts again what may not be there: a bucket that was just made on three nodes may have no leader for a moment.
async fn put(fleet: &FleetRegistry, name: &str, text: &str) -> u64 {
    let mut revision = 0;
    eventually("an entry is put", async || match fleet.put(name, text.into()).await {
        Ok(put) => {
            revision = put;
            true
        }
        Err(_) => false,
    })
    .await;
    revision
}

/// What was handed out until this revision, and whether all that stood at the beginning was among it.
async fn heard_until(follower: &mut FleetFollower, revision: u64) -> (Vec<FleetEntry>, bool) {
    let (mut entries, mut loaded) = (Vec::<FleetEntry>::new(), false);
    while entries.last().is_none_or(|entry| entry.revision < revision) {
        let heard = timeout(PATIENCE, follower.next()).await.expect("entries come").unwrap();
        entries.extend(heard.entries);
        loaded = heard.loaded;
    }
    (entries, loaded)
}

fn told(entries: &[FleetEntry]) -> Vec<(&str, u64, Option<&str>)> {
    entries
        .iter()
        .map(|entry| {
            let payload = entry.payload.as_deref().map(|bytes| str::from_utf8(bytes).unwrap());
            (entry.name.as_str(), entry.revision, payload)
        })
        .collect()
}

async fn entries_have_one_order_and_are_deleted_only_unchanged(
    first: &FleetRegistry,
    second: &FleetRegistry,
) {
    let mut from_start = first.follow().await.unwrap();
    let empty = timeout(PATIENCE, from_start.next()).await.unwrap().unwrap();
    assert!(empty.entries.is_empty() && empty.loaded, "an empty bucket is loaded at once");
    let one = put(first, "server.1", "a").await;
    let two = put(second, "server.2", "b").await;
    let guard = first.replace("guard.1", 0, b"of 1".to_vec()).await.unwrap().unwrap();
    assert!(one < two && two < guard);
    assert_eq!(second.replace("guard.1", 0, b"of 2".to_vec()).await.unwrap(), None, "it stands already");
    let found = second.read("guard.1").await.unwrap().unwrap();
    assert_eq!((found.revision, found.payload.as_deref()), (guard, Some(&b"of 1"[..])));
    let moved = second.replace("guard.1", guard, b"of 2".to_vec()).await.unwrap().unwrap();
    assert!(!first.delete("guard.1", guard).await.unwrap(), "it is somebody else's now");
    let again = put(first, "server.1", "a2").await;
    assert!(second.delete("server.2", two).await.unwrap());
    let last = put(second, "server.3", "c").await;

    let (live, _) = heard_until(&mut from_start, last).await;
    let live = told(&live);
    assert!(live.is_sorted_by_key(|(_, revision, _)| *revision), "{live:?}");
    for entry in [("guard.1", moved, Some("of 2")), ("server.1", again, Some("a2"))] {
        assert!(live.contains(&entry), "{live:?}");
    }
    assert!(live.iter().any(|(name, _, payload)| *name == "server.2" && payload.is_none()), "{live:?}");
    let (stands, loaded) = heard_until(&mut second.follow().await.unwrap(), last).await;
    let stands = told(&stands);
    assert!(loaded);
    let there: Vec<_> = stands.iter().filter(|(_, _, payload)| payload.is_some()).copied().collect();
    let wanted =
        [("guard.1", moved, Some("of 2")), ("server.1", again, Some("a2")), ("server.3", last, Some("c"))];
    assert_eq!(there, wanted);
    // The mark of a deletion is what the next expects.
    let mark = first.read("server.2").await.unwrap().unwrap();
    assert_eq!(mark.payload, None);
    assert!(first.replace("server.2", mark.revision, b"b2".to_vec()).await.unwrap().is_some());
}

async fn servers_hear_what_each_says(first: &FleetRegistry, second: &FleetRegistry) {
    let mut listener = second.listen().await.unwrap();
    // The subscription is on its way, and what is said before it is there is lost.
    eventually("a word arrives", async || {
        first.say("1", b"applied".to_vec()).await;
        timeout(std::time::Duration::from_millis(20), listener.hear()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn the_registry_keeps_its_order_on_one_node() {
    let server = NatsServer::start().await;
    let (first, second) = (connect(&server).await, connect(&server).await);
    entries_have_one_order_and_are_deleted_only_unchanged(&first.fleet, &second.fleet).await;
    servers_hear_what_each_says(&first.fleet, &second.fleet).await;
}

#[tokio::test]
async fn the_registry_keeps_its_order_on_three_nodes() {
    let cluster = NatsCluster::start(3).await;
    let first = JetStream::connect(config(cluster.url(), 3, 1)).await.unwrap();
    let second = JetStream::connect(config(cluster.url(), 3, 1)).await.unwrap();
    entries_have_one_order_and_are_deleted_only_unchanged(&first.fleet, &second.fleet).await;
    servers_hear_what_each_says(&first.fleet, &second.fleet).await;
}

#[tokio::test]
async fn a_follower_ends_with_its_connection_and_the_next_tells_another_bucket() {
    let mut server = NatsServer::start().await;
    let nats = connect(&server).await;
    let mut follower = nats.fleet.follow().await.unwrap();
    let identity = follower.identity();
    let one = put(&nats.fleet, "server.1", "a").await;
    heard_until(&mut follower, one).await;
    server.kill9();
    server.restart().await;
    let ended = async { while follower.next().await.is_ok() {} };
    timeout(PATIENCE, ended).await.expect("it ends");
    let mut again = None;
    eventually("it can be followed again", async || {
        again = nats.fleet.follow().await.ok();
        again.is_some()
    })
    .await;
    let mut again = again.unwrap();
    assert_eq!(again.identity(), identity);
    assert_eq!(told(&heard_until(&mut again, one).await.0), [("server.1", one, Some("a"))]);
    // Somebody deletes the bucket, and the next server makes another.
    outsider(&server.url()).await.delete_stream("KV_RESCIND_FLEET").await.unwrap();
    assert!(nats.fleet.put("server.1", b"a".to_vec()).await.is_err());
    let anew = connect(&server).await;
    assert_ne!(anew.fleet.follow().await.unwrap().identity(), identity);
}
