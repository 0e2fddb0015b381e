//! Gets the key list: from its file again, or from its host.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::StatusCode;

use super::key_list::{self, KeyList, LIST_MAX};
use crate::config::KeyListPlace;

/// How long the host may take. The scanner waits for our answer meanwhile, and half a minute is all that it gives us.
const FETCH_WITHIN: Duration = Duration::from_secs(5);

/// The list as it is now; the one that is known if its host says that nothing changed.
///
/// # Errors
/// What stands in the way, one lower-case clause.
pub(super) async fn list(place: &KeyListPlace, known: Arc<KeyList>) -> Result<Arc<KeyList>, String> {
    let place = place.clone();
    // Its time is bounded inside.
    let reading = tokio::task::spawn_blocking(move || match place {
        KeyListPlace::File(path) => key_list::read(&path).map(Arc::new),
        KeyListPlace::Url(url) => from_host(&url, known),
    });
    reading.await.map_err(|_| "reading it panicked".to_owned())?
}

fn from_host(url: &str, known: Arc<KeyList>) -> Result<Arc<KeyList>, String> {
    let is_here = url.starts_with("http://");
    let config = Config::builder()
        .http_status_as_error(false)
        // The keys of whoever the host points to are not those that were configured.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("rescind/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(FETCH_WITHIN));
    // A proxy from the environment is for other machines.
    let config = if is_here { config.proxy(None) } else { config };
    let agent: Agent = config.build().into();
    let mut request = agent.get(url).header("accept", "application/json");
    if let Some(etag) = &known.etag {
        request = request.header("if-none-match", etag);
    }
    let response = request.call().map_err(|error| error.to_string())?;
    match response.status() {
        StatusCode::NOT_MODIFIED if !known.is_empty() => return Ok(known),
        StatusCode::OK => {}
        status => return Err(format!("its host answered {}", status.as_u16())),
    }
    let etag = response.headers().get("etag").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let bytes = response.into_body().into_with_config().limit(LIST_MAX).read_to_vec();
    let mut list = KeyList::parse(&bytes.map_err(|error| error.to_string())?)?;
    list.etag = etag;
    Ok(Arc::new(list))
}
