//! Every route of this server, on one page.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, any, delete, get, patch, post, put};

use crate::http::app::App;
use crate::http::edge::{Class, Edge, edge, method_not_allowed, no_such_route};
use crate::http::{
    amend, authz, backup, configure, diff, erasures, events, explain, feed, fleet, guard, guard_usage,
    health, history, imports, incident, keys, leaks, log_proof, metrics, openapi, policies, rebuild, recalls,
    receipts, records, review, revoke, rotations, self_revoke, snapshot, suspend, tenants, transparency,
    usage, verify, webhooks,
};

type Route = MethodRouter<Arc<App>>;

/// The interface to a node.
pub(crate) fn router(app: Arc<App>) -> Router {
    let commands: [(&str, Route); 15] = [
        ("/v1/tenants", post(tenants::open)),
        ("/v1/tenants/{tenant}", patch(configure::configure).delete(configure::close)),
        ("/v1/tenants/{tenant}/policies/{name}", put(policies::set).delete(policies::remove)),
        ("/v1/tenants/{tenant}/recalls", post(recalls::recall)),
        ("/v1/tenants/{tenant}/erasures", post(erasures::erase)),
        ("/v1/tenants/{tenant}/keys", post(keys::issue)),
        ("/v1/tenants/{tenant}/keys/{key_id}", patch(amend::amend)),
        ("/v1/tenants/{tenant}/keys/{key_id}/rotate", post(rotations::rotate)),
        ("/v1/tenants/{tenant}/keys/{key_id}/rotation/finish", post(rotations::finish)),
        ("/v1/tenants/{tenant}/keys/{key_id}/rotation/cancel", post(rotations::cancel)),
        ("/v1/tenants/{tenant}/keys/{key_id}/suspend", post(suspend::suspend)),
        ("/v1/tenants/{tenant}/keys/{key_id}/reinstate", post(suspend::reinstate)),
        ("/v1/tenants/{tenant}/keys/{key_id}/revoke", post(revoke::revoke)),
        ("/v1/self/revoke", post(self_revoke::revoke)),
        ("/v1/leaks", post(leaks::report)),
    ];
    let verifies: [(&str, Route); 2] =
        [("/v1/verify", post(verify::one)), ("/v1/verify/batch", post(verify::batch))];
    let guards: [(&str, Route); 6] = [
        ("/v1/guard/register", post(guard::register)),
        ("/v1/guard/lease", post(guard::lease)),
        ("/v1/guard/fill", post(guard::fill)),
        ("/v1/guard/applied", post(guard::applied)),
        ("/v1/guard/usage", post(guard_usage::usage)),
        ("/v1/guard/leave", post(guard::leave)),
    ];
    // A gateway asks with the client's own method and path.
    let below = || any(authz::ask_below);
    let gateways: [(&str, Route); 3] =
        [("/v1/authz", any(authz::ask)), ("/v1/authz/", below()), ("/v1/authz/{*rest}", below())];
    let reads: [(&str, Route); 11] = [
        ("/v1/fleet", get(fleet::list)),
        ("/v1/receipts/{id}", get(receipts::show)),
        ("/v1/tenants", get(tenants::list)),
        ("/v1/tenants/{tenant}/policies", get(policies::list)),
        ("/v1/tenants/{tenant}/policies/try", post(policies::try_out)),
        ("/v1/tenants/{tenant}/review", get(review::show)),
        ("/v1/tenants/{tenant}/rotations", get(rotations::list)),
        ("/v1/tenants/{tenant}/keys", get(keys::list)),
        ("/v1/tenants/{tenant}/keys/{key_id}", get(keys::show)),
        ("/v1/tenants/{tenant}/keys/{key_id}/events", get(history::history)),
        ("/v1/tenants/{tenant}/keys/{key_id}/usage", get(usage::show)),
    ];
    let imports: [(&str, Route); 1] = [("/v1/tenants/{tenant}/imports", post(imports::import))];
    let streams: [(&str, Route); 3] = [
        ("/v1/feed", get(feed::feed)),
        ("/v1/backup/seals", get(backup::seals)),
        ("/v1/guard/snapshot", get(snapshot::snapshot)),
    ];
    let open: [(&str, Route); 4] = [
        ("/livez", get(health::live)),
        ("/readyz", get(health::ready)),
        ("/metrics", get(metrics::show)),
        ("/openapi.json", get(openapi::show)),
    ];
    Router::new()
        .merge(group(&app, Class::Command, commands))
        .merge(group(&app, Class::Import, imports))
        .merge(group(&app, Class::Verify, verifies))
        .merge(group(&app, Class::Verify, gateways).route_layer(from_fn(authz::closed_as_403)))
        .merge(group(&app, Class::Guard, guards))
        .merge(group(&app, Class::Read, reads))
        .merge(webhook_routes(&app))
        .merge(audit_routes(&app))
        .merge(transparency_routes(&app))
        .merge(group(&app, Class::Stream, streams))
        .merge(group(&app, Class::Open, open))
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app)
}

