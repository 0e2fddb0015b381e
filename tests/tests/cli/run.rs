//! `rescind run`: the command gets its key, and nobody else sees it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use application::{Ambient, SystemAmbient};
use domain::{Environment, KeyId, PlainSecret, Prefix, format_key};

use crate::client::rescind;

/// A key that nobody issued: `run` asks no server.
fn a_key() -> String {
    let ambient = SystemAmbient;
    let secret = PlainSecret::draw(|bytes| ambient.fill(bytes));
    let id = KeyId::from_u128(ambient.draw_ulid());
    format_key(&Prefix::default(), Environment::Live, id, &secret).expose().to_owned()
}

#[test]
fn a_command_gets_its_key_in_its_environment_alone() {
    let (first, second) = (a_key(), a_key());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lists.key");
    fs::write(&file, format!("{second}\n")).unwrap();
    let lists = format!("LISTS_KEY=@{}", file.display());
    // The command tells its whole argv, and that of its parent, and what stdin has left for it.
    let script = "printf '%s %s\\n' \"$MAILER_KEY\" \"$LISTS_KEY\"; cat; tr '\\0' ' ' < /proc/$$/cmdline; tr '\\0' ' ' < /proc/$PPID/cmdline; echo $$";
    let run = ["run", "--env", "MAILER_KEY=-", "--env", &lists, "--", "sh", "-c", script, "mailer"];
    let ended = rescind(&run).stdin(&format!("{first}\nspring list\n")).ends(0);
    let (keys, rest) = ended.stdout.split_once('\n').unwrap();
    assert_eq!(keys, format!("{first} {second}"));
    assert!(rest.starts_with("spring list\nsh -c "), "{rest}");
    assert!(!rest.contains(&first) && !rest.contains(&second) && ended.stderr.is_empty(), "{ended:?}");

    rescind(&["run", "--env", "K=-", "--", "sh", "-c", "exit 37"]).stdin(&first).ends(37);
    // No process of ours stands between: what is sent to it reaches the command.
    let mut waiting =
        rescind(&["run", "--env", "K=-", "--", "sh", "-c", "trap 'exit 41' TERM; echo up; read never"]);
    let command = waiting.command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(format!("{first}\n").as_bytes()).unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let argv = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    assert!(argv.starts_with(b"sh\0-c\0") && !String::from_utf8_lossy(&argv).contains(&first), "{argv:?}");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(41));
}

#[test]
fn while_it_waits_for_the_key_no_argument_holds_it() {
    let key = a_key();
    let mut waiting = rescind(&["run", "--env", "K=-", "--", "true"]);
    let mut child = waiting.command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // Half a key: it has to wait for the rest.
    input.write_all(&key.as_bytes()[..40]).unwrap();
    // The kernel lets us go on a moment before it shows the new program's arguments.
    let mut looks = (0..1000).map(|_| {
        thread::park_timeout(Duration::from_millis(10));
        fs::read(format!("/proc/{}/cmdline", child.id())).unwrap()
    });
    let argv = looks.find(|argv| !argv.is_empty()).expect("it has arguments");
    assert!(argv.ends_with(b"run\0--env\0K=-\0--\0true\0"), "{}", String::from_utf8_lossy(&argv));
    input.write_all(&key.as_bytes()[40..]).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_command_without_its_key_is_not_run() {
    let key = a_key();
    let folder = tempfile::tempdir().unwrap();
    let ran = folder.path().join("ran");
    let touch = |source: &str, input: &str, code| {
        let ran = ran.to_str().unwrap();
        rescind(&["run", "--env", &format!("K={source}"), "--", "touch", ran]).stdin(input).ends(code)
    };
    touch("-", "", 2).says(&["it is empty", "stdin"]);
    touch("-", "\n", 2).says(&["it is empty"]);
    touch("@nothing-there", "", 1).says(&["nothing-there"]);
    let several = folder.path().join("mailer.env");
    fs::write(&several, format!("# Rescind key\nAPI_KEY={key}\n")).unwrap();
    touch(&format!("@{}", several.display()), "", 2).says(&["several lines"]);
    let typo = format!("{}{}", &key[..key.len() - 1], if key.ends_with('0') { '1' } else { '0' });
    let refused = touch("-", &typo, 2).says(&["malformed_key", "copy the whole key again"]);
    let argument = touch(&key, "", 2).says(&["never a key itself"]);
    for ended in [&refused, &argument] {
        assert!(!ended.stderr.contains(&key[..40]), "{ended:?}");
    }
    rescind(&["run", "--env", "K=-", "--env", "L=-", "--", "true"])
        .stdin(&key)
        .ends(2)
        .says(&["two variables"]);
    rescind(&["run", "--env", "K=-"]).stdin(&key).ends(2);
    assert!(!ran.exists(), "nothing was run");

    rescind(&["run", "--env", "K=-", "--", "no-such-mailer"]).stdin(&key).ends(127).says(&["no_command"]);
    let plain = folder.path().join("mailer.env");
    rescind(&["run", "--env", "K=-", "--", plain.to_str().unwrap()])
        .stdin(&key)
        .ends(126)
        .says(&["cannot_run"]);
    // A key that came by an import has the form of where it came from.
    touch("-", "sk-imported-0123456789", 0).says(&["warning", "no key of ours"]);
    assert!(ran.exists());
}
