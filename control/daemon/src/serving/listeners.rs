//! The three ways in: TCP, TCP with TLS, and a Unix socket whose other end the kernel vouches for.

use super::connections::Listener;
use super::{Arrived, ServingError};
use crate::serving::tls::Certificate;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

/// The mode of the Unix socket: for its user and its group.
const SOCKET_MODE: u32 = 0o660;

/// TCP without encryption, for this host or behind something that encrypts.
pub struct Plain(TcpListener);

impl Plain {
    /// Takes the address.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServingError> {
        bind(address).await.map(Self)
    }

    /// The address in force, its port chosen where 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Listener for Plain {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Arrived)> {
        let (stream, source) = self.0.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, Arrived::Tcp { source, tls: false }))
    }

    fn ready(
        &self,
        stream: TcpStream,
    ) -> impl Future<Output = io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>> + Send + 'static
    {
        std::future::ready(Ok::<_, io::Error>(stream))
    }
}

/// TCP with TLS.
pub struct Tls {
    listener: TcpListener,
    certificate: watch::Receiver<Certificate>,
}

impl Tls {
    /// Takes the address; each connection is begun with the certificate in force then.
    pub async fn bind(
        address: SocketAddr,
        certificate: watch::Receiver<Certificate>,
    ) -> Result<Self, ServingError> {
        let listener = bind(address).await?;
        Ok(Self {
            listener,
            certificate,
        })
    }

    /// The address in force, its port chosen where 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Listener for Tls {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Arrived)> {
        let (stream, source) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, Arrived::Tcp { source, tls: true }))
    }

    fn ready(
        &self,
        stream: TcpStream,
    ) -> impl Future<Output = io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>> + Send + 'static
    {
        let acceptor = self.certificate.borrow().acceptor();
        async move { acceptor.accept(stream).await }
    }
}

/// A Unix socket, removed when dropped.
pub struct Local {
    listener: UnixListener,
    path: PathBuf,
}

impl Local {
    /// Takes the place, if nobody answers there.
    pub fn bind(path: &Path) -> Result<Self, ServingError> {
        let refused = |error| ServingError::Socket {
            path: path.to_owned(),
            error,
        };
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => {
                if std::os::unix::net::UnixStream::connect(path).is_ok() {
                    return Err(refused(io::ErrorKind::AddrInUse.into()));
                }
                fs::remove_file(path).map_err(refused)?;
            }
            Ok(_) | Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(refused)?;
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(refused)?;
        let path = path.to_owned();
        Ok(Self { listener, path })
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // The next start removes what stays.
        let _ = fs::remove_file(&self.path);
    }
}

impl Listener for Local {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Arrived)> {
        let (stream, _) = self.listener.accept().await?;
        let credentials = stream.peer_cred()?;
        let arrived = Arrived::Unix {
            uid: credentials.uid(),
        };
        Ok((stream, arrived))
    }

    fn ready(
        &self,
        stream: UnixStream,
    ) -> impl Future<Output = io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>> + Send + 'static
    {
        std::future::ready(Ok::<_, io::Error>(stream))
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServingError> {
    let refused = |error| ServingError::Address { address, error };
    TcpListener::bind(address).await.map_err(refused)
}