/// Where notices are sent to. Commands like any other, though they change a record of this server and not the log.
fn webhook_routes(app: &Arc<App>) -> Router<Arc<App>> {
    let commands: [(&str, Route); 4] = [
        ("/v1/webhooks", post(webhooks::add)),
        ("/v1/webhooks/{webhook_id}", delete(webhooks::remove)),
        ("/v1/webhooks/{webhook_id}/rotate-secret", post(webhooks::rotate_secret)),
        ("/v1/webhooks/{webhook_id}/redeliver", post(webhooks::redeliver)),
    ];
    let reads: [(&str, Route); 3] = [
        ("/v1/webhooks", get(webhooks::list)),
        ("/v1/webhooks/{webhook_id}", get(webhooks::show)),
        ("/v1/webhooks/{webhook_id}/dead-letters", get(webhooks::dead_letters)),
    ];
    group(app, Class::Command, commands).merge(group(app, Class::Read, reads))
}

/// What auditors ask: the log, what was at a moment, what became of a key, and whether the views are what the log makes of them.
fn audit_routes(app: &Arc<App>) -> Router<Arc<App>> {
    let reads: [(&str, Route); 3] = [
        ("/v1/tenants/{tenant}/diff", get(diff::diff)),
        ("/v1/tenants/{tenant}/keys/{key_id}/explain", get(explain::explain)),
        ("/v1/tenants/{tenant}/keys/{key_id}/incident", get(incident::show)),
    ];
    let streams: [(&str, Route); 2] =
        [("/v1/events", get(events::events)), ("/v1/views/rebuild", post(rebuild::rebuild))];
    group(app, Class::Read, reads).merge(group(app, Class::Stream, streams))
}

/// The log as a transparency log. Static content, most of it for everybody.
fn transparency_routes(app: &Arc<App>) -> Router<Arc<App>> {
    let reads: [(&str, Route); 6] = [
        ("/v1/log/checkpoint", get(transparency::checkpoint)),
        ("/v1/log/checkpoints", get(transparency::checkpoints)),
        ("/v1/log/signers", get(transparency::signers)),
        ("/v1/log/proof/{position}", get(log_proof::show)),
        ("/v1/log/tile/entries/{*index}", get(transparency::entries)),
        ("/v1/log/tile/{level}/{*index}", get(transparency::tile)),
    ];
    let streams: [(&str, Route); 1] = [("/v1/log/records", get(records::records))];
    group(app, Class::Read, reads).merge(group(app, Class::Stream, streams))
}

/// Routes of one class behind their edge.
fn group<const N: usize>(app: &Arc<App>, class: Class, routes: [(&str, Route); N]) -> Router<Arc<App>> {
    let router = routes.into_iter().fold(Router::new(), |router, (path, route)| router.route(path, route));
    router.route_layer(from_fn_with_state(Edge { app: Arc::clone(app), class }, edge))
}
