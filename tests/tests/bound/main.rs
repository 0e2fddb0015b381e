//! No reachable state has a verifier accept a revoked key beyond its bound; and each planted mistake is found.

mod model;
mod properties;

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use self::model::{Bounds, Bug, Protocol};
use self::properties::{GUARD, KNOWN, SERVER};

/// Everything but the other servers: a second event whose notice can overtake the first one's.
const ONE_SERVER: Bounds = Bounds { servers: 1, max_staleness: 2, drift: 1, events: 2 };
/// Servers that differ in what they have heard and proven.
const TWO_SERVERS: Bounds = Bounds { servers: 2, max_staleness: 2, drift: 1, events: 1 };

/// Looks at every state, and meets all that the promise could have broken on.
#[track_caller]
fn holds_everywhere(bounds: Bounds, at_least: usize) {
    let checked = Protocol { bug: None, bounds }.checker().threads(2).spawn_bfs().join();
    checked.assert_properties();
    assert!(checked.is_done(), "not every state was looked at");
    let states = checked.unique_state_count();
    assert!(states > at_least, "only {states} states: the model has lost something");
}

#[test]
fn no_state_of_one_server_accepts_a_revoked_key_beyond_the_bound() {
    holds_everywhere(ONE_SERVER, 300_000);
}

#[test]
fn no_state_of_two_servers_accepts_a_revoked_key_beyond_the_bound() {
    holds_everywhere(TWO_SERVERS, 2_000_000);
}

/// Some state breaks this promise, in a run that begins at the beginning.
#[track_caller]
fn is_found(bug: Bug, bounds: Bounds, broken: &'static str) {
    let protocol = Protocol { bug: Some(bug), bounds };
    let enough = HasDiscoveries::AnyOf(BTreeSet::from([broken]));
    let checked = protocol.checker().threads(2).finish_when(enough).spawn_bfs().join();
    let path = checked.discovery(broken);
    let Some(path) = path else { panic!("{bug:?} goes unnoticed by: {broken}") };
    assert!(path.into_actions().len() > 3, "{bug:?} breaks the promise before anything happened");
}

#[test]
fn a_heartbeat_taken_for_a_lease_is_found() {
    is_found(Bug::HeartbeatIsLease, ONE_SERVER, GUARD);
}

#[test]
fn a_fill_without_its_fence_is_found() {
    is_found(Bug::FillWithoutFence, ONE_SERVER, GUARD);
    is_found(Bug::FillWithoutFence, ONE_SERVER, KNOWN);
}

#[test]
fn a_fill_that_rests_on_less_than_the_guard_has_applied_is_found() {
    is_found(Bug::FillBelowAsked, ONE_SERVER, GUARD);
    is_found(Bug::FillBelowAsked, TWO_SERVERS, GUARD);
}

#[test]
fn a_notice_that_is_dropped_is_found() {
    is_found(Bug::NoticeDropped, ONE_SERVER, GUARD);
    is_found(Bug::NoticeDropped, ONE_SERVER, KNOWN);
}

#[test]
fn a_gap_that_is_overlooked_is_found() {
    is_found(Bug::GapOverlooked, ONE_SERVER, GUARD);
}

#[test]
fn a_hint_taken_for_a_notice_is_found() {
    is_found(Bug::HintIsNotice, ONE_SERVER, GUARD);
    is_found(Bug::HintIsNotice, ONE_SERVER, KNOWN);
}

#[test]
fn a_lease_that_counts_from_its_arrival_is_found() {
    is_found(Bug::LeaseFromArrival, ONE_SERVER, GUARD);
}

#[test]
fn a_lease_that_forgets_the_servers_own_staleness_is_found() {
    is_found(Bug::StalenessIgnored, ONE_SERVER, GUARD);
}

#[test]
fn a_lease_that_runs_ahead_of_its_notice_is_found() {
    is_found(Bug::LeaseAheadOfNotice, ONE_SERVER, GUARD);
}

#[test]
fn a_proof_without_a_quorum_is_found() {
    is_found(Bug::ProofWithoutQuorum, ONE_SERVER, SERVER);
    is_found(Bug::ProofWithoutQuorum, ONE_SERVER, GUARD);
}

#[test]
fn a_proof_that_counts_from_its_answer_is_found() {
    is_found(Bug::ProofFromAnswer, ONE_SERVER, SERVER);
}

#[test]
fn a_proof_that_does_not_wait_for_the_index_is_found() {
    is_found(Bug::ProofAheadOfIndex, ONE_SERVER, SERVER);
    is_found(Bug::ProofAheadOfIndex, TWO_SERVERS, GUARD);
}
