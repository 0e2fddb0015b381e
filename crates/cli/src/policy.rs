//! `rescind policy`: what a tenant asks of its keys.

mod body;
mod list;
mod remove;
mod set;
mod show;
mod try_out;

use clap::Subcommand;
use serde_json::Value;

use crate::client::{Call, Client, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{items, text};
use crate::screen::printable;

/// The verbs of policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyVerb {
    // Boxed: their many rules would make every verb as large.
    Set(Box<set::Set>),
    List(list::List),
    Show(show::Show),
    Remove(remove::Remove),
    Try(Box<try_out::Try>),
}

impl PolicyVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Set(set) => set.run(),
            Self::List(list) => list.run(),
            Self::Show(show) => show.run(),
            Self::Remove(remove) => remove.run(),
            Self::Try(try_out) => try_out.run(),
        }
    }
}

/// `/v1/tenants/<tenant>/policies`
fn path(tenant: &str) -> Result<String, Failure> {
    Ok(format!("/v1/tenants/{}/policies", segment("tenant id", tenant)?))
}

/// One policy of a tenant.
fn find(client: &Client, tenant: &str, name: &str) -> Result<Value, Failure> {
    let body = client.send(&client.fresh(Call::get(path(tenant)?)))?.body;
    let found = items(&body, "policies").iter().find(|policy| policy["name"] == name);
    found.cloned().ok_or_else(|| {
        let what = format!("there is no policy {} in tenant {tenant}", printable(name));
        Failure::new(Exit::NotFound, "no_such_policy", what)
            .remedy(format!("list them: rescind policy list --tenant {tenant}"))
    })
}

/// The rules that are asked for, each as `name=value`.
fn rules(policy: &Value) -> Vec<String> {
    let members = policy["rules"].as_object();
    let shown = members.into_iter().flatten().filter(|(_, value)| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    });
    shown.map(|(name, _)| format!("{name}={}", text(&policy["rules"], name).replace(' ', ","))).collect()
}

/// The keys that it is about.
fn about(policy: &Value) -> String {
    let selector = &policy["selector"];
    if selector["all"] == true {
        return "all keys".to_owned();
    }
    let parts = ["owner", "label", "scope", "issuer", "environment"];
    let given = parts.iter().map(|name| (name, text(selector, name))).filter(|(_, text)| !text.is_empty());
    given.map(|(name, text)| format!("{name} {text}")).collect::<Vec<_>>().join(", ")
}

/// What the server saw when it last applied it.
fn state(policy: &Value) -> String {
    let state = &policy["state"];
    if state.is_null() {
        return "not applied by this server yet".to_owned();
    }
    let waiting = text(state, "waiting");
    if waiting == "0" {
        return format!("applied at {}", text(state, "at"));
    }
    let whom = text(state, "unreported").replace(' ', ", ");
    let whom = if whom.is_empty() { "usage of that time".to_owned() } else { format!("reports of {whom}") };
    format!("{waiting} keys wait for {whom}")
}
