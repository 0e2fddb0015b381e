//! Rules on the text of every Rust file: its first line, its length, its name, and what it may not say.

use crate::tree::{hold, rust_files};

const MAX_LINES: usize = 600;

/// Texts that no Rust file contains, and what to do instead. Written in two halves, or this file would be found.
const BANNED: [([&str; 2], &str); 6] = [
    (["to", "do!("], "finish it, or leave it out"),
    (["unimple", "mented!("], "finish it, or leave it out"),
    (["db", "g!("], "use tracing, or remove it"),
    (["#[igno", "re"], "a test runs or goes; long runs are binaries of their own"),
    (["#[should_", "panic"], "catch the panic and look at its message, or return the error"),
    (["[allo", "w("], "use #[expect(…, reason = \"…\")], which complains when it is no longer needed"),
];

/// Whose paths begin like this may put a thread to sleep, and why there is nothing to wait on.
const SLEEPERS: [(&str, &str); 2] = [
    ("crates/cli/src/", "a blocking client waits before it asks again"),
    (
        "crates/projection/src/tree/sled_tree.rs",
        "another process gives up sled's lock without telling anybody",
    ),
];

/// Words that mark unfinished work, wherever they stand.
const UNFINISHED: [[&str; 2]; 4] = [["FIX", "ME"], ["XX", "X"], ["TO", "DO"], ["HA", "CK"]];

/// File and folder names that say nothing.
const EMPTY_NAMES: [&str; 9] =
    ["utils", "util", "common", "helpers", "helper", "manager", "managers", "misc", "stuff"];

#[test]
fn every_rust_file_keeps_to_the_source_rules() {
    let files = rust_files();
    assert!(files.len() > 30, "the walk found only {} Rust files", files.len());
    hold(files.iter().flat_map(|file| check(&file.path, &file.text)));
}

fn check(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//! ") {
        findings.push(format!("{path}:1: begin with `//!` and one sentence on what the file is for"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.push(format!("{path}: {lines} lines; split it by purpose, {MAX_LINES} is the most"));
    }
    if let Some(name) = path.trim_end_matches(".rs").split('/').find(|name| EMPTY_NAMES.contains(name)) {
        findings.push(format!("{path}: `{name}` says nothing; name it after what it does"));
    }
    if let Some(name) = path.trim_end_matches(".rs").rsplit('/').next().filter(|name| is_second(name)) {
        findings.push(format!("{path}: `{name}` stands beside a first one; replace it instead"));
    }
    let sleep = ["thread::sle", "ep("].concat();
    if text.contains(&sleep) && !SLEEPERS.iter().any(|(sleeper, _)| path.starts_with(sleeper)) {
        findings
            .push(format!("{path}: no `{sleep}`: await a position or a condition with a bounded time-out"));
    }
    for (number, line) in text.lines().enumerate() {
        findings.extend(check_line(line).map(|what| format!("{path}:{}: {what}", number + 1)));
    }
    findings.extend(check_attributes(path, text));
    findings
}

fn check_line(line: &str) -> impl Iterator<Item = String> {
    let banned = BANNED.iter().filter_map(|(halves, instead)| {
        let text = halves.concat();
        line.contains(&text).then(|| format!("no `{text}`: {instead}"))
    });
    let unfinished = UNFINISHED.iter().filter_map(|halves| {
        let word = halves.concat();
        words(line)
            .any(|found| found == word)
            .then(|| format!("no `{word}`: do it now, or write down why not"))
    });
    let second = words(line)
        .filter(|word| is_second(word))
        .map(|word| format!("`{word}` stands beside a first one; replace it instead"));
    banned.chain(unfinished).chain(second)
}

/// A version, or its age, at the end of a name: a second way beside a first one.
fn is_second(word: &str) -> bool {
    let ends = |end: &str| word.len() > end.len() && word.ends_with(end);
    ends("_v2") || ends("V2") || ends("_v3") || ends("V3") || ends("_old") || ends("_legacy")
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// An exception gives its reason; a span never records its arguments, which may be secrets.
fn check_attributes(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (at, _) in text.match_indices("#[").chain(text.match_indices("#![")) {
        let attribute = &text[at..];
        let name = attribute.trim_start_matches(['#', '!', '[']);
        let attribute = &attribute[..attribute.find("]\n").map_or(attribute.len(), |end| end + 1)];
        let line = text[..at].matches('\n').count() + 1;
        if name.starts_with("expect(") && !attribute.contains("reason = ") {
            findings.push(format!("{path}:{line}: give #[expect] a `reason`"));
        }
        let spans = name.starts_with("instrument") || name.starts_with("tracing::instrument");
        if spans && !attribute.contains("skip_all") {
            findings
                .push(format!("{path}:{line}: give #[instrument] `skip_all` and name the fields to record"));
        }
    }
    findings
}

#[track_caller]
fn finds(path: &str, text: &str, expected: &str) {
    let found = check(path, text);
    assert!(found.iter().any(|finding| finding.contains(expected)), "{expected} is not among {found:?}");
}

#[test]
fn what_is_planted_is_found() {
    let sound = "//! Sends campaigns.\n\nfn send() {}\n";
    assert_eq!(check("crates/domain/src/send.rs", sound), Vec::<String>::new());
    finds("a.rs", "fn send() {}\n", "a.rs:1: begin with");
    finds("a.rs", &"//! Long.\n".repeat(MAX_LINES + 1), "601 lines");
    finds("crates/x/src/utils.rs", sound, "`utils` says nothing");
    finds("crates/x/src/helpers/lists.rs", sound, "`helpers` says nothing");
    finds(&["crates/x/src/send", "_v2.rs"].concat(), sound, "stands beside");
    for (halves, instead) in BANNED {
        finds("a.rs", &format!("//! Sends.\n{}\n", halves.concat()), instead);
    }
    finds("a.rs", &format!("//! Sends.\n{}1);", ["thread::sle", "ep("].concat()), "await a position");
    for halves in UNFINISHED {
        finds("a.rs", &format!("//! Sends.\n// {}: lists\n", halves.concat()), "do it now");
    }
    finds("a.rs", &format!("//! Sends.\nstruct Send{};\n", "V2"), "replace it instead");
}

#[test]
fn planted_attributes_are_found() {
    let with = |attribute: &str| format!("//! Sends.\n\n{attribute}\nfn send() {{}}\n");
    let exception = ["#[exp", "ect(clippy::too_many_lines)]"].concat();
    finds("a.rs", &with(&exception), "a.rs:3: give #[expect] a `reason`");
    let reasoned = ["#[exp", "ect(\n    clippy::too_many_lines,\n    reason = \"one table\"\n)]"].concat();
    assert_eq!(check("a.rs", &with(&reasoned)), Vec::<String>::new());
    finds("a.rs", &with(&["#[instru", "ment]"].concat()), "`skip_all`");
    finds("a.rs", &with(&["#[tracing::instru", "ment(fields(list))]"].concat()), "`skip_all`");
    let quiet = ["#[instru", "ment(skip_all, fields(list))]"].concat();
    assert_eq!(check("a.rs", &with(&quiet)), Vec::<String>::new());
}
