//! Serves the API over the backend in memory that its tests use, on loopback, for tools that need a socket. Prints the
//! address and an administrator's token, each on a line, and serves until its standard input ends.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a tool that cannot go on has failed")]

#[path = "../tests/common/fake/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod fake;

use axum::ServiceExt as _;
use axum::extract::{ConnectInfo, Request};
use fake::Fake;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use tower::ServiceBuilder;
use weir_api::Api;
use weir_api::auth::connection::Connection;
use weir_api::auth::secret;
use weir_api::backend::TokenRecord;
use weir_api::types::{Role, Scope};

#[tokio::main]
async fn main() {
    let fake = Fake::new();
    let token = secret::new_token().expect("random bytes");
    fake.held().tokens.push(TokenRecord {
        id: "schemathesis".to_owned(),
        hash: secret::hash(&token),
        name: "schemathesis".to_owned(),
        role: Role::Administrator,
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
        used_at: None,
    });
    let backend: Arc<dyn weir_api::Backend> = fake.clone();
    let api = Api::new(backend, fake.clock(), 0).expect("a password is hashed");
    let router = weir_api::router(Arc::new(api), None);
    let connected = |mut request: Request| {
        let address = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(address)| *address);
        if let Some(address) = address {
            request
                .extensions_mut()
                .insert(Connection::Tcp { address, tls: false });
        }
        request
    };
    let service = ServiceBuilder::new().map_request(connected).service(router);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port of loopback");
    println!(
        "http://{}\n{}",
        listener.local_addr().expect("an address"),
        *token
    );
    let closed = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let served = axum::serve(
        listener,
        service.into_make_service_with_connect_info::<SocketAddr>(),
    );
    tokio::select! {
        served = served => served.expect("the server goes on"),
        _ = closed => {}
    }
}
