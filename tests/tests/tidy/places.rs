//! Nothing in the tree belongs to one machine: no home folders, no private hosts, no private keys.

use crate::tree::{File, files, hold};

/// Whose text is not ours to change.
const NOT_OURS: [&str; 4] = ["Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "tests/package-lock.json"];

/// Folders of one machine or one person. In two halves, or this file would be found.
const MACHINE_PATHS: [[&str; 2]; 7] = [
    ["/ho", "me/"],
    ["/Us", "ers/"],
    ["/ro", "ot/"],
    ["/wo", "rk/"],
    ["/op", "t/"],
    ["/tm", "p/"],
    ["C:", "\\"],
];

/// Who may stand behind `://` as it is: loopback, and whoever publishes what we speak.
const HOSTS: [&str; 11] = [
    "api.github.com",
    "127.0.0.1",
    "[::1]",
    "0.0.0.0",
    "cloudevents.io",
    "docs.nats.io",
    "docs.rs",
    "github.com",
    "www.apache.org",
    "www.rfc-editor.org",
    "www.w3.org",
];

/// Ends and beginnings of names and addresses that are kept free for examples, or that are nobody's in particular.
const EXAMPLES: ([&str; 4], [&str; 6]) = (
    ["example.com", "example.net", "example.org", ".example"],
    ["10.", "192.0.2.", "198.51.100.", "203.0.113.", "[2001:db8:", "[fd"],
);

#[test]
fn nothing_belongs_to_one_machine() {
    hold(files().iter().flat_map(check));
}

fn check(file: &File) -> Vec<String> {
    if NOT_OURS.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let lines = file.text.lines().enumerate();
    let found = lines.flat_map(|(at, line)| check_line(line).into_iter().map(move |what| (at + 1, what)));
    found.map(|(number, what)| format!("{}:{number}: {what}", file.path)).collect()
}

fn check_line(line: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for path in MACHINE_PATHS.map(|halves| halves.concat()) {
        if begins_a_path(line, &path) {
            findings
                .push(format!("`{path}` is one machine's folder: use a relative path or a temporary folder"));
        }
    }
    for host in hosts(line).filter(|host| !is_known(host)) {
        findings
            .push(format!("`{host}` is no host of ours: use an example name, or add it to the list in tidy"));
    }
    if line.contains(&["PRIVATE ", "KEY-----"].concat()) {
        findings.push("a private key: make it when the test runs".to_owned());
    }
    findings
}

fn is_known(host: &str) -> bool {
    HOSTS.contains(&host)
        || EXAMPLES.0.iter().any(|end| host.ends_with(end))
        || EXAMPLES.1.iter().any(|beginning| host.starts_with(beginning))
}

/// `/x/` at the start of a path, not inside a longer one.
fn begins_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || "._-}>)*/".contains(before))
    })
}

/// The hosts of all URLs. A name without a dot is a placeholder, or filled in at run time.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("://").filter_map(|(at, mark)| {
        let rest = &line[at + mark.len()..];
        let host = match rest.strip_prefix('[') {
            Some(inner) => &rest[..inner.find(']').map_or(rest.len(), |end| end + 2)],
            None => {
                &rest[..rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && !".-".contains(c))
                    .unwrap_or(rest.len())]
            }
        };
        let host = host.trim_end_matches('.');
        host.contains(['.', ':']).then_some(host)
    })
}

#[test]
fn what_is_planted_is_found() {
    let planted = |line: &str| check_line(line).join("; ");
    for halves in MACHINE_PATHS {
        assert!(
            planted(&format!("see \"{}lists\"", halves.concat())).contains("machine's folder"),
            "{halves:?}"
        );
    }
    let inside = ["crates/domain/src", MACHINE_PATHS[0].concat().as_str()].concat();
    assert_eq!(planted(&inside), "");
    let private = ["registry.", "internal"].concat();
    assert!(planted(&format!("https://{private}:8080/simple")).contains(&private));
    for fine in [
        "nats://127.0.0.1:4222",
        "http://[::1]:8080/v1",
        "nats://HOST",
        "https://keys.example.com",
        "nats://10.0.0.1",
    ] {
        assert_eq!(planted(fine), "", "{fine}");
    }
    assert!(planted(&["-----BEGIN PRIVATE ", "KEY-----"].concat()).contains("private key"));
}
