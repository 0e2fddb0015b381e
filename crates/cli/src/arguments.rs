//! The command line: which verbs there are, and the one place where a run ends.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::audit::AuditVerb;
use crate::backup::BackupVerb;
use crate::bench::Bench;
use crate::completions::Completions;
use crate::demo::Demo;
use crate::doctor::Doctor;
use crate::erase::Erase;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::import::Import;
use crate::key::KeyVerb;
use crate::leak::LeakVerb;
use crate::log::LogVerb;
use crate::nats::NatsVerb;
use crate::policy::PolicyVerb;
use crate::recall::Recall;
use crate::review::Review;
use crate::rotation::RotationVerb;
use crate::run::Run;
use crate::scan::Scan;
use crate::scanner_rules::ScannerRules;
use crate::serve::Serve;
use crate::tenant::TenantVerb;
use crate::watch::Watch;
use crate::webhook::WebhookVerb;

/// Issue API keys, verify them, revoke them for real, and prove it afterwards
#[derive(Debug, Parser)]
#[command(name = "rescind", version, after_help = Exit::HELP, subcommand_required = true, arg_required_else_help = true)]
struct Rescind {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    // Boxed: its many settings would make every verb as large.
    Serve(Box<Serve>),
    Demo(Demo),
    /// Tenants: the units of isolation
    #[command(subcommand)]
    Tenant(TenantVerb),
    /// Keys: issue, list, show, verify, change, rotate, suspend, revoke
    #[command(subcommand)]
    Key(KeyVerb),
    /// Rotations: how far each is, and its end
    #[command(subcommand)]
    Rotation(RotationVerb),
    Import(Import),
    Recall(Recall),
    Erase(Erase),
    /// Policies: what a tenant asks of its keys
    #[command(subcommand)]
    Policy(PolicyVerb),
    Review(Review),
    /// Keys that others may have seen: report them, or end the one you hold
    #[command(subcommand)]
    Leak(LeakVerb),
    Run(Run),
    Scan(Scan),
    ScannerRules(ScannerRules),
    Watch(Watch),
    Fleet(Fleet),
    /// Webhooks: where a tenant's notices are sent to
    #[command(subcommand)]
    Webhook(WebhookVerb),
    /// The log, for auditors
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Backups: made, checked, and given back without giving back what was revoked
    #[command(subcommand)]
    Backup(BackupVerb),
    /// The log as a whole: moved between a data folder and NATS
    #[command(subcommand)]
    Log(LogVerb),
    /// NATS: its configuration, who is let in, and what consumers read through
    #[command(subcommand)]
    Nats(NatsVerb),
    Doctor(Doctor),
    Bench(Bench),
    Completions(Completions),
}

/// The whole command line, for parsing, completions and tests.
#[must_use]
pub fn command() -> Command {
    // A setting in the environment may be an address with a password: help names the variable, never its value.
    Rescind::command().mut_subcommand("serve", |serve| serve.mut_args(|arg| arg.hide_env_values(true)))
}

/// Runs what the process was asked for.
#[must_use]
pub fn run() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return refused(&error),
    };
    let json = wants_json(&matches);
    let exit = match Rescind::from_arg_matches(&matches) {
        Ok(rescind) => rescind.verb.run().unwrap_or_else(|failure| end(&failure, json)),
        Err(error) => return refused(&error),
    };
    exit.into()
}

fn end(failure: &Failure, json: bool) -> Exit {
    if failure.exit != Exit::Ok {
        failure.tell(json);
    }
    failure.exit
}

/// Help and version go to stdout and are no failure; the rest is a command line that asks for nothing sensible.
fn refused(error: &clap::Error) -> ExitCode {
    // There is nowhere to complain when the stream is gone.
    drop(error.print());
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok.into(),
        _ => Exit::Usage.into(),
    }
}

fn wants_json(matches: &ArgMatches) -> bool {
    let mut matches = matches;
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    matches.try_get_one::<bool>("json").ok().flatten().copied().unwrap_or(false)
}

impl Verb {
    fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::Fleet(fleet) => fleet.run(),
            Self::Demo(demo) => demo.run(),
            Self::Tenant(verb) => verb.run(),
            Self::Key(verb) => verb.run(),
            Self::Rotation(verb) => verb.run(),
            Self::Import(import) => import.run(),
            Self::Recall(recall) => recall.run(),
            Self::Erase(erase) => erase.run(),
            Self::Policy(verb) => verb.run(),
            Self::Review(review) => review.run(),
            Self::Run(run) => run.run(),
            Self::Leak(leak) => leak.run(),
            Self::Scan(scan) => scan.run(),
            Self::ScannerRules(rules) => rules.run(),
            Self::Watch(watch) => watch.run(),
            Self::Webhook(verb) => verb.run(),
            Self::Audit(verb) => verb.run(),
            Self::Backup(verb) => verb.run(),
            Self::Log(verb) => verb.run(),
            Self::Nats(verb) => verb.run(),
            Self::Doctor(doctor) => doctor.run(),
            Self::Bench(bench) => bench.run(),
            Self::Completions(completions) => completions.run(command()),
        }
    }
}

#[cfg(test)]
mod tests;
