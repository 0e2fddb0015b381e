//! `rescind bench` from outside: which rows there are, and the shape of what it measured.

use serde_json::Value;

use crate::client::rescind;

/// Rows that need little time, one of each family that needs nothing but this machine.
const CHEAP: &str = "verify-hit,verify-mistyped,verify-http-1,issue-embedded-64";

#[test]
fn cheap_rows_are_measured_beside_their_floors() {
    let run = rescind(&["bench", "--rows", CHEAP, "--keys", "1000", "--turns", "2", "--json"]).ends(0);
    assert!(run.stderr.contains("verify-hit turn 2"), "progress goes to stderr: {}", run.stderr);
    let told = run.json();
    assert_eq!((&told["keys"], &told["turns"]), (&1000.into(), &2.into()));
    assert!(told["machine"]["cores"].as_u64().is_some_and(|cores| cores > 0));
    let rows = told["rows"].as_array().unwrap();
    let mut names: Vec<&str> = rows.iter().filter_map(|row| row["row"].as_str()).collect();
    names.sort_unstable();
    let mut asked: Vec<&str> = CHEAP.split(',').collect();
    asked.sort_unstable();
    assert_eq!(names, asked);
    for row in rows {
        for side in ["ours", "floor"] {
            let figure =
                |name: &str| row[side][name].as_f64().unwrap_or_else(|| panic!("{side} {name}: {row}"));
            let (min, median, max) = (figure("min"), figure("median"), figure("max"));
            assert!(0.0 < min && min <= median && median <= max, "{row}");
            assert!(row[side]["unit"].is_string(), "{row}");
        }
        assert!(row["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0), "{row}");
        assert_eq!(row["rival"], Value::Null);
    }
}

#[test]
fn rows_are_named_and_unknown_ones_refused() {
    let listed = rescind(&["bench", "--list", "--rows", "verify-*", "--json"]).ends(0).json();
    let rows = listed["rows"].as_array().unwrap();
    assert!(rows.len() > 5 && rows.iter().all(|row| row["row"].as_str().unwrap().starts_with("verify-")));
    rescind(&["bench", "--rows", "verify-dream"]).ends(1).says(&["verify-dream", "--list"]);
    rescind(&["bench", "--keys", "10"]).ends(2).says(&["1000"]);
}

#[test]
fn a_run_that_was_stopped_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (place, page) = (folder.path().join("kept"), folder.path().join("page.md"));
    let arguments =
        ["bench", "--rows", "verify-mistyped", "--keys", "1000", "--turns", "1", "--json", "--resume"];
    let bench = || {
        let mut run = rescind(&arguments);
        run.command.arg(&place).arg("--out").arg(&page);
        run.ends(0)
    };
    let (first, second) = (bench(), bench());
    assert!(first.stderr.contains("turn 1") && !second.stderr.contains("turn 1"), "{}", second.stderr);
    assert_eq!(first.json()["rows"], second.json()["rows"], "the finished row is the same");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("| verify-mistyped |") && page.contains("commit"), "{page}");
}
