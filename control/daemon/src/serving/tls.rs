//! TLS from files: the certificate chain and key are read again when they change, and their end is told in time.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(10);

/// Why the files give no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read, or holds something else.
    #[error("{}: {why}; expected {expected} in PEM", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was expected in it.
        expected: &'static str,
        /// Why not.
        why: String,
    },
    /// Certificate and key do not belong together, or are of a kind that is not spoken.
    #[error("{} and {}: {error}", cert.display(), key.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls said.
        error: rustls::Error,
    },
}

/// The certificate in force.
#[derive(Clone)]
pub struct Certificate {
    config: Arc<ServerConfig>,
    /// When it ends: seconds since 1970.
    pub not_after_unix_s: i64,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("not_after_unix_s", &self.not_after_unix_s)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// What takes connections with it.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Reads both files. The key is read by nobody but this process.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let refused = |path: &Path, expected, why: String| TlsError::File {
            path: path.to_owned(),
            expected,
            why,
        };
        const CHAIN: &str = "a certificate chain";
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect)
            .map_err(|error| refused(cert, CHAIN, error.to_string()))?;
        let first = chain
            .first()
            .ok_or_else(|| refused(cert, CHAIN, "no certificate".to_owned()))?;
        let (_, parsed) =
            X509Certificate::from_der(first).map_err(|error| refused(cert, CHAIN, error.to_string()))?;
        let not_after_unix_s = parsed.validity().not_after.timestamp();
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| refused(key, "a private key", error.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
        let mut config = config.map_err(|error| TlsError::Pair {
            cert: cert.to_owned(),
            key: key.to_owned(),
            error,
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            not_after_unix_s,
        })
    }
}

/// Reads the files again whenever one of them changes, until nobody listens; what cannot be used leaves the one in
/// force, and is said.
pub async fn follow(cert: PathBuf, key: PathBuf, current: watch::Sender<Certificate>) {
    let mut seen = changed(&cert, &key);
    while !current.is_closed() {
        tokio::time::sleep(LOOK).await;
        let now = changed(&cert, &key);
        if now == seen {
            continue;
        }
        seen = now;
        match Certificate::read(&cert, &key) {
            Ok(certificate) => {
                tracing::info!("{}: read again", cert.display());
                current.send_replace(certificate);
            }
            Err(error) => tracing::error!("the certificate in force stays: {error}"),
        }
    }
}

/// When both files were last changed; follows links, by which such files are often exchanged.
fn changed(cert: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [cert, key].map(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok())
}
