//! The listener: connections are bounded, headers have a time, and a stop lets requests end.

use std::future::Ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::AddExtension;
use axum::{Extension, Router};
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use metrics::Counter;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tower::Layer;
use tracing::{debug, error, warn};

use crate::config::TlsFiles;
use crate::http::stuck::{Carries, Outlet};
use crate::http::{Pressure, watch_pressure};
use crate::node::start_error::StartError;

/// Connections at once beside those of feeds: each holds a file descriptor and about 20 KiB.
const CONNECTIONS: usize = 8192;
/// Descriptors for everything else: the log, the views, the record, NATS and webhooks.
const OTHER_FILES: usize = 1024;
/// How long the headers of a request may take, and a connection without a request may stay.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// How long the first request of a connection may take to arrive: nobody speaks before this.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// How long a stop lets requests end.
const GRACE: Duration = Duration::from_secs(10);
/// How long a stop waits for threads that wait for something else.
const LET_GO_WITHIN: Duration = Duration::from_secs(1);
/// How long after that the listener may take to see that it is over.
const GRACE_AND_MORE: Duration = Duration::from_secs(12);

/// Takes the address now, so that a start fails before anything is written.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| StartError::Listen { address, source })
}

/// Reads certificate and key.
pub(crate) fn tls(files: Option<&TlsFiles>) -> Result<Option<RustlsConfig>, StartError> {
    let Some(TlsFiles { cert, key }) = files else { return Ok(None) };
    let failed =
        |setting, path: &Path, reason: String| StartError::Tls { setting, path: path.to_owned(), reason };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed("tls_cert", cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(failed("tls_cert", cert, "there is no PEM certificate in it".to_owned()));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| failed("tls_key", key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| failed("tls_key", key, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(RustlsConfig::from_config(Arc::new(config))))
}

/// The listening task and the connections, on threads of their own: what the log, the index and the views have to do is never
/// behind them in a queue.
pub(crate) struct Listening {
    handle: Handle<SocketAddr>,
    task: JoinHandle<()>,
    /// None once it is stopped.
    runtime: Option<Runtime>,
}

impl Listening {
    /// Serves the router until it is stopped.
    ///
    /// # Errors
    /// When no threads can be started.
    pub(crate) fn start(
        tcp: TcpListener,
        tls: Option<RustlsConfig>,
        router: Router,
        doorkeeper: Doorkeeper,
        pressure: Arc<Pressure>,
    ) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().thread_name("connections").enable_all().build()?;
        runtime.spawn(watch_pressure(pressure));
        make_room(doorkeeper.connections);
        let handle = doorkeeper.handle.clone();
        let (handle_of_task, service) =
            (handle.clone(), router.into_make_service_with_connect_info::<SocketAddr>());
        let task = runtime.spawn(async move {
            let mut server = match axum_server::from_tcp(tcp) {
                Ok(server) => {
                    server.http1_only().handle(handle_of_task).first_request_timeout(FIRST_REQUEST_WITHIN)
                }
                Err(error) => return error!(error = %error, "the listener cannot be used"),
            };
            server.http_builder().http1().header_read_timeout(HEADERS_WITHIN);
            let server = server
                .accept_error_handler(|_, error| debug!(error = %error, "a connection was not taken"))
                .acceptor(doorkeeper.clone());
            let ended = match tls {
                None => server.serve(service).await,
                Some(tls) => {
                    let acceptor = RustlsAcceptor::new(tls).acceptor(doorkeeper);
                    server.acceptor(acceptor).serve(service).await
                }
            };
            if let Err(error) = ended {
                error!(error = %error, "the listener ended");
            }
        });
        Ok(Self { handle, task, runtime: Some(runtime) })
    }

    /// Takes no more connections and lets requests end.
    pub(crate) async fn stop(&mut self) {
        self.handle.graceful_shutdown(Some(GRACE));
        if timeout(GRACE_AND_MORE, &mut self.task).await.is_err() {
            self.task.abort();
        }
        if let Some(runtime) = self.runtime.take() {
            // Whatever a connection still holds of the node is let go before the node stops.
            let ended = spawn_blocking(move || runtime.shutdown_timeout(LET_GO_WITHIN));
            let _ = timeout(GRACE, ended).await;
        }
    }
}

impl Drop for Listening {
    /// A node that is dropped without being stopped has crashed.
    fn drop(&mut self) {
        self.handle.shutdown();
        self.task.abort();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lets connections in while there is room, has small answers sent at once, and lets feeds go whose client takes nothing.
#[derive(Clone)]
pub(crate) struct Doorkeeper {
    handle: Handle<SocketAddr>,
    connections: usize,
    stuck: Counter,
}

impl Doorkeeper {
    pub(crate) fn new(feeds: usize, stuck: Counter) -> Self {
        Self { handle: Handle::new(), connections: CONNECTIONS + feeds, stuck }
    }
}

impl<S> Accept<TcpStream, S> for Doorkeeper {
    type Stream = Outlet<TcpStream>;
    type Service = AddExtension<S, Carries>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let there_is_room = self.handle.connection_count() <= self.connections;
        let taken = if there_is_room {
            stream.set_nodelay(true).map(|()| {
                let carries = Carries::default();
                let service = Extension(carries.clone()).layer(service);
                (Outlet::new(stream, carries, self.stuck.clone()), service)
            })
        } else {
            Err(io::Error::other("too many connections"))
        };
        std::future::ready(taken)
    }
}

/// Raises this process's bound on open files as far as it may, if its connections need that: shells begin with 1,024.
fn make_room(connections: usize) {
    let wanted = u64::try_from(connections + OTHER_FILES).unwrap_or(u64::MAX);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    let allowed = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum });
    if raised.is_err() || allowed < wanted {
        warn!(
            wanted,
            allowed,
            "not every connection finds a file descriptor: raise the limit (ulimit -n), or lower --max-feeds"
        );
    }
}
