//! The configuration as text: who is let in and what each may do; where each node is and how it keeps what it is given.
//!
//! Each consumer has an account of its own. What a server is told to deliver to, it delivers to, whatever the consumer may
//! publish itself; so in one account a consumer could answer for another, and in the log's it could write. Between accounts
//! nothing passes but what is listed here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::consumer::Consumer;

/// The account that holds the log. Only Rescind enters.
const ACCOUNT: &str = "RESCIND";
/// The stream of notices.
const FEED: &str = "RESCIND_FEED";
/// Where consumers find the calls of JetStream that are theirs. The usual place leads to their own account, which has none.
pub(super) const API: &str = "rescind.api";
/// As many streams as there are, and room for those to come.
const STREAMS: u32 = 32;
/// Followers, of which each server has a handful, and durables.
const CONSUMERS: u32 = 4096;
/// How the nodes of a cluster call themselves to each other.
const ROUTE_USER: &str = "rescind-route";

/// Who is let in: public keys.
pub(super) struct Users {
    pub(super) rescind: String,
    pub(super) consumers: Vec<(Consumer, String)>,
}

/// What all nodes have in common.
pub(super) struct Common {
    pub(super) port: u16,
    pub(super) cluster_port: u16,
    pub(super) monitor_port: u16,
    pub(super) store: String,
    pub(super) file_gib: u32,
    pub(super) memory_mib: u32,
    pub(super) tls: Option<Tls>,
}

pub(super) struct Tls {
    pub(super) cert: String,
    pub(super) key: String,
    pub(super) ca: String,
}

/// A server: its name and the address that it listens on.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) host: String,
}

/// `accounts.conf`, the same for every node. In a cluster each node's space counts towards the account's.
pub(super) fn accounts(users: &Users, common: &Common, nodes: usize) -> String {
    let mut text = String::from(
        "# Written by `rescind nats config`: run it again to let other consumers in.\naccounts {\n",
    );
    let (files, memory) = (common.file_gib as usize * nodes, common.memory_mib as usize * nodes);
    write(
        &mut text,
        format_args!(
            "  {ACCOUNT} {{\n    jetstream {{ max_file: {files}GB, max_mem: {memory}MB, max_streams: {STREAMS}, max_consumers: {CONSUMERS} }}\n    users: [ {{ nkey: {} }} ]\n    exports: [\n",
            users.rescind,
        ),
    );
    for (subject, accounts) in listeners(&users.consumers) {
        let accounts = accounts.join(", ");
        write(&mut text, format_args!("      {{ stream: \"{subject}\", accounts: [{accounts}] }}\n"));
    }
    for (consumer, _) in &users.consumers {
        let (account, durable) = (account(consumer), consumer.durable());
        for (call, answers) in calls(&durable) {
            write(
                &mut text,
                format_args!(
                    "      {{ service: \"$JS.API.{call}\", response_type: {answers}, accounts: [\"{account}\"] }}\n"
                ),
            );
        }
        write(
            &mut text,
            format_args!("      {{ service: \"{}\", accounts: [\"{account}\"] }}\n", acks(&durable)),
        );
    }
    text.push_str("    ]\n  }\n");
    for (consumer, user) in &users.consumers {
        push_consumer(&mut text, consumer, user);
    }
    text.push_str("}\n");
    text
}

/// The live notices and the hints of each tenant, and the accounts that may hear them.
fn listeners(consumers: &[(Consumer, String)]) -> BTreeMap<String, Vec<String>> {
    let mut listeners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (consumer, _) in consumers {
        for subject in heard(consumer) {
            listeners.entry(subject).or_default().push(format!("\"{}\"", account(consumer)));
        }
    }
    listeners
}

