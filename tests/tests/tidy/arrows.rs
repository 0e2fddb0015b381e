//! The arrows between our crates, as ARCHITECTURE.md draws them and as `cargo metadata` knows them.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::MetadataCommand;

use crate::tree::{hold, read, root};

/// A workspace member and what its manifest names, for code, build script and tests alike.
pub(crate) struct Member {
    pub(crate) name: String,
    /// Its folder from the root.
    pub(crate) folder: String,
    /// Other members.
    pub(crate) uses: BTreeSet<String>,
    /// Everybody else's crates.
    pub(crate) links: BTreeSet<String>,
}

pub(crate) fn members() -> Vec<Member> {
    let root = root();
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo describes its own workspace");
    let mut members: Vec<Member> = Vec::new();
    for package in metadata.packages {
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder");
        let folder = folder.strip_prefix(&root).expect("members lie below the root").to_string();
        let (uses, links): (Vec<_>, Vec<_>) =
            package.dependencies.into_iter().partition(|dependency| dependency.path.is_some());
        members.push(Member {
            name: package.name.to_string(),
            folder,
            uses: uses.into_iter().map(|dependency| dependency.name).collect(),
            links: links.into_iter().map(|dependency| dependency.name).collect(),
        });
    }
    members
}

#[test]
fn the_arrows_are_those_of_the_architecture() {
    hold(compare(&table(&read("ARCHITECTURE.md")), &members()));
}

/// The rows of the table whose header says "may use (ours)", by crate. `every crate` leaves a row open.
fn table(page: &str) -> BTreeMap<String, Option<BTreeSet<String>>> {
    let mut lines = page.lines().skip_while(|line| !line.contains("may use (ours)"));
    let header = lines.next().expect("ARCHITECTURE.md: keep the table with the column `may use (ours)`");
    let column = cells(header).position(|cell| cell.contains("may use (ours)")).expect("the header has it");
    let mut rows = BTreeMap::new();
    for line in lines.skip(1).take_while(|line| line.starts_with('|')) {
        let name = cells(line).next().unwrap_or_default().trim_matches('`').to_owned();
        let ours = cells(line).nth(column).unwrap_or_default();
        let named = || ours.split(',').map(|name| name.trim().trim_matches('`')).filter(|name| *name != "–");
        rows.insert(name, (ours != "every crate").then(|| named().map(str::to_owned).collect()));
    }
    rows
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.trim().trim_matches('|').split('|').map(str::trim)
}

fn compare(table: &BTreeMap<String, Option<BTreeSet<String>>>, members: &[Member]) -> Vec<String> {
    let mut findings = Vec::new();
    for member in members {
        let name = &member.name;
        if member.folder != format!("crates/{name}") && member.folder != *name {
            findings
                .push(format!("{}: a crate's folder has the crate's name, which is {name}", member.folder));
        }
        let Some(row) = table.get(name) else {
            findings
                .push(format!("ARCHITECTURE.md: give the new crate {name} a row, and say why it is needed"));
            continue;
        };
        let Some(drawn) = row else { continue };
        findings.extend(member.uses.difference(drawn).map(|used| {
            format!(
                "{name} -> {used} is a new arrow: take it back, or draw it in ARCHITECTURE.md and say why"
            )
        }));
        findings.extend(
            drawn.difference(&member.uses).map(|unused| {
                format!("ARCHITECTURE.md: {name} -> {unused} is drawn and not there: remove it")
            }),
        );
    }
    let gone = table.keys().filter(|name| !members.iter().any(|member| member.name == **name));
    findings.extend(gone.map(|name| format!("ARCHITECTURE.md: there is no crate {name}: remove its row")));
    findings
}

#[test]
fn what_is_planted_is_found() {
    let page = "| crate | may use (ours) |\n| --- | --- |\n| `wire` | `domain` |\n| `domain` | – |\n| `tests` | every crate |\n\nEnd\n";
    let drawn = table(page);
    let member = |name: &str, folder: &str, uses: &[&str]| Member {
        name: name.to_owned(),
        folder: folder.to_owned(),
        uses: uses.iter().map(ToString::to_string).collect(),
        links: BTreeSet::new(),
    };
    let domain = || member("domain", "crates/domain", &[]);
    let tests = || member("tests", "tests", &["wire"]);
    let wire = || member("wire", "crates/wire", &["domain"]);
    let found = |members: &[Member]| compare(&drawn, members).join("\n");
    assert_eq!(found(&[domain(), wire(), tests()]), "");
    assert!(found(&[member("domain", "crates/domain", &["wire"]), wire(), tests()]).contains("new arrow"));
    assert!(
        found(&[domain(), member("wire", "crates/wire", &[]), tests()]).contains("is drawn and not there")
    );
    assert!(found(&[domain(), tests()]).contains("there is no crate wire"));
    assert!(found(&[domain(), wire(), tests(), member("lists", "crates/lists", &[])]).contains("a row"));
    assert!(found(&[domain(), member("wire", "crates/speech", &["domain"]), tests()]).contains("folder"));
}
