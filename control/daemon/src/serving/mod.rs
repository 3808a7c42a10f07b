//! Serving: the API and the page on a Unix socket, on TCP, and on TCP with TLS.

mod connections;
mod listeners;
pub mod page;
pub mod tls;

use crate::options::{Options, OptionsError};
use axum::Router;
use listeners::{Local, Plain, Tls};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tls::{Certificate, TlsError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use weir_api::auth::connection::{Connection, UnixPeer};

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// An address that cannot be taken.
    #[error("{address}: {error}; is something else served there?")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// A socket that cannot be made.
    #[error("{}: {error}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A certificate that cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Options that contradict each other.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Nothing is served anywhere.
    #[error("nothing to serve on: expected --socket, --listen, or both")]
    Nowhere,
}

/// Who is at the other end of a connection, as the kernel tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrived {
    /// A process of this host.
    Unix {
        /// Its user.
        uid: u32,
    },
    /// Somebody with an address.
    Tcp {
        /// The address.
        source: SocketAddr,
        /// Whether the connection is encrypted.
        tls: bool,
    },
}

impl Arrived {
    /// Tells the API, with each request of the connection.
    fn attach(self, extensions: &mut http::Extensions) {
        extensions.insert(match self {
            Arrived::Unix { uid } => Connection::Unix(UnixPeer { uid }),
            Arrived::Tcp { source, tls } => Connection::Tcp { address: source, tls },
        });
    }
}

/// Everything that is listened on, bound and not yet served.
pub struct Bound {
    local: Option<Local>,
    plain: Vec<Plain>,
    tls: Vec<Tls>,
    /// The certificate in force, where there is TLS.
    pub certificate: Option<watch::Receiver<Certificate>>,
}

impl Bound {
    /// Takes all places that the options name, or none.
    pub async fn bind(options: &Options) -> Result<Self, ServingError> {
        let local = options.unix_socket().map(|path| Local::bind(path)).transpose()?;
        let addresses = options.addresses()?;
        let certificate = match (&options.tls_cert, &options.tls_key) {
            (Some(cert), Some(key)) => {
                let (sender, receiver) = watch::channel(Certificate::read(cert, key)?);
                tokio::spawn(tls::follow(cert.clone(), key.clone(), sender));
                Some(receiver)
            }
            (None | Some(_), _) => None,
        };
        let (mut plain, mut tls) = (Vec::new(), Vec::new());
        for address in addresses {
            match &certificate {
                Some(certificate) => tls.push(Tls::bind(address, certificate.clone()).await?),
                None => plain.push(Plain::bind(address).await?),
            }
        }
        if local.is_none() && plain.is_empty() && tls.is_empty() {
            return Err(ServingError::Nowhere);
        }
        Ok(Self {
            local,
            plain,
            tls,
            certificate,
        })
    }

    /// The URLs of the page.
    pub fn urls(&self) -> Vec<String> {
        let plain = self.plain.iter().filter_map(|listener| listener.address().ok());
        let tls = self.tls.iter().filter_map(|listener| listener.address().ok());
        let plain = plain.map(|address| format!("http://{address}/"));
        plain
            .chain(tls.map(|address| format!("https://{address}/")))
            .collect()
    }

    /// Serves on all of them until `stop` says so.
    pub async fn serve(self, router: Router, stop: watch::Receiver<bool>) {
        let mut all = JoinSet::new();
        if let Some(local) = self.local {
            all.spawn(connections::serve(local, router.clone(), stop.clone()));
        }
        for listener in self.plain {
            all.spawn(connections::serve(listener, router.clone(), stop.clone()));
        }
        for listener in self.tls {
            all.spawn(connections::serve(listener, router.clone(), stop.clone()));
        }
        all.join_all().await;
    }
}

/// The API, and the page for whatever is not the API's.
pub fn router(api: Arc<weir_api::Api>) -> Router {
    weir_api::router(api, Some(Router::new().fallback(page::serve)))
}
