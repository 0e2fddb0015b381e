//! `/openapi.json`: the whole interface as OpenAPI 3.1, every error code with the routes that can answer it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, HttpMethod, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::http::answers::codes_of;
use crate::http::problem::{CONTENT_TYPE, ProblemDocument};
use crate::http::{
    amend, authz, backup, configure, diff, erasures, events, explain, feed, fleet, guard, guard_usage,
    health, history, imports, incident, keys, leaks, log_proof, metrics, policies, rebuild, recalls,
    receipts, records, review, revoke, rotations, self_revoke, snapshot, suspend, tenants, transparency,
    usage, verify, webhooks,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rescind",
        description = "API keys whose revocation is heard. Errors are problem documents (RFC 9457) with a stable `code`.",
    ),
    paths(
        tenants::open, tenants::list, configure::configure, configure::close, recalls::recall, erasures::erase, policies::list, policies::set,
        policies::remove, policies::try_out, review::show, rotations::list, rotations::rotate, rotations::finish, rotations::cancel,
        imports::import, leaks::report, self_revoke::revoke, keys::issue, keys::list,
        keys::show, amend::amend, suspend::suspend, suspend::reinstate, revoke::revoke, history::history, usage::show, incident::show, verify::one,
        webhooks::add, webhooks::list, webhooks::show, webhooks::remove, webhooks::rotate_secret, webhooks::dead_letters,
        webhooks::redeliver, transparency::checkpoint, transparency::checkpoints, transparency::signers, transparency::tile,
        transparency::entries, log_proof::show, records::records,
        verify::batch, authz::ask, authz::ask_below, feed::feed, events::events, rebuild::rebuild, explain::explain, diff::diff, backup::seals, fleet::list, receipts::show, guard::register,
        guard::lease, guard::fill, guard::applied, guard_usage::usage, guard::leave, snapshot::snapshot, health::live, health::ready, metrics::show, show,
    ),
    components(schemas(ProblemDocument)),
    modifiers(&Finish),
)]
struct Document;

/// The document, made once.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let document = Document::openapi();
    document.to_pretty_json().expect("the document holds nothing that JSON cannot")
});

/// Shows this document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operation", operation_id = "openapi", security(()),
    responses((status = 200, description = "This document", body = serde_json::Value)),
)]
pub(crate) async fn show() -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], DOCUMENT.as_str()).into_response()
}

/// Adds what all routes have in common.
struct Finish;

impl Modify for Finish {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An operator key: a key of tenant `rescind`"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("operator", SecurityScheme::Http(bearer));
        let holder = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The very key that the request is about, of any tenant"))
            .build();
        components.add_security_scheme("holder", SecurityScheme::Http(holder));
        document.security = Some(vec![SecurityRequirement::new("operator", Vec::<String>::new())]);
        for item in document.paths.paths.values_mut() {
            operations(item).for_each(|(_, operation)| add_problems(operation));
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let methods = [
        (HttpMethod::Get, get),
        (HttpMethod::Put, put),
        (HttpMethod::Post, post),
        (HttpMethod::Delete, delete),
        (HttpMethod::Patch, patch),
    ];
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn add_problems(operation: &mut Operation) {
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in codes_of(operation.operation_id.as_deref().unwrap_or_default()) {
        by_status.entry(code.status).or_default().push(code.code);
    }
    for (status, codes) in by_status {
        let status = status.to_string();
        let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        match operation.responses.responses.get_mut(&status) {
            Some(RefOr::T(known)) => {
                known.content.insert(CONTENT_TYPE.to_owned(), content().into());
                known.description = format!("{}, or a problem: {}", known.description, codes.join(", "));
            }
            _ => {
                let response =
                    ResponseBuilder::new().description(codes.join(", ")).content(CONTENT_TYPE, content());
                operation.responses.responses.insert(status, response.build().into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::http::codes;

    /// Where the copy for readers is.
    const COPY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

    /// Set to have the copies under docs/ written anew.
    const WRITE: Option<&str> = option_env!("RESCIND_WRITE_DOCS");

    #[track_caller]
    pub(crate) fn is_copied(path: &str, text: &str) {
        if WRITE.is_some() {
            std::fs::write(path, text).unwrap();
        }
        let copy = std::fs::read_to_string(Path::new(path)).unwrap_or_default();
        assert!(
            copy == text,
            "{path} is not what the code says: run `RESCIND_WRITE_DOCS=1 cargo test -p server copy`"
        );
    }

    #[test]
    fn the_copy_for_readers_is_the_document() {
        is_copied(COPY, &format!("{}\n", *DOCUMENT));
    }

    #[test]
    fn the_copy_of_the_error_catalogue_is_the_catalogue() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
        is_copied(path, &codes::as_markdown());
    }

    #[test]
    fn every_route_is_described_and_every_description_is_a_route() {
        let page = include_str!("router.rs");
        // A pattern for any path, and for none, is described once.
        let described_as = |route: &str| route.trim_end_matches('/').replace("{*", "{");
        let routes: BTreeSet<String> = page.split('"').skip(1).step_by(2).map(described_as).collect();
        let described: BTreeSet<String> = Document::openapi().paths.paths.keys().cloned().collect();
        assert_eq!(routes, described);
        let mut document = Document::openapi();
        let count = |method: &str| -> usize {
            [" ", "."].map(|before| page.matches(&format!("{before}{method}(")).count()).iter().sum()
        };
        let all: Vec<HttpMethod> =
            document.paths.paths.values_mut().flat_map(operations).map(|(method, _)| method).collect();
        for (method, name) in [
            (HttpMethod::Get, "get"),
            (HttpMethod::Put, "put"),
            (HttpMethod::Post, "post"),
            (HttpMethod::Delete, "delete"),
            (HttpMethod::Patch, "patch"),
        ] {
            let described: usize = all.iter().filter(|described| **described == method).count();
            // Routes for any method are described by one of them.
            let any = if name == "get" { count("any") } else { 0 };
            assert_eq!(described, count(name) + any, "{name}");
        }
    }

    #[test]
    fn every_code_is_some_routes_or_no_routes() {
        let document = Document::openapi().to_json().unwrap();
        // What is answered where no route is, and what the service only asks of itself.
        let elsewhere = [
            "no_such_route",
            "method_not_allowed",
            "not_yet_expired",
            "suspension_not_over",
            "not_a_successor",
            "already_adopted",
            "rotation_not_due",
            "warning_not_due",
        ];
        for code in codes::CODES {
            let named = document.contains(code.code);
            assert!(named != elsewhere.contains(&code.code), "{}", code.code);
        }
    }
}
