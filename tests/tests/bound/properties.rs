//! What must hold in every state, and what some states must show: a model in which nothing happens keeps every promise too.

use stateright::Property;

use super::model::{Held, Protocol, State};

pub(super) const GUARD: &str = "no guard accepts a revoked key beyond the bound";
pub(super) const SERVER: &str = "no server accepts a revoked key beyond the bound";
pub(super) const KNOWN: &str = "no guard has applied the end of a key and holds it as valid";

pub(super) fn all() -> Vec<Property<Protocol>> {
    let mut all = always();
    all.extend(sometimes());
    all
}

fn always() -> Vec<Property<Protocol>> {
    vec![
        Property::always(GUARD, |protocol: &Protocol, state: &State| {
            !(state.guard.accepts() && protocol.is_over(state))
        }),
        Property::always(SERVER, |protocol: &Protocol, state: &State| {
            !(state.some_server_accepts() && protocol.is_over(state))
        }),
        Property::always(KNOWN, |_, state: &State| {
            let has_applied = state.guard.applied >= Some(State::REVOKED);
            !(has_applied && state.guard.held == Held::Valid)
        }),
    ]
}

fn sometimes() -> Vec<Property<Protocol>> {
    vec![
        Property::sometimes("a guard accepts the key", |_, state: &State| {
            state.guard.accepts() && state.since.is_none()
        }),
        Property::sometimes("a guard accepts the revoked key", |_, state: &State| {
            state.guard.accepts() && state.since.is_some()
        }),
        Property::sometimes(
            "a guard accepts it up to the very bound",
            |protocol: &Protocol, state: &State| {
                state.guard.accepts() && state.since == Some(protocol.bounds.bound())
            },
        ),
        Property::sometimes(
            "a server accepts it up to the very bound",
            |protocol: &Protocol, state: &State| {
                state.some_server_accepts() && state.since == Some(protocol.bounds.bound())
            },
        ),
        Property::sometimes("a guard that was never told is stale", |protocol: &Protocol, state: &State| {
            state.guard.held == Held::Valid && !state.guard.is_fresh() && protocol.is_over(state)
        }),
        Property::sometimes("a guard enforces and goes on", |protocol: &Protocol, state: &State| {
            state.guard.held == Held::Revoked && state.guard.is_fresh() && protocol.is_over(state)
        }),
        Property::sometimes("a hint refuses what is held as valid on a lease", |_, state: &State| {
            state.guard.hinted && state.guard.held == Held::Valid && state.guard.is_fresh()
        }),
        Property::sometimes("a lease waits for its notice", |_, state: &State| state.guard.waiting.is_some()),
        Property::sometimes("an answer is overtaken by the notice", |_, state: &State| {
            state.guard.fill.is_some_and(|fill| fill.touched && !fill.revoked)
        }),
        Property::sometimes("every server is stale", |_, state: &State| {
            state.since.is_some() && state.servers.iter().all(|server| server.proof.is_none())
        }),
    ]
}
