//! The status socket as a client sees it: no root needed, for the socket's own user may connect.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use weir_abi::desired::Revision;
use weir_abi::ipc::{Reply, Request};
use weir_gateway::ipc::{Client, Handler, Server};
use weir_gateway::unix::{Asker, Audience, BindError};
use weir_gateway::watchers::Watch;

struct Shards;

impl Handler for Shards {
    fn handle(&self, _: Asker, request: Request) -> Reply {
        match request {
            Request::Shards(count) => Reply::Done(Revision(u64::from(count))),
            other => Reply::Failed(format!("{other:?}")),
        }
    }

    fn watch(&self) -> Result<Watch, String> {
        Err("there is nothing to watch".to_owned())
    }
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the test's directory");
    }
}

fn directory(name: &str) -> Directory {
    Directory(std::env::temp_dir().join(format!("weir-{}-{name}", std::process::id())))
}

// Catches a request answered to another client, a client that blocks the next, and a socket left behind.
#[test]
fn clients_ask_side_by_side() {
    let directory = directory("ipc");
    let path = directory.0.join("weir0.sock");
    let server = Server::start(
        Server::bind(&path, Audience::Root).expect("free"),
        Arc::new(Shards),
    )
    .expect("a server");
    let mode = |p: &PathBuf| fs::metadata(p).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&directory.0)), (0o600, 0o700));
    let mut clients: Vec<Client> = (0..10)
        .map(|_| Client::connect_to(&path).expect("the server"))
        .collect();
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            let count = u16::try_from(10 * round + number).expect("small");
            let reply = client.ask(&Request::Shards(count)).expect("an answer");
            assert_eq!(reply, Reply::Done(Revision(u64::from(count))));
        }
    }
    drop(server);
    assert!(!path.exists());
    let gone = clients[0].ask(&Request::Reload).expect_err("closed");
    assert!(!gone.to_string().is_empty());
}

// Catches a start that is blocked by what a killed process left, or that takes a living one's place.
#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let directory = directory("ipc-stale");
    fs::create_dir(&directory.0).expect("a directory for the test");
    let path = directory.0.join("weir0.sock");
    drop(UnixListener::bind(&path).expect("a stale socket"));
    let bound = Server::bind(&path, Audience::Root).expect("nobody answers there");
    let refused = Server::bind(&path, Audience::Root).expect_err("somebody listens there");
    assert!(matches!(&refused, BindError::InUse(p) if *p == path), "{refused}");
    drop(bound);
    assert_eq!(fs::read_dir(&directory.0).expect("it is there").count(), 0);
}
