//! A server that is killed and started again under fifty guards, while another one revokes.

use std::time::Duration;

use tests::nats::NatsServer;
use tests::proxy::Proxy;
use tests::server::ServerSetup;
use tests::witness::Witness;
use tokio::time::Instant;

use crate::{known, settled, watch};

const GUARDS: usize = 50;
const BOUND: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_guards_of_a_server_that_is_killed_hear_what_was_revoked_meanwhile() {
    let nats = NatsServer::start().await;
    let setup = || ServerSetup::nats(&nats.url()).arg("--max-staleness").arg("3s");
    let (one, two) = (setup().start(), setup().start());
    let (first, second) = (one.admin(), two.admin_with(&one.operator_key()));
    first.open_tenant("acme");
    let credential = first.issue_credential("acme");
    let address = |url: &str| url.trim_start_matches("http://").parse().unwrap();
    let way = Proxy::start(address(one.url()));
    let mut guards = Vec::new();
    for number in 0..GUARDS {
        guards.push(
            watch(&format!("mailer-{number}"), &format!("http://{}", way.address()), &credential).await,
        );
    }
    let witness = Witness::begin(guards);
    let keys: Vec<_> = (0..4).map(|n| witness.present(first.issue("acme", &format!("sender-{n}")))).collect();
    settled(&witness, keys[3].key.position).await;
    known(&second, &keys[3].key);

    let setup = one.kill9();
    let revoke = |nth: usize| {
        let revoked = second.revoke("acme", &keys[nth].key.key_id).expect(200).json();
        keys[nth].revoked(Instant::now());
        revoked["position"].as_u64().unwrap()
    };
    revoke(0);
    let again = setup.start();
    revoke(1);
    way.lead_to(address(again.url()));
    let last = revoke(2);
    settled(&witness, last).await;
    let sight = witness.sight();
    assert_eq!(sight.had_passed, 3 * GUARDS as u64, "each had let each pass before: {sight:?}");
    assert_eq!(witness.judge(BOUND), []);
}
