//! The command line as a whole: every verb can be learned from its help, and none takes a secret as an argument.

use super::*;

/// Verbs that print no data of ours: a script of the shell's own, rules of a scanner's own, whatever the command prints.
const WITHOUT_JSON: [&str; 3] = ["completions", "run", "scanner-rules"];

fn leaves(command: &Command, path: &str, visit: &mut dyn FnMut(&str, &Command)) {
    let verbs: Vec<_> = command.get_subcommands().filter(|verb| verb.get_name() != "help").collect();
    if verbs.is_empty() {
        visit(path.trim(), command);
    }
    for verb in verbs {
        leaves(verb, &format!("{path} {}", verb.get_name()), visit);
    }
}

fn each_leaf(mut visit: impl FnMut(&str, &Command)) {
    let mut command = command();
    command.build();
    leaves(&command, "", &mut visit);
}

#[test]
fn the_command_line_holds_together() {
    command().debug_assert();
}

#[test]
fn every_verb_has_an_example_of_itself() {
    each_leaf(|path, verb| {
        let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Example"), "{path} has no example");
        assert!(help.contains(&format!("rescind {path}")), "{path}: the example is of something else");
        assert!(verb.get_about().is_some(), "{path} does not say what it is for");
    });
}

#[test]
fn every_example_parses() {
    let mut examples = Vec::new();
    each_leaf(|_, verb| {
        let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().filter_map(|line| line.find("rescind ").map(|at| line[at..].to_owned()));
        examples.extend(lines.filter(|line| !line.starts_with("rescind serve'") && help.contains(line)));
    });
    assert!(examples.len() > 8, "{examples:?}");
    for example in examples {
        let words = shell_words(&example);
        command().try_get_matches_from(&words).map_err(|error| format!("{example}: {error}")).unwrap();
    }
}

/// Splits as a shell does, up to a pipe, a redirection or a remark in parentheses.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            '|' | '>' | '(' | '&' if !quoted => break,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("there is always one").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_verb_that_prints_data_prints_json() {
    each_leaf(|path, verb| {
        let json = verb.get_arguments().any(|arg| arg.get_long() == Some("json"));
        assert_eq!(json, !WITHOUT_JSON.contains(&path), "{path}");
    });
}

#[test]
fn no_argument_takes_a_secret() {
    each_leaf(|path, verb| {
        for arg in verb.get_arguments() {
            let long = arg.get_long().unwrap_or_default();
            let names = arg.get_value_names().unwrap_or_default();
            let public = names.iter().any(|name| matches!(name.as_str(), "KEY_ID" | "FILE"));
            let secret = ["key", "secret", "token", "password"].iter().any(|word| long.ends_with(word));
            assert!(!secret || public, "{path} --{long}");
        }
    });
}

#[test]
fn no_help_shows_what_the_environment_holds() {
    each_leaf(|path, verb| {
        for arg in verb.get_arguments().filter(|arg| arg.get_env().is_some()) {
            assert!(arg.is_hide_env_values_set(), "{path} {} would show its value", arg.get_id());
        }
    });
}

#[test]
fn what_was_typed_in_place_of_a_key_is_not_parsed_away() {
    let matches = command().try_get_matches_from(["rescind", "key", "verify", "rsk_live_x"]);
    assert!(matches.is_ok(), "it is refused later, in words that do not repeat it");
}
