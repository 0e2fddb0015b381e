//! Rules on the manifests: lints for every member, the length of functions, and who may link what.

use std::collections::BTreeSet;

use toml::Table;

use crate::arrows::{Member, members};
use crate::tree::{File, hold, read, rust_files};

/// What `deny.toml` has to have a list for.
const GUARDED: [&str; 7] = ["async-nats", "axum", "clap", "prost", "redb", "sled", "ureq"];

fn table(path: &str) -> Table {
    read(path).parse().unwrap_or_else(|error| panic!("{path} is not TOML: {error}"))
}

#[test]
fn every_member_inherits_the_lints() {
    hold(members().iter().filter_map(|member| {
        let path = format!("{}/Cargo.toml", member.folder);
        (!inherits_lints(&table(&path))).then(|| format!("{path}: add `[lints]` with `workspace = true`"))
    }));
}

fn inherits_lints(manifest: &Table) -> bool {
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    lints.and_then(toml::Value::as_bool) == Some(true)
}

#[test]
fn functions_are_held_to_70_lines() {
    let threshold = table("clippy.toml").get("too-many-lines-threshold").and_then(toml::Value::as_integer);
    assert_eq!(threshold, Some(70), "clippy.toml: set too-many-lines-threshold = 70");
    let workspace = table("Cargo.toml");
    let lints = &workspace["workspace"]["lints"];
    for (group, lint) in [
        ("clippy", "too_many_lines"),
        ("clippy", "unwrap_used"),
        ("clippy", "disallowed_methods"),
        ("clippy", "print_stdout"),
        ("rust", "missing_docs"),
    ] {
        assert!(lints[group].get(lint).is_some(), "Cargo.toml: set {lint} in [workspace.lints.{group}]");
    }
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("forbid"));
}

#[test]
fn only_the_named_crates_link_what_is_guarded() {
    let deny = table("deny.toml");
    hold(linked_by_others(&deny, &members()));
    let listed: BTreeSet<&str> = guards(&deny).map(|(name, _)| name).collect();
    for name in GUARDED {
        assert!(listed.contains(name), "deny.toml: say in [bans] deny who may link {name}");
    }
}

fn guards(deny: &Table) -> impl Iterator<Item = (&str, BTreeSet<&str>)> {
    let entries = deny["bans"]["deny"].as_array().expect("bans.deny is a list");
    entries.iter().map(|entry| {
        let wrappers = entry.get("wrappers").and_then(toml::Value::as_array);
        let wrappers = wrappers.into_iter().flatten().filter_map(toml::Value::as_str).collect();
        (entry["name"].as_str().expect("each entry names a crate"), wrappers)
    })
}

fn linked_by_others(deny: &Table, members: &[Member]) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, wrappers) in guards(deny) {
        let strangers =
            members.iter().filter(|m| m.links.contains(name) && !wrappers.contains(m.name.as_str()));
        findings.extend(strangers.map(|member| {
            format!(
                "{}: only {wrappers:?} may link `{name}`; reach it through one of them, or change deny.toml and say why",
                member.name
            )
        }));
    }
    findings
}

#[test]
fn every_dependency_is_used() {
    let (workspace, members, files) = (table("Cargo.toml"), members(), rust_files());
    let offered =
        workspace["workspace"]["dependencies"].as_table().expect("the workspace offers dependencies");
    hold(untaken(offered.keys(), &members).into_iter().chain(unnamed(&members, &files)));
}

fn untaken<'a>(offered: impl Iterator<Item = &'a String>, members: &[Member]) -> Vec<String> {
    let taken = |name: &String| {
        members.iter().any(|member| member.links.contains(name) || member.uses.contains(name))
    };
    offered
        .filter(|name| !taken(name))
        .map(|name| format!("Cargo.toml: no member takes {name} from [workspace.dependencies]: remove it"))
        .collect()
}

/// Dependencies that no line of their member names.
fn unnamed(members: &[Member], files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for member in members {
        let own = format!("{}/", member.folder);
        let texts: Vec<&str> =
            files.iter().filter(|f| f.path.starts_with(&own)).map(|f| f.text.as_str()).collect();
        let is_named = |name: &str| {
            let name = name.replace('-', "_");
            texts
                .iter()
                .any(|text| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name))
        };
        let idle = member.links.union(&member.uses).filter(|name| !is_named(name));
        findings.extend(
            idle.map(|name| format!("{own}Cargo.toml: nothing in the crate names {name}: remove it")),
        );
    }
    findings
}

#[test]
fn what_is_planted_is_found() {
    let deny: Table =
        "[bans]\ndeny = [{ name = 'sled', wrappers = ['projection'] }, { name = 'openssl-sys' }]"
            .parse()
            .expect("the planted rules are TOML");
    let member = |name: &str, links: &[&str]| Member {
        name: name.to_owned(),
        folder: format!("crates/{name}"),
        uses: BTreeSet::new(),
        links: links.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(linked_by_others(&deny, &[member("projection", &["sled"])]), Vec::<String>::new());
    assert!(linked_by_others(&deny, &[member("server", &["axum", "sled"])])[0].starts_with("server: only"));
    assert_eq!(linked_by_others(&deny, &[member("cli", &["openssl-sys"])]).len(), 1);
    let file = |text: &str| [File { path: "crates/server/src/lib.rs".to_owned(), text: text.to_owned() }];
    assert_eq!(
        unnamed(&[member("server", &["tower-http"])], &file("use tower_http::trace;")),
        Vec::<String>::new()
    );
    assert_eq!(unnamed(&[member("server", &["tower-http"])], &file("use tower_http_x::trace;")).len(), 1);
    assert_eq!(
        untaken(["sled".to_owned(), "axum".to_owned()].iter(), &[member("server", &["axum"])]).len(),
        1
    );
    assert!(!inherits_lints(&"[lints]\nworkspace = false".parse().expect("TOML")));
    assert!(!inherits_lints(&Table::new()));
}
