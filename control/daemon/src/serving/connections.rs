//! The loop that takes connections of one listener and serves HTTP on each, bounded in number and in patience.

use super::Arrived;
use axum::Router;
use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

/// Connections of one listener at a time; each may hold a stream of events.
const CONNECTIONS_MAX: usize = 512;

/// For which a client may take to send a request's head.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// Requests at a time on one connection of HTTP/2.
const STREAMS_MAX: u32 = 64;

/// After an accept that failed, as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// For which requests under way may take to end when the process is told to; streams of events are cut off then.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// What gives connections.
pub trait Listener: Send + 'static {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The next connection and who is at its other end.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Arrived)>> + Send;
    /// Prepares the connection for HTTP, such as by a TLS handshake, which may take its time.
    fn ready(
        &self,
        stream: Self::Stream,
    ) -> impl Future<Output = io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>> + Send + 'static;
}

/// Serves until `stop` says so and what is under way has ended or [`FAREWELL`] is over.
pub async fn serve(listener: impl Listener, router: Router, mut stop: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = Arc::clone(&permits);
        let next = async {
            let permit = permit
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            () = stopped(&mut stop) => break,
            next = next => next,
        };
        let (stream, arrived) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a connection cannot be taken: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let ready = listener.ready(stream);
        let (router, stop) = (router.clone(), stop.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HEAD_PATIENCE, ready).await {
                Ok(Ok(stream)) => converse(stream, arrived, router, stop).await,
                Ok(Err(error)) => tracing::debug!("a connection is not begun: {error}"),
                Err(_) => tracing::debug!("a connection is not begun in time"),
            }
            drop(permit);
        });
    }
    let all = u32::try_from(CONNECTIONS_MAX).expect("the bound is small");
    // What has not ended by then is cut off with the process.
    let _ = tokio::time::timeout(FAREWELL, permits.acquire_many(all)).await;
}

/// Serves HTTP/1.1 and HTTP/2 on one connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    arrived: Arrived,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        arrived.attach(request.extensions_mut());
        request.map(Body::new)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    let timer = TokioTimer::new();
    builder
        .http1()
        .timer(timer.clone())
        .header_read_timeout(HEAD_PATIENCE);
    builder.http2().timer(timer).max_concurrent_streams(STREAMS_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}

/// Waits until the process is to end; a sender that is gone says so too.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
