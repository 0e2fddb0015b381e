//! The scene of the fault runs: three NATS nodes, two servers, five guards, and a proxy on each way that can be cut.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use guard::{Capacity, Guard, NatsFeed};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::TENANT;
use super::fault::Fault;
use crate::apart::{Apart, Doors};
use crate::proxy::Proxy;
use crate::server::{Admin, ServerSetup, TestServer};
use crate::witness::{Watched, Witness};

/// The shortest that a server takes, so that runs are short.
pub(super) const MAX_STALENESS: Duration = Duration::from_secs(2);
/// Longer than anything takes on a loaded machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a verify waits for a first sight: the next key is not to be kept waiting.
const FIRST_SIGHT: Duration = Duration::from_millis(250);
/// How late fills are that are late: below the time-out of a guard's call, with room for a loaded machine.
const LATE: Duration = Duration::from_millis(600);

/// Room of a replica: far more keys than all runs issue.
const REPLICA_KEYS: usize = 100_000;

/// How a guard hears, and of which server.
struct Role {
    name: &'static str,
    server: usize,
    over_nats: bool,
    replica: bool,
}

const fn role(name: &'static str, server: usize, over_nats: bool, replica: bool) -> Role {
    Role { name, server, over_nats, replica }
}

/// The guards.
const ROLES: [Role; 5] = [
    role("mailer", 0, false, false),
    role("lists", 1, false, false),
    role("reports", 0, true, false),
    role("sender", 1, true, false),
    role("archive", 0, false, true),
];
pub(super) const GUARDS: usize = ROLES.len();
pub(super) const SERVERS: usize = 2;

/// Everything, in the order in which it is taken down.
pub(super) struct Scene {
    pub(super) witness: Arc<Witness>,
    /// From each guard to its server.
    ways: Vec<Proxy>,
    servers: Vec<Served>,
    apart: Apart,
    runtime: Runtime,
}

/// A server and the ways to and from it.
struct Served {
    setup: ServerSetup,
    server: Option<TestServer>,
    doors: Doors,
    /// The way of the writers, which is never cut and leads to wherever the server listens.
    way: Proxy,
    admin: Admin,
}

impl Scene {
    pub(super) fn set(program: &Path) -> Self {
        let runtime = Runtime::new().expect("there are threads");
        let within = runtime.enter();
        let apart = runtime.block_on(Apart::start());
        let mut servers: Vec<Served> = Vec::new();
        for _ in 0..SERVERS {
            let key = servers.first().and_then(|first| first.server.as_ref()).map(TestServer::operator_key);
            servers.push(Served::start(&apart, program, key.as_deref()));
        }
        let admin = &servers[0].admin;
        admin.open_tenant(TENANT);
        let credential = admin.issue_credential(TENANT);
        for served in &servers {
            // Until a server has heard of it, it refuses the guards.
            let known = format!("/v1/verify?min_position={}", credential.position);
            let _ = served.admin.post(&known, &json!({"key": credential.key})).expect(200);
        }
        let ways: Vec<Proxy> =
            ROLES.iter().map(|role| Proxy::start(servers[role.server].address())).collect();
        let nats = NatsFeed::new(&apart.cluster.url());
        let guards = ROLES.iter().zip(&ways).map(|(role, way)| {
            let guard = runtime.block_on(connect(role, way, &credential.key, &nats));
            Watched { name: role.name.to_owned(), guard }
        });
        let witness = Arc::new(Witness::begin(guards.collect()));
        drop(within);
        Self { witness, ways, servers, apart, runtime }
    }

    pub(super) fn admins(&self) -> Vec<Admin> {
        self.servers.iter().map(|served| served.admin.clone()).collect()
    }

