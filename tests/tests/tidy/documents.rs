//! ARCHITECTURE.md and the decision pages are true to the tree.

use std::collections::BTreeSet;

use crate::tree::{files, hold, read, root};

/// Decisions are read when somebody doubts them: a page each, at most so many lines.
const MAX_ADR_LINES: usize = 40;

#[test]
fn every_source_folder_is_in_the_architecture() {
    let paths: Vec<String> = files().into_iter().map(|file| file.path).collect();
    hold(unnamed(&read("ARCHITECTURE.md"), paths.iter().map(String::as_str)));
}

#[test]
fn what_the_architecture_names_is_there() {
    hold(missing(&read("ARCHITECTURE.md"), |path| root().join(path).exists()));
}

#[test]
fn the_table_of_a_new_command_names_files_that_are_there() {
    let page = read("ARCHITECTURE.md");
    let rows =
        command_table(&page).expect("ARCHITECTURE.md: keep the table under \"What a new command touches\"");
    assert!(rows.len() >= 4, "ARCHITECTURE.md: a new command touches more than {} files", rows.len());
    hold(rows.iter().filter(|path| !root().join(path).is_file()).map(|path| {
        format!(
            "ARCHITECTURE.md: {path} is in the table of a new command and is no file: name the one it became"
        )
    }));
}

#[test]
fn every_decision_has_its_three_parts() {
    let pages: Vec<_> = files().into_iter().filter(|file| file.path.starts_with("docs/adr/")).collect();
    assert!(!pages.is_empty(), "docs/adr holds the decisions");
    hold(pages.iter().flat_map(|page| decision(&page.path, &page.text)));
}

#[test]
fn every_link_leads_somewhere() {
    let pages: Vec<_> = files().into_iter().filter(|file| file.path.ends_with(".md")).collect();
    let there = |path: &str| root().join(path).exists();
    hold(pages.iter().flat_map(|page| dead_links(&page.path, &page.text, there)));
}

#[test]
fn every_recipe_runs_what_is_there() {
    hold(absent_targets(&read("justfile"), |path| root().join(path).exists()));
}

/// Binaries and integration tests of package `tests` that a recipe names and that are no file.
fn absent_targets(recipes: &str, is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let words: Vec<&str> = recipes.split_whitespace().collect();
    let named = words.windows(2).filter_map(|pair| match pair[0] {
        "--bin" => Some(format!("tests/src/bin/{}.rs", pair[1])),
        "--test" => Some(format!("tests/tests/{}/main.rs", pair[1])),
        _ => None,
    });
    let absent = named.filter(|path| !is_there(path));
    absent
        .map(|path| format!("justfile: a recipe runs {path}, which is not there: remove it or name another"))
        .collect()
}

/// Relative links of a page to what is not there. A part of a page is not looked for.
fn dead_links(page: &str, text: &str, is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = page.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let paths = targets
        .filter(|target| !target.contains("://"))
        .map(|target| target.split('#').next().unwrap_or(target));
    let dead = paths.filter(|path| !path.is_empty() && !is_there(&format!("{folder}{path}")));
    dead.map(|path| format!("{page}: the link to {path} leads nowhere")).collect()
}

/// Texts in backticks that are paths of this tree.
fn named(page: &str) -> BTreeSet<&str> {
    let inside = page.split('`').skip(1).step_by(2).map(|text| text.trim_end_matches('/'));
    let tops = ["crates", "tests", "proto", "docs", "examples", ".ci"];
    inside
        .filter(|text| tops.contains(&text.split('/').next().unwrap_or_default()))
        .filter(|text| !text.contains(['<', '*', ' ', '{', '…', ':']))
        .collect()
}

fn unnamed<'a>(page: &str, paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    let named = named(page);
    let folders: BTreeSet<&str> = paths
        .filter(|path| !is_module_test(path))
        .filter_map(|path| path.rsplit_once('/'))
        .map(|(folder, _)| folder.strip_suffix("/src").unwrap_or(folder))
        .collect();
    let unnamed = folders.into_iter().filter(|folder| !named.contains(folder));
    unnamed.map(|folder| format!("ARCHITECTURE.md: say in the code map what `{folder}` is for")).collect()
}

/// `judge/tests.rs`, `projection/src/tests/whole.rs`: a module's tests need no line of their own.
fn is_module_test(path: &str) -> bool {
    path.split_once("/src/").is_some_and(|(_, inside)| inside.split(['/', '.']).any(|name| name == "tests"))
}

fn missing(page: &str, is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let gone = named(page).into_iter().filter(|path| !is_there(path));
    gone.map(|path| format!("ARCHITECTURE.md: `{path}` is not there: remove it, or name what it became"))
        .collect()
}

/// The paths in the first table after the heading.
fn command_table(page: &str) -> Option<BTreeSet<&str>> {
    let mut lines = page.lines();
    lines.find(|line| line.starts_with('#') && line.ends_with("What a new command touches"))?;
    let rows = lines.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    Some(rows.flat_map(named).collect())
}

fn decision(path: &str, text: &str) -> Vec<String> {
    let parts = ["## Problem", "## Decision", "## Consequences"];
    let absent = parts.iter().filter(|part| !text.lines().any(|line| line == **part));
    let mut findings: Vec<String> = absent.map(|part| format!("{path}: add the part `{part}`")).collect();
    let lines = text.lines().count();
    if lines > MAX_ADR_LINES {
        findings.push(format!("{path}: {lines} lines; say it in {MAX_ADR_LINES}"));
    }
    findings
}

#[test]
fn what_is_planted_is_found() {
    let page = "Code: `crates/wire`, `proto/rescind/v1/`, `crates/<name>`, `cargo run`.\n";
    let tree = [
        "crates/wire/src/lib.rs",
        "crates/wire/src/tags/tests.rs",
        "crates/wire/src/tests/whole.rs",
        "proto/rescind/v1/event.proto",
        "Cargo.toml",
    ];
    assert_eq!(unnamed(page, tree.into_iter()), Vec::<String>::new());
    let lists = ["crates/wire/src/lists/mod.rs"];
    assert!(unnamed(page, lists.into_iter())[0].contains("`crates/wire/src/lists`"));
    assert!(
        unnamed(page, ["crates/wir/src/a.rs"].into_iter())[0].contains("`crates/wir`"),
        "a part is no name"
    );
    let links = "[a](b.md) [c](d.md#e) [f](#g) [h](https://docs.rs/x)";
    assert_eq!(dead_links("docs/a.md", links, |path| path == "docs/b.md").len(), 1);
    assert_eq!(absent_targets("run --bin sim -- --seeds 1\ntest --test golden", |_| false).len(), 2);
    assert_eq!(missing(page, |path| path == "crates/wire").len(), 1);
    let table = "# A\n## What a new command touches\n\n| file | what |\n| --- | --- |\n| `crates/a.rs` | it |\n\n| `crates/b.rs` | no |\n";
    assert_eq!(command_table(table), Some(BTreeSet::from(["crates/a.rs"])));
    assert_eq!(command_table(page), None);
    assert_eq!(decision("docs/adr/1.md", "# A\n## Problem\n## Decision\n").len(), 1);
    assert_eq!(decision("docs/adr/1.md", &"## Problem\n## Decision\n## Consequences\n".repeat(14)).len(), 1);
}
