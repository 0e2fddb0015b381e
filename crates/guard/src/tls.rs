//! TLS to the server: rustls on ring, with the public roots or an authority of one's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// Whose certificates are trusted.
#[derive(Clone, Debug, Default)]
pub(crate) enum Roots {
    /// The public authorities.
    #[default]
    Public,
    /// Those in this PEM file, and no other.
    File(PathBuf),
}

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The file with the authority.
    #[error("the certificates in {path} cannot be read: {reason}")]
    Roots {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The library refuses.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

pub(crate) fn tls_config(roots: &Roots) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let store = match roots {
        Roots::Public => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        Roots::File(path) => read_roots(path)?,
    };
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}

fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let bad = |reason: String| TlsError::Roots { path: path.to_owned(), reason };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))? {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        store.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if store.is_empty() { Err(bad("there is no certificate in it".to_owned())) } else { Ok(store) }
}
