//! The whole router over a backend in memory, called without a socket.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod fake;

use axum::Router;
use axum::body::{Body, to_bytes};
use fake::Fake;
use fake::samples::PASSWORD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt as _;
use weir_api::Api;
use weir_api::auth::connection::{Connection, UnixPeer};
use weir_api::auth::secret;
use weir_api::backend::TokenRecord;
use weir_api::types::{Role, Scope};

/// Where callers come from unless a test says otherwise.
pub const CLIENT: &str = "192.0.2.7:40000";

/// The router, and what is behind it.
#[derive(Clone)]
pub struct Server {
    pub router: Router,
    pub fake: Arc<Fake>,
}

/// How a caller shows who it is.
#[derive(Clone, Debug)]
pub enum Who {
    Nobody,
    Token(String),
    Session { cookie: String, csrf: String },
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

/// A request that is being put together.
pub struct Call<'a> {
    server: &'a Server,
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: Vec<u8>,
    connection: Option<Connection>,
}

impl Server {
    pub fn new() -> Self {
        Self::with_page(None)
    }

    pub fn with_page(page: Option<Router>) -> Self {
        let fake = Fake::new();
        let backend: Arc<dyn weir_api::Backend> = fake.clone();
        let api = Api::new(backend, fake.clock(), 900).unwrap();
        Self {
            router: weir_api::router(Arc::new(api), page),
            fake,
        }
    }

    pub fn call(&self, method: &str, uri: &str) -> Call<'_> {
        Call {
            server: self,
            method: method.parse().unwrap(),
            uri: uri.to_owned(),
            headers: HeaderMap::new(),
            body: Vec::new(),
            connection: Some(tcp(CLIENT, false)),
        }
    }

    /// A token of this role with these scopes.
    pub fn token(&self, role: Role, scopes: &[Scope]) -> Who {
        let text = secret::new_token().unwrap();
        self.fake.held().tokens.push(TokenRecord {
            id: secret::new_id().unwrap(),
            hash: secret::hash(&text),
            name: format!("{role:?}"),
            role,
            scopes: scopes.to_vec(),
            expires_at: None,
            used_at: None,
        });
        Who::Token(text.to_string())
    }

    pub fn administrator(&self) -> Who {
        self.token(Role::Administrator, Scope::ALL)
    }

    /// Logs a user in.
    pub async fn session(&self, name: &str) -> Who {
        let answer = self
            .call("POST", "/v1/session")
            .json(json!({"name": name, "password": PASSWORD}))
            .send()
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie = answer.headers["set-cookie"]
            .to_str()
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        Who::Session {
            cookie,
            csrf: answer.value()["csrf_token"].as_str().unwrap().to_owned(),
        }
    }
}

impl Call<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers
            .insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub fn json(self, body: Value) -> Self {
        self.bytes("application/json", body.to_string().into_bytes())
    }

    pub fn bytes(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.body = body;
        self.header("content-type", content_type)
    }

    pub fn by(self, who: &Who) -> Self {
        match who {
            Who::Nobody => self,
            Who::Token(token) => self.header("authorization", &format!("Bearer {token}")),
            Who::Session { cookie, csrf } => self.header("cookie", cookie).header("x-csrf-token", csrf),
        }
    }

    pub fn over(mut self, connection: Option<Connection>) -> Self {
        self.connection = connection;
        self
    }

    pub async fn send(self) -> Answer {
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.uri)
            .body(Body::from(self.body))
            .unwrap();
        *request.headers_mut() = self.headers;
        request
            .headers_mut()
            .entry("host")
            .or_insert(HeaderValue::from_static("gateway.example"));
        if let Some(connection) = self.connection {
            request.extensions_mut().insert(connection);
        }
        let response = self.server.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            bytes,
        }
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that it is a problem of this kind.
    #[track_caller]
    pub fn is_problem(&self, status: u16, kind: &str) {
        let text = self.text();
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{text}");
        let value = self.value();
        assert_eq!(value["type"], format!("/v1/problems#{kind}"), "{text}");
        assert_eq!(value["status"], status, "{text}");
        assert!(
            !value["title"].as_str().unwrap().is_empty() && !value["detail"].as_str().unwrap().is_empty()
        );
    }
}

/// A TCP connection from this address.
pub fn tcp(address: &str, tls: bool) -> Connection {
    Connection::Tcp {
        address: address.parse().unwrap(),
        tls,
    }
}

/// A Unix socket's connection from a process of this user.
pub fn unix(uid: u32) -> Option<Connection> {
    Some(Connection::Unix(UnixPeer { uid }))
}

/// Every route of the table with something in its placeholders.
pub fn filled(path: &str) -> String {
    path.replace("{public_key}", &fake::samples::KEY.replace('=', ""))
        .replace("{name}", "viewer")
        .replace("{id}", "c1")
        .replace("{*file}", "index.html")
}
