//! A tower layer that lets only requests with a valid key through, and tells the service behind it whose key it is.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::header::{AUTHORIZATION, HeaderName};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, Response};
use tower::{Layer, Service};

use crate::core::Holder;
use crate::guard::Guard;
use crate::refusal::Refusal;
use crate::requirement::Requirement;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

type ClientAddress = Arc<dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync>;

/// Lets requests with a valid key through.
///
/// The key is in `Authorization: Bearer` or in `X-Api-Key`. A request that passes carries a [`Holder`] in its extensions; one
/// that a client put there is not possible. A request that does not is answered with `application/problem+json`: 401 without
/// a key that may be used, 403 where the key may not do this or not from there, 503 while the guard is stale.
#[derive(Clone)]
pub struct GuardLayer {
    guard: Guard,
    requirement: Requirement,
    client_address: Option<ClientAddress>,
}

impl GuardLayer {
    /// What every request behind it has to present.
    #[must_use]
    pub fn new(guard: &Guard, requirement: Requirement) -> Self {
        Self { guard: guard.clone(), requirement, client_address: None }
    }

    /// Where a request comes from. Without this a key that is bound to networks does not pass. Take an address from a header
    /// only if a proxy of yours sets it.
    #[must_use]
    pub fn client_address(self, address: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Self { client_address: Some(Arc::new(address)), ..self }
    }

    fn requirement(&self, parts: &Parts) -> Requirement {
        let requirement = self.requirement.clone();
        match self.client_address.as_ref().and_then(|address| address(parts)) {
            Some(address) => requirement.at(address),
            None => requirement,
        }
    }

    async fn admit<B>(&self, request: Request<B>) -> Result<Request<B>, Refusal> {
        let (mut parts, body) = request.into_parts();
        let token = presented(&parts.headers)?;
        let decision = self.guard.verify(token, &self.requirement(&parts)).await;
        match decision.holder.filter(|_| decision.verdict == verify::Verdict::Valid) {
            Some(holder) => {
                parts.extensions.insert(holder);
                Ok(Request::from_parts(parts, body))
            }
            None => Err(Refusal::of(decision.verdict)),
        }
    }
}

impl fmt::Debug for GuardLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardLayer").field("requirement", &self.requirement).finish_non_exhaustive()
    }
}

/// The one key that a request presents. Of two the service might take the other.
fn presented(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut bearers = headers.get_all(AUTHORIZATION).iter();
    let mut api_keys = headers.get_all(API_KEY).iter();
    let found = (bearers.next(), bearers.next(), api_keys.next(), api_keys.next());
    let malformed = Refusal::of(verify::Verdict::Malformed);
    match found {
        (None, None, None, None) => Err(Refusal::missing()),
        (None, None, Some(key), None) => Ok(key.to_str().map_err(|_| malformed)?.trim()),
        (Some(value), None, None, None) => {
            let (scheme, token) =
                value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(malformed)?;
            if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Refusal::missing()) }
        }
        _ => Err(malformed),
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> GuardService<S> {
        GuardService { inner, layer: self.clone() }
    }
}

/// A service behind a [`GuardLayer`].
#[derive(Clone, Debug)]
pub struct GuardService<S> {
    inner: S,
    layer: GuardLayer,
}

impl<S, B, R> Service<Request<B>> for GuardService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready is used; its clone may not be.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            match layer.admit(request).await {
                Ok(request) => inner.call(request).await,
                Err(refusal) => Ok(refusal.into_response(layer.requirement.scope())),
            }
        })
    }
}

impl Guard {
    /// A layer that asks this of every request.
    #[must_use]
    pub fn layer(&self, requirement: Requirement) -> GuardLayer {
        GuardLayer::new(self, requirement)
    }
}

#[cfg(feature = "axum")]
impl<S: Send + Sync> axum_core::extract::FromRequestParts<S> for Holder {
    type Rejection = axum_core::response::Response;

    /// Whose key let the request through. A route that no [`GuardLayer`] stands before answers 500, and lets nobody in.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let holder = parts.extensions.get::<Self>().cloned();
        holder.ok_or_else(|| Refusal::unguarded().into_response(None))
    }
}

#[cfg(feature = "axum")]
#[cfg(test)]
mod tests;