    pub(super) fn inflict(&mut self, fault: Fault) {
        match fault {
            Fault::KillNats(node) => self.apart.cluster.kill9(node),
            Fault::FreezeNats(node) => self.apart.cluster.pause(node),
            Fault::IsolateNats(node) => self.apart.isolate(node),
            Fault::CutGuard(guard) => self.ways[guard].cut(),
            Fault::HalfOpenGuard(guard) => self.ways[guard].half_open(),
            Fault::LateFills(guard) => self.ways[guard].answer_late("/v1/guard/fill", LATE),
            Fault::CutLog(server) => self.servers[server].doors.half_open(),
            Fault::KillServer(server) => {
                self.servers[server].server.take().map(TestServer::kill9);
            }
            Fault::FreezeServer(server) => self.servers[server].running().pause(),
        }
    }

    pub(super) fn heal(&mut self, fault: Fault) {
        match fault {
            Fault::KillNats(node) => self.runtime.block_on(self.apart.cluster.restart(node)),
            Fault::FreezeNats(node) => self.apart.cluster.resume(node),
            Fault::IsolateNats(_) => self.apart.rejoin(),
            // What is half open stays so: the guard has to find out, as with a router that forgot it.
            Fault::CutGuard(guard) | Fault::HalfOpenGuard(guard) | Fault::LateFills(guard) => {
                self.ways[guard].restore();
            }
            Fault::CutLog(server) => self.servers[server].doors.restore(),
            Fault::KillServer(server) => {
                let served = &mut self.servers[server];
                served.server = Some(served.setup.spawn());
                let address = served.address();
                served.way.lead_to(address);
                let ways = self.ways.iter().zip(&ROLES).filter(|(_, role)| role.server == server);
                ways.for_each(|(way, _)| way.lead_to(address));
            }
            Fault::FreezeServer(server) => self.servers[server].running().resume(),
        }
    }

    /// Waits until every server is ready.
    pub(super) fn wait_ready(&self) {
        for served in &self.servers {
            served.running().wait_ready();
        }
    }

    /// The position of the tenant's last notice: of its last event, since every event of these runs has one.
    pub(super) fn last_notice(&self) -> Result<u64, String> {
        let deadline = Instant::now() + READY_WITHIN;
        let newest = self.witness.keys().iter().map(|presented| presented.key.position).max().unwrap_or(1);
        loop {
            let answer = self.servers[0].admin.get(&format!("/v1/events?tenant={TENANT}&from={newest}"));
            let last = answer.text.lines().last().map(serde_json::from_str::<serde_json::Value>);
            if let (200, Some(Ok(event))) = (answer.status, last) {
                return Ok(event["position"].as_u64().unwrap_or_default());
            }
            if Instant::now() > deadline {
                return Err(format!("the log cannot be read: {answer:?}"));
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Served {
    fn start(apart: &Apart, program: &Path, operator_key: Option<&str>) -> Self {
        let doors = apart.doors();
        let staleness = format!("{}ms", MAX_STALENESS.as_millis());
        let setup = ServerSetup::nats(&doors.url()).program(program.to_owned());
        let setup = setup.arg("--nats-replicas").arg("3").arg("--max-staleness").arg(staleness);
        let server = setup.start();
        let way = Proxy::start(address_of(&server));
        let own = operator_key.is_none().then(|| server.operator_key());
        let admin = server.admin_with(operator_key.or(own.as_deref()).unwrap_or_default());
        let admin = admin.by(&format!("http://{}", way.address()));
        Self { setup, server: Some(server), doors, way, admin }
    }

    fn running(&self) -> &TestServer {
        self.server.as_ref().expect("it was started again")
    }

    fn address(&self) -> SocketAddr {
        address_of(self.running())
    }
}

fn address_of(server: &TestServer) -> SocketAddr {
    server.url().trim_start_matches("http://").parse().expect("a server says where it listens")
}

async fn connect(role: &Role, way: &Proxy, credential: &str, nats: &NatsFeed) -> Guard {
    let builder = Guard::builder(&format!("http://{}", way.address()), credential).tenant(TENANT);
    let builder = builder.name(role.name).connect_within(READY_WITHIN).first_sight_within(FIRST_SIGHT);
    let builder = if role.over_nats { builder.nats(nats.clone()) } else { builder };
    let builder =
        if role.replica { builder.capacity(Capacity::Replica { keys: REPLICA_KEYS }) } else { builder };
    builder.connect().await.expect("a guard connects while all is well")
}
