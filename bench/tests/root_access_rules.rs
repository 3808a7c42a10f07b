//! Access rules of a configured gateway, over real sockets: what a client may open, what answers it may give, what is
//! counted and logged, and a file that changes them under its connections.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use weir_abi::desired::Origin;
use weir_abi::events::EventKind;
use weir_abi::ipc::Request;
use weir_bench::configured::drops;
use weir_bench::configured_lab::ConfiguredLab;
use weir_bench::gateway_topology::{client_address, gateway_address, server_address};
use weir_bench::ipc::Client;
use weir_bench::tunnel::Family;
use weir_bench::{Implementation, Namespace, wait};

/// How long what must arrive may take.
const LIMIT: Duration = Duration::from_secs(15);

/// How long what must not arrive is waited for; that it was dropped is read from the counters.
const DENIED: Duration = Duration::from_millis(700);

const WEB: u16 = 8080;
const TELNET: u16 = 2323;
const DNS: u16 = 5353;

/// The client is of the staff, which may ping, open the web to the server and nothing else.
fn staff_only() -> String {
    format!(
        "groups = [\"staff\"]\n\n\
         [[rule]]\nname = \"web\"\naction = \"accept\"\nfrom = [\"group:staff\"]\n\
         to = [\"198.51.100.0/24\", \"2001:db8:2::/64\"]\nprotocol = \"tcp\"\nports = [{WEB}]\n\n\
         [[rule]]\nname = \"ping\"\naction = \"accept\"\nprotocol = \"icmp\"\n\n\
         [[rule]]\nname = \"the rest\"\naction = \"deny\"\nlog = true\n"
    )
}

/// A connection from one namespace to a listener in another, or none if nothing answers within `limit`.
fn connect(from: &Namespace, to: &Namespace, address: SocketAddr, limit: Duration) -> Option<[TcpStream; 2]> {
    let listener = to.enter(|| TcpListener::bind(address)).unwrap();
    let near = from.enter(|| TcpStream::connect_timeout(&address, limit)).ok()?;
    let (far, _) = listener.accept().unwrap();
    for stream in [&near, &far] {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
    }
    Some([near, far])
}

/// What one end writes, the other must read.
fn carries([near, far]: &[TcpStream; 2]) {
    let mut byte = [0];
    for (mut from, mut to) in [(near, far), (far, near)] {
        from.write_all(b"x").unwrap();
        to.read_exact(&mut byte).unwrap();
    }
}

fn socket(namespace: &Namespace, address: SocketAddr) -> UdpSocket {
    let socket = namespace.enter(|| UdpSocket::bind(address)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

fn denied(lab: &ConfiguredLab) -> u64 {
    drops(&lab.gateway.status().unwrap(), "rule_denied")
}

/// Whether a watcher hears that the third rule denied a connection to this place.
fn hears_of(watcher: &mut Client, address: SocketAddr) -> bool {
    let told = watcher.hear().unwrap();
    told.into_iter().any(|event| match event.what {
        EventKind::Denied(flow) => {
            flow.rule == Some((Origin::File, 3))
                && flow.rule_name.as_deref() == Some("the rest")
                && flow.peer.is_some()
                && (flow.destination, flow.destination_port) == (address.ip(), Some(address.port()))
        }
        _ => false,
    })
}

/// Has the gateway follow a file with this at its end.
fn reload(lab: &mut ConfiguredLab, more: &str) {
    lab.gateway.write(&lab.toml(more)).unwrap();
    lab.gateway.reload().unwrap();
}

/// Catches a rule of the file that is not in force or decides otherwise on the way between real kernels, answers that
/// are taken for flows, denials that are not counted, logged and told to watchers, and a reload that ends connections or sessions.
#[test]
fn a_client_opens_what_the_rules_let_it() {
    let mut lab = ConfiguredLab::new(Implementation::Weir).unwrap();
    let (client, host) = (lab.client.namespace().clone(), lab.gateway.namespace().clone());
    let server = lab.server.clone();
    let telnet = |family| SocketAddr::new(server_address(family), TELNET);
    let before = Family::BOTH.map(|family| connect(&client, &server, telnet(family), LIMIT).unwrap());
    assert_eq!(denied(&lab), 0);
    let handshakes = lab.gateway.status().unwrap()["shards"][0]["handshakes"].clone();

    let mut watcher = Client::connect(lab.gateway.interface()).unwrap();
    watcher.ask(&Request::Watch).unwrap();
    reload(&mut lab, &staff_only());
    before.iter().for_each(carries);
    for family in Family::BOTH {
        lab.await_answer(server_address(family)).unwrap();
        let web = SocketAddr::new(server_address(family), WEB);
        carries(&connect(&client, &server, web, LIMIT).unwrap());
        let dropped = denied(&lab);
        let on_gateway = SocketAddr::new(gateway_address(family), WEB);
        for address in [telnet(family), on_gateway] {
            let place = if address == on_gateway { &host } else { &server };
            assert!(connect(&client, place, address, DENIED).is_none(), "{address}");
        }
        assert!(denied(&lab) >= dropped + 2);

        // The gateway's side asks the client, which answers, and may not ask in its turn.
        let asking = socket(&host, SocketAddr::new(gateway_address(family), DNS));
        let answering = socket(&client, SocketAddr::new(client_address(family), DNS));
        let other = socket(&client, SocketAddr::new(client_address(family), DNS + 1));
        let dropped = denied(&lab);
        other.send_to(b"?", asking.local_addr().unwrap()).unwrap();
        wait::until_true("a denied datagram", LIMIT, || denied(&lab) > dropped).unwrap();
        let mut byte = [0];
        asking.send_to(b"?", answering.local_addr().unwrap()).unwrap();
        let (_, from) = answering.recv_from(&mut byte).unwrap();
        answering.send_to(b"!", from).unwrap();
        let answer = asking.recv_from(&mut byte).unwrap();
        assert_eq!((byte, answer.1), (*b"!", answering.local_addr().unwrap()));
        // And to the gateway's side a connection is opened from there.
        let of_client = SocketAddr::new(client_address(family), TELNET);
        carries(&connect(&host, &client, of_client, LIMIT).unwrap());
    }
    wait::until_true("the denied flows in the log", LIMIT, || {
        let log = lab.gateway.process().log();
        let line = |from: &str, to: SocketAddr| {
            log.lines().any(|line| {
                line.contains(&format!("denied {from}"))
                    && line.contains(&format!(" to {to}, peer client ("))
                    && line.contains("by access rule 3 (the rest)")
            })
        };
        Family::BOTH.iter().all(|&family| {
            line("tcp", telnet(family)) && line("udp", SocketAddr::new(gateway_address(family), DNS))
        })
    })
    .unwrap();
    let limit = Instant::now() + LIMIT;
    while !hears_of(&mut watcher, telnet(Family::V4)) {
        assert!(Instant::now() < limit, "a watcher hears nothing of it");
    }
    let status = lab.gateway.status().unwrap();
    let rules = &status["rules"];
    assert_eq!(rules[0]["name"], "web");
    assert!(rules[0]["packets"].as_u64() >= Some(2), "{rules}");
    assert_eq!(rules[2]["packets"], drops(&status, "rule_denied"));

    reload(&mut lab, "");
    for family in Family::BOTH {
        carries(&connect(&client, &server, telnet(family), LIMIT).unwrap());
    }
    before.iter().for_each(carries);
    let status = lab.gateway.status().unwrap();
    assert_eq!(status["rules"], serde_json::json!([]));
    assert_eq!(
        status["shards"][0]["handshakes"], handshakes,
        "the session went on"
    );
}
