//! Runs rows: ours and floor in turn, who begins alternates.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::machine;
use crate::names;
use crate::nats;
use crate::report::Report;
use crate::resume::Finished;
use crate::rivals::Rivals;
use crate::row::{Contest, Figures, Measure, Needs, Row};
use crate::rows;
use crate::rush::Failure;
use crate::settings::{Nats, Settings};
use crate::site::Site;
use crate::statistics::{Spread, ratios};

/// The names of all rows and what they measure.
#[must_use]
pub fn list(settings: &Settings) -> Vec<(String, String)> {
    let rows = chosen(settings, rows::all(settings));
    let lines = |row: Row| row.measures.into_iter().map(move |measure| (measure.name, row.about.clone()));
    rows.into_iter().flat_map(lines).collect()
}

/// Measures the rows that are asked for, one after the other. A row that fails is told and does not hold up the others.
///
/// # Errors
/// When there is no such row, or no place to measure in.
pub async fn run(settings: Settings) -> Result<Report, Failure> {
    let all = rows::all(&settings);
    let known = |pattern: &&String| all.iter().any(|row| means(&[pattern.trim_start_matches('!')], row));
    if let Some(unknown) = settings.rows.iter().find(|pattern| !known(pattern)) {
        return Err(format!("no row is called {unknown}: `rescind bench --list` names them").into());
    }
    let rows = chosen(&settings, all);
    let rivals = settings.rivals.as_deref().map(Rivals::read).transpose()?;
    let with = json!({
        "build": machine::build_of(&settings.program)?, "keys": settings.keys, "turns": settings.turns,
    });
    let finished = Finished::new(settings.resume.as_deref(), with)?;
    let mut report = Report::new(&settings);
    let site = Arc::new(Site::new(settings)?);
    for row in rows {
        if let Some(reason) = missing(&row, &site.settings.nats) {
            report.leave_out(row.name(), &reason);
            site.tell(&format!("{}: left out: {reason}", row.name()));
            continue;
        }
        let measured = match finished.find(row.name()) {
            Some(kept) => Ok(kept),
            None => measure(&row, &site).await,
        };
        match measured {
            Ok(measured) => {
                finished.keep(row.name(), &measured)?;
                report.add(measured, rivals.as_ref());
            }
            Err(error) => {
                site.tell(&format!("{}: failed: {error}", row.name()));
                report.fail(row.name(), &error.to_string());
            }
        }
    }
    Ok(report)
}

/// Those that a pattern means, all where there is none; without those that one means with a `!` before it.
fn chosen(settings: &Settings, rows: Vec<Row>) -> Vec<Row> {
    let (without, only): (Vec<&str>, Vec<&str>) =
        settings.rows.iter().map(String::as_str).partition(|pattern| pattern.starts_with('!'));
    let without: Vec<&str> = without.into_iter().map(|pattern| &pattern[1..]).collect();
    let wanted = |row: &Row| (only.is_empty() || means(&only, row)) && !means(&without, row);
    rows.into_iter().filter(wanted).collect()
}

/// Whether one of the patterns means the row, by the name of any of its measures.
fn means<T: AsRef<str>>(patterns: &[T], row: &Row) -> bool {
    let named = |name: &str| patterns.iter().any(|pattern| names::matches(pattern.as_ref(), name));
    row.measures.iter().any(|measure| named(&measure.name))
}

fn missing(row: &Row, nats: &Nats) -> Option<String> {
    let Needs::Nats(replicas) = row.needs else { return None };
    match nats {
        Nats::None => Some("needs NATS: say --nats-server or --nats".to_owned()),
        Nats::Binary(binary) => nats::version(binary)
            .is_none()
            .then(|| format!("{} is no nats-server that can be started", binary.display())),
        Nats::Running(urls) => {
            let fits = urls.iter().any(|url| url.split(',').count() == replicas);
            (!fits).then(|| format!("no --nats names {replicas} servers, separated by commas"))
        }
    }
}

async fn measure(row: &Row, site: &Arc<Site>) -> Result<Vec<Value>, Failure> {
    site.tell(&format!("{}: {}", row.name(), row.about));
    let load = machine::load();
    let mut contest = (row.prepare)(Arc::clone(site)).await?;
    let turns = site.settings.turns.min(row.most_turns);
    let taken = take_turns(row, &mut *contest, turns, site).await;
    let ended = contest.end().await;
    let (ours, floor) = taken?;
    ended?;
    let told = row.measures.iter().enumerate();
    let told = told.map(|(at, measure)| tell(measure, &column(&ours, at), &column(&floor, at), load));
    told.collect::<Option<_>>().ok_or_else(|| "a turn came to no figure".into())
}

/// A row that has to warm up does so when it is prepared.
async fn take_turns(
    row: &Row,
    contest: &mut dyn Contest,
    turns: usize,
    site: &Site,
) -> Result<(Vec<Figures>, Vec<Figures>), Failure> {
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for turn in 0..turns {
        // Who begins changes, so that neither always follows the other.
        if turn % 2 == 0 {
            ours.push(contest.ours().await?);
            floor.extend(contest.floor().await?);
        } else {
            floor.extend(contest.floor().await?);
            ours.push(contest.ours().await?);
        }
        for (at, measure) in row.measures.iter().enumerate() {
            let beside =
                floor.last().map(|floor| format!(", floor {}", short(floor[at]))).unwrap_or_default();
            let (name, unit) = (&measure.name, measure.unit);
            site.tell(&format!("  {name} turn {}: {}{beside} {unit}", turn + 1, short(ours[turn][at])));
        }
    }
    Ok((ours, floor))
}

fn column(turns: &[Figures], at: usize) -> Vec<f64> {
    turns.iter().map(|figures| figures[at]).collect()
}

fn tell(measure: &Measure, ours: &[f64], floor: &[f64], load: Option<f64>) -> Option<Value> {
    let told = |values: &[f64]| Spread::of(values).map(|spread| spread.to_json(measure.unit));
    let ratio = Spread::of(&ratios(ours, floor));
    Some(json!({
        "row": measure.name, "better": measure.better.as_str(), "turns": ours.len(), "load": load,
        "ours": told(ours)?, "floor": told(floor), "rival": null,
        "ratio": ratio.map(|ratio| ratio.median),
        "ratio_min": ratio.map(|ratio| ratio.min), "ratio_max": ratio.map(|ratio| ratio.max),
    }))
}

/// Three figures or more.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => grouped(value.round()),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (value, shown) in
            [(0.123, "0.12"), (12.34, "12.3"), (123.4, "123"), (1234.5, "1,235"), (7_654_321.0, "7,654,321")]
        {
            assert_eq!(short(value), shown);
        }
    }

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let settings = Settings {
            program: Default::default(),
            rows: Vec::new(),
            keys: 1_000,
            turns: 1,
            guards: vec![1, 100],
            nats: Nats::None,
            rivals: None,
            resume: None,
            tell: |_| (),
        };
        let mut names: Vec<String> = list(&settings).into_iter().map(|(name, _)| name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        let with = |rows: &[&str]| Settings {
            rows: rows.iter().map(ToString::to_string).collect(),
            ..settings.clone()
        };
        let count = |rows: &[&str]| list(&with(rows)).len();
        assert_eq!(
            [count(&["verify-hit"]), count(&["none"]), count(&["verify-hit*", "!verify-hit"])],
            [1, 0, 1]
        );
        assert_eq!(count(&["!verify-hit"]), names.len() - 1);
    }
}