/// A consumer's account and its one user. The user has no leave to publish but these calls, and hears its own answers alone.
fn push_consumer(text: &mut String, consumer: &Consumer, user: &str) {
    let (account, durable, [live, hints]) = (account(consumer), consumer.durable(), heard(consumer));
    write(
        text,
        format_args!(
            "  \"{account}\" {{\n    users: [ {{ nkey: {user}, permissions: {{\n      publish: {{ allow: ["
        ),
    );
    for (call, _) in calls(&durable) {
        write(text, format_args!("\"{API}.{call}\", "));
    }
    write(
        text,
        format_args!(
            "\"{acks}\"] }}\n      subscribe: {{ allow: [\"{live}\", \"{hints}\", \"_INBOX_{durable}.>\"] }}\n    }} }} ]\n    imports: [\n      {{ stream: {{ account: {ACCOUNT}, subject: \"{live}\" }} }}\n      {{ stream: {{ account: {ACCOUNT}, subject: \"{hints}\" }} }}\n",
            acks = acks(&durable),
        ),
    );
    for (call, _) in calls(&durable) {
        write(
            text,
            format_args!(
                "      {{ service: {{ account: {ACCOUNT}, subject: \"$JS.API.{call}\" }}, to: \"{API}.{call}\" }}\n"
            ),
        );
    }
    write(
        text,
        format_args!(
            "      {{ service: {{ account: {ACCOUNT}, subject: \"{}\" }} }}\n    ]\n  }}\n",
            acks(&durable)
        ),
    );
}

/// The calls on one durable, named in full, and how many answers each has. Not among them: making a consumer, which could
/// deliver anywhere, and reading the stream directly, which is not bound to a tenant.
fn calls(durable: &str) -> [(String, &'static str); 2] {
    [
        (format!("CONSUMER.INFO.{FEED}.{durable}"), "Singleton"),
        (format!("CONSUMER.MSG.NEXT.{FEED}.{durable}"), "Stream"),
    ]
}

fn acks(durable: &str) -> String {
    format!("$JS.ACK.{FEED}.{durable}.>")
}

/// Its tenant's live notices, and the hints that go ahead of them.
fn heard(consumer: &Consumer) -> [String; 2] {
    ["live", "hints"].map(|what| format!("rescind.{what}.{}.>", consumer.tenant))
}

fn account(consumer: &Consumer) -> String {
    format!("CONSUMER_{}", consumer.durable())
}

/// The configuration of one node. `password` only where there are several.
pub(super) fn node(node: &Node, nodes: &[Node], common: &Common, password: Option<&str>) -> String {
    let Node { name, host } = node;
    let (port, cluster_port, monitor_port) = (common.port, common.cluster_port, common.monitor_port);
    let mut text = format!(
        "# Written by `rescind nats config`.\nserver_name: \"{name}\"\nlisten: \"{host}:{port}\"\n\
         # Tells everyone who reaches it how this server is set up; Rescind asks it whether it syncs.\nhttp: \"{host}:{monitor_port}\"\n",
    );
    let tls = common.tls.as_ref().map(|Tls { cert, key, ca }| {
        format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\", ca_file: \"{ca}\" }}")
    });
    if let Some(tls) = &tls {
        write(&mut text, format_args!("{tls}\n"));
    }
    write(
        &mut text,
        format_args!(
            "jetstream {{\n  store_dir: \"{}\"\n  # Acknowledged means on disk.\n  sync_interval: always\n  max_file_store: {}GB\n  max_memory_store: {}MB\n}}\n",
            common.store, common.file_gib, common.memory_mib,
        ),
    );
    if let Some(password) = password {
        write(
            &mut text,
            format_args!(
                "cluster {{\n  name: rescind\n  listen: \"{host}:{cluster_port}\"\n  # Whoever is a node is in every account.\n  authorization {{ user: {ROUTE_USER}, password: \"{password}\", timeout: 2 }}\n"
            ),
        );
        if let Some(tls) = &tls {
            write(&mut text, format_args!("  {tls}\n"));
        }
        text.push_str("  routes: [\n");
        for other in nodes.iter().filter(|other| other.name != *name) {
            let host = &other.host;
            write(
                &mut text,
                format_args!("    \"nats-route://{ROUTE_USER}:{password}@{host}:{cluster_port}\"\n"),
            );
        }
        text.push_str("  ]\n}\n");
    }
    text.push_str("include accounts.conf\n");
    text
}

fn write(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = text.write_fmt(words);
}
