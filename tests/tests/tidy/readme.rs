//! The README's commands parse as they stand, and its settings are the ones that `serve` has.

use std::collections::BTreeSet;

use crate::tree::{hold, read};

/// Flags that every verb has are told of once.
const EVERYWHERE: [&str; 2] = ["help", "json"];

/// Stands in for what a shell would fill in.
const FILLED_IN: &str = "01JDA7W5W6M4Q0T3S8V2N9X1YZ";

#[test]
fn every_command_of_the_readme_parses() {
    let page = read("README.md");
    let commands = commands(&page);
    assert!(commands.len() > 10, "README.md: the tour has only {} commands", commands.len());
    hold(commands.iter().filter_map(|words| refused(words)));
}

/// A server saves its index when it is stopped: a folder that is removed meanwhile is not empty again.
#[test]
fn the_tour_waits_for_its_server_before_it_removes_the_folder() {
    let page = read("README.md");
    let (_, end) = page.split_once("kill %1").expect("the tour stops its server");
    let removed = end.find("rm -r rescind-tour").expect("the tour cleans up");
    assert!(end[..removed].contains("wait %1"), "README.md: the folder is removed while its server stops");
}

#[test]
fn the_readme_lists_the_settings_that_there_are() {
    hold(differences(&listed(&read("README.md")), &settings()));
}

/// All calls of the binary: the lines of shell blocks, and whole commands in running text.
fn commands(page: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut language = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), language) {
            (Some(name), None) => language = Some(name),
            (Some(_), Some(_)) => language = None,
            (None, Some("sh")) => found.extend(calls(line)),
            (None, Some(_)) => {}
            (None, None) => {
                let inline = line.split('`').skip(1).step_by(2);
                found.extend(
                    inline.filter(|text| text.starts_with("rescind ") && !text.contains('…')).flat_map(calls),
                );
            }
        }
    }
    found
}

/// The calls in one line of shell. `cargo run … -- demo` is a call of `rescind demo`.
fn calls(line: &str) -> Vec<Vec<String>> {
    let simple = words(line);
    let calls = simple.split(|word| word.is_none());
    calls
        .filter_map(|call| {
            let mut words = call.iter().flatten().cloned();
            let first = words.next()?;
            match first.as_str() {
                "rescind" => Some(std::iter::once(first).chain(words).collect()),
                "cargo" if call.get(1).cloned().flatten().as_deref() == Some("run") => {
                    let told = words.skip_while(|word| word != "--").skip(1);
                    Some(std::iter::once("rescind".to_owned()).chain(told).collect())
                }
                _ => None,
            }
        })
        .collect()
}

/// Words as a shell splits them; none where one simple command ends. A redirection and its file are left out, and what the
/// shell would fill in becomes [`FILLED_IN`].
fn words(line: &str) -> Vec<Option<String>> {
    let (mut words, mut word, mut quote, mut depth) = (Vec::new(), None::<String>, None, 0);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('(', _) if depth > 0 => depth += 1,
            (')', _) if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    word.get_or_insert_default().push_str(FILLED_IN);
                }
            }
            _ if depth > 0 => {}
            ('$', None | Some('"')) if rest.peek() == Some(&'(') => {
                rest.next();
                depth = 1;
            }
            (_, Some(open)) if c == open => quote = None,
            (_, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            (' ', None) => words.extend(word.take().map(Some)),
            ('|' | ';' | '&', None) => {
                words.extend(word.take().map(Some));
                words.push(None);
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.map(Some));
    without_redirections(words)
}

/// `2>&1` was cut at `&` into `2>` and `1`: both go, like `> file` and `<file`.
fn without_redirections(words: Vec<Option<String>>) -> Vec<Option<String>> {
    let mut kept = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let redirects = word
            .as_deref()
            .is_some_and(|w| w.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['<', '>']));
        if !redirects {
            kept.push(word);
        } else if word.as_deref().is_some_and(|w| w.ends_with(['<', '>'])) && words.next() == Some(None) {
            words.next();
        }
    }
    kept
}

/// What clap says against it, unless it only wants a verb that running text left out.
fn refused(words: &[String]) -> Option<String> {
    let error = cli::command().try_get_matches_from(words).err()?;
    let kind = format!("{:?}", error.kind());
    let fine =
        ["DisplayHelp", "DisplayVersion", "MissingSubcommand", "DisplayHelpOnMissingArgumentOrSubcommand"];
    let said = error.to_string();
    let said = said.lines().next().unwrap_or_default().to_owned();
    (!fine.contains(&kind.as_str()))
        .then(|| format!("README.md: `{}` does not parse: {said}", words.join(" ")))
}

/// The flag and the variable of each setting of `serve`.
fn settings() -> BTreeSet<(String, String)> {
    let command = cli::command();
    let serve = command.find_subcommand("serve").expect("`rescind serve` is there");
    let shown = serve.get_arguments().filter(|argument| !argument.is_hide_set());
    shown
        .filter_map(|argument| {
            let flag = argument.get_long().filter(|flag| !EVERYWHERE.contains(flag))?;
            let variable = argument.get_env().map_or("–".to_owned(), |name| name.display().to_string());
            Some((format!("--{flag}"), variable))
        })
        .collect()
}

/// The rows of the table that begins with flag and environment.
fn listed(page: &str) -> BTreeSet<(String, String)> {
    let rows = page.lines().skip_while(|line| !line.starts_with("| flag | environment |")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_owned());
            (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
        })
        .collect()
}

fn differences(listed: &BTreeSet<(String, String)>, there: &BTreeSet<(String, String)>) -> Vec<String> {
    let row = |(flag, variable): &(String, String)| format!("| `{flag}` | `{variable}` |");
    let absent = there
        .difference(listed)
        .map(|setting| format!("README.md: add a row {} to the settings", row(setting)));
    let gone = listed.difference(there).map(|setting| format!("README.md: `serve` has no {}", row(setting)));
    absent.chain(gone).collect()
}

#[test]
fn what_is_planted_is_found() {
    let page = "Run `rescind serve`.\n```sh\nrescind key show \"$(cut -c1 spring.key)\" > out.log 2>&1 & # now\nA=1 rescind\nrescind doctor || echo no | cat\ncargo run --release -- demo 'a b'\ncargo build\n```\n```json\nrescind\n```\n";
    let found: Vec<String> = commands(page).iter().map(|words| words.join("+")).collect();
    let shown = format!("rescind+key+show+{FILLED_IN}");
    assert_eq!(found, ["rescind+serve", &shown, "rescind+doctor", "rescind+demo+a b"]);
    let call = |line: &str| refused(&calls(line)[0]);
    assert!(call("rescind send --list spring").is_some_and(|said| said.contains("does not parse")));
    assert!(call("rescind serve --no-such-flag").is_some());
    assert_eq!(call("rescind key"), None);
    let setting = |flag: &str| BTreeSet::from([(flag.to_owned(), "–".to_owned())]);
    assert_eq!(differences(&setting("--data"), &setting("--log")).len(), 2);
    let table = "| flag | environment | default |\n| --- | --- | --- |\n| `--data` | – | x |\n\n| `--log` | – | x |\n";
    assert_eq!(listed(table), setting("--data"));
}
