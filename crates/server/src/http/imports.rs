//! `POST /v1/tenants/{tenant}/imports`: keys of another system by digest, as a stream of lines that is answered by another.

mod line;
mod lines;
mod run;
mod tally;

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::{Permission, Refusal, TenantId};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use utoipa::IntoParams;

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::command::Meta;
use crate::http::extract::{InTenant, Params, Shared};
use crate::http::problem::Problem;
use line::ImportLine;
use lines::Lines;
use run::{Effect, Import};

/// Answers that wait for a client that sends and does not read, each up to 300 bytes. One that sends a whole file first has
/// to stay below so many refused lines; then its lines are left unread until it reads.
const ANSWERS_WAITING: usize = 16 * 1024;

/// Answers of one piece: few system calls, and a piece is below 64 KiB.
const ANSWERS_A_PIECE: usize = 200;

/// The media type of both streams.
const NDJSON: &str = "application/x-ndjson";

/// What is done with the lines.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// Check every line and change nothing: `imported` counts what would be.
    #[serde(default)]
    dry_run: bool,
    /// The number of the first line, for an import that goes on in the middle of a file; 1 unless said otherwise.
    first_line: Option<u64>,
}

/// Imports keys.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/imports", tag = "keys", operation_id = "import_keys",
    request_body(
        content = ImportLine, content_type = "application/x-ndjson",
        description = "One key a line, at most 32 KiB each, as many lines as there are; nothing is held against who takes \
                       long, but 30 s without a byte end the import",
    ),
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ImportQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "The command id under which the keys are recorded. Sending lines again has no second effect, with or without it"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the events"),
    ),
    responses((
        status = 200, content_type = "application/x-ndjson", body = String,
        description = "Lines of JSON while the import goes on, in the order of the lines sent. {line, code, detail} for a line \
                       that was refused, or is `known_otherwise`. {lines, imported, known, known_otherwise, refused, position} \
                       at least each second: all lines up to the number `lines` are settled, and durable where they were \
                       imported. At the end the same with `done`: true, or false with the `code` and `detail` of what ended \
                       it; then the rest is to be sent again. An answer without such an end is not whole",
    )),
)]
pub(crate) async fn import(
    State(app): State<Shared>,
    operator: Operator,
    InTenant(tenant): InTenant,
    Params(query): Params<ImportQuery>,
    meta: Meta,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    operator.require_write(Permission::KeysIssue, &tenant)?;
    check_headers(&headers)?;
    check_tenant(&app, &tenant).await?;
    // What another server imported a moment ago is known here too.
    app.reach_head().await?;
    let permit = app.gates.imports.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(&codes::TOO_MANY_IMPORTS).retry())?;
    let (answers, waiting) = mpsc::channel(ANSWERS_WAITING);
    let effect = if query.dry_run { Effect::None } else { Effect::Import };
    let request = meta.by(&operator);
    let import = Import { app, tenant, operator, request, effect, answers };
    let lines = Lines::new(body.into_data_stream(), query.first_line.unwrap_or(1));
    // Its answer holds it: it is over when the answer is, or soon after the client is gone.
    let task = tokio::spawn(async move {
        let _permit = permit;
        import.run(lines).await;
    });
    let body = Body::from_stream(stream::unfold((waiting, Some(task)), next_piece));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(NDJSON)),
        // nginx would hold small pieces back.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, body).into_response())
}

fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if text(header::CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(Problem::new(&codes::UNSUPPORTED_ENCODING));
    }
    let media_type = text(header::CONTENT_TYPE).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(NDJSON) {
        return Err(Problem::new(&codes::UNSUPPORTED_MEDIA_TYPE).detail("an import is application/x-ndjson"));
    }
    Ok(())
}

/// What would refuse every line is told at once.
async fn check_tenant(app: &Shared, tenant: &TenantId) -> Result<(), Problem> {
    if tenant.is_operators() {
        return Err(application::CommandError::from(Refusal::NotForOperators).into());
    }
    match app.application.tenant(tenant).await?.closed {
        true => Err(application::CommandError::from(Refusal::TenantClosed).into()),
        false => Ok(()),
    }
}

type Waiting = (mpsc::Receiver<Bytes>, Option<JoinHandle<()>>);

/// The next piece of the answer. An import that panicked breaks it off.
async fn next_piece((mut waiting, task): Waiting) -> Option<(Result<Bytes, io::Error>, Waiting)> {
    let mut answers = Vec::new();
    if waiting.recv_many(&mut answers, ANSWERS_A_PIECE).await > 0 {
        let piece = if answers.len() == 1 { answers.remove(0) } else { answers.concat().into() };
        return Some((Ok(piece), (waiting, task)));
    }
    match task?.await {
        Ok(()) => None,
        Err(panicked) => Some((Err(io::Error::other(panicked)), (waiting, None))),
    }
}
