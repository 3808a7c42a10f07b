//! Access rules on what passes from a tunnel to a LAN port of AF_XDP, which the kernel's own filters never see: what the
//! rules let through by groups, what they deny, and that it is counted and told.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod xdp;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use weir_bench::configured::drops;
use weir_bench::gateway_topology::{client_address, server_address};
use weir_bench::tunnel::{Family, Side};
use weir_bench::xdp_lab::Setup;
use weir_bench::{Implementation, wait};
use xdp::{LIMIT, Pair};

const WEB: u16 = 8080;
const DNS: u16 = 5353;

/// How long a connection that is denied is waited for; that it was denied is read from the counters.
const DENIED: Duration = Duration::from_millis(700);

/// How often a denied datagram is sent.
const TIMES: u64 = 5;

/// The client is of the staff, which may ping and open the web to the server; the guests might ask it names besides.
fn rules() -> String {
    format!(
        "groups = [\"staff\"]\n\n\
         [[peer]]\nname = \"other\"\npublic_key = \"MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=\"\n\
         allowed_ips = [\"10.77.0.3/32\"]\ngroups = [\"guests\"]\n\n\
         [[rule]]\nname = \"web\"\naction = \"accept\"\nfrom = [\"group:staff\"]\n\
         to = [\"198.51.100.0/24\", \"2001:db8:2::/64\"]\nprotocol = \"tcp\"\nports = [{WEB}]\n\n\
         [[rule]]\nname = \"names\"\naction = \"accept\"\nfrom = [\"group:guests\"]\nprotocol = \"udp\"\n\n\
         [[rule]]\nname = \"ping\"\naction = \"accept\"\nprotocol = \"icmp\"\n\n\
         [[rule]]\nname = \"the rest\"\naction = \"deny\"\nlog = true\n"
    )
}

fn denied(pair: &Pair) -> u64 {
    drops(&pair.lab.gateway.status().unwrap(), "rule_denied")
}

/// A connection from the client to a port of the server, or none if nothing answers within `limit`.
fn connect(pair: &Pair, address: SocketAddr, limit: Duration) -> Option<[TcpStream; 2]> {
    let (client, server) = (pair.namespace(Side::Left), pair.namespace(Side::Right));
    let listener = server.enter(|| TcpListener::bind(address)).unwrap();
    let near = client
        .enter(|| TcpStream::connect_timeout(&address, limit))
        .ok()?;
    let (far, _) = listener.accept().unwrap();
    far.set_read_timeout(Some(LIMIT)).unwrap();
    Some([near, far])
}

fn socket(pair: &Pair, side: Side, address: SocketAddr) -> UdpSocket {
    let socket = pair.namespace(side).enter(|| UdpSocket::bind(address)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// Catches a LAN port by which a peer gets around the rules of its group, or that lets less through than they do; a denied
/// packet that is not counted once, and a denied flow that is told not at all or for each of its packets.
#[test]
fn rules_hold_on_the_way_to_a_lan_port() {
    for mode in ["driver", "generic"] {
        let setup = Setup {
            mode,
            more: rules(),
            ..Setup::default()
        };
        let mut pair = Pair::new(Implementation::Weir, setup);
        pair.await_answers(Side::Left, LIMIT);
        assert_eq!(denied(&pair), 0, "{mode}");
        let before = pair.lab.kernel_bytes().unwrap();
        for family in Family::BOTH {
            let [mut near, mut far] = connect(&pair, (server_address(family), WEB).into(), LIMIT).unwrap();
            let sent = vec![7; 1 << 20];
            std::thread::scope(|scope| {
                scope.spawn(|| near.write_all(&sent).unwrap());
                let mut received = vec![0; sent.len()];
                far.read_exact(&mut received).unwrap();
            });
            asked_in_vain(&mut pair, family);
            answered(&pair, family);
        }
        let after = pair.lab.kernel_bytes().unwrap();
        assert!(
            after.all() - before.all() < 200_000,
            "{mode}: packets went by the kernel"
        );
        let status = pair.lab.gateway.status().unwrap();
        let rules = &status["rules"];
        assert_eq!(rules[3]["packets"], drops(&status, "rule_denied"), "{rules}");
        assert!(rules[0]["packets"].as_u64() >= Some(2), "{rules}");
        assert_eq!(
            rules[1]["packets"], 0,
            "what guests may is nothing to the staff: {rules}"
        );
    }
}

/// A connection to another port, and datagrams of one flow, which guests alone may send.
fn asked_in_vain(pair: &mut Pair, family: Family) {
    let counted = denied(pair);
    assert!(connect(pair, (server_address(family), WEB + 1).into(), DENIED).is_none());
    wait::until_true("a denied connection", LIMIT, || denied(pair) > counted).unwrap();
    let asking = socket(pair, Side::Left, (client_address(family), 0).into());
    let name = SocketAddr::new(server_address(family), DNS);
    let counted = denied(pair);
    for _ in 0..TIMES {
        asking.send_to(b"?", name).unwrap();
    }
    wait::until_true("denied datagrams", LIMIT, || denied(pair) >= counted + TIMES).unwrap();
    let line = format!(
        "denied udp from {} to {name}, peer client (",
        asking.local_addr().unwrap()
    );
    let mut log = || pair.lab.gateway.process().log();
    wait::until_true("the denied flow in the log", LIMIT, || log().contains(&line)).unwrap();
    // What follows in the log is later than anything that was to be told of that flow.
    let later = socket(pair, Side::Left, (client_address(family), 0).into());
    later.send_to(b"?", name).unwrap();
    let next = format!("denied udp from {} to {name}", later.local_addr().unwrap());
    let mut log = || pair.lab.gateway.process().log();
    wait::until_true("another denied flow in the log", LIMIT, || log().contains(&next)).unwrap();
    let log = log();
    assert_eq!(log.matches(&line).count(), 1, "{log}");
}

/// The server asks, and the client may answer although it might not ask.
fn answered(pair: &Pair, family: Family) {
    let asking = socket(pair, Side::Right, (server_address(family), 0).into());
    let answering = socket(pair, Side::Left, (client_address(family), DNS).into());
    let counted = denied(pair);
    let mut byte = [0];
    asking.send_to(b"?", answering.local_addr().unwrap()).unwrap();
    let (_, from) = answering.recv_from(&mut byte).unwrap();
    answering.send_to(b"!", from).unwrap();
    let (_, from) = asking.recv_from(&mut byte).unwrap();
    assert_eq!((byte, from), (*b"!", answering.local_addr().unwrap()));
    assert_eq!(denied(pair), counted);
}
