//! The module `nft` against the kernel, with the tools `nft`, `ip` and `ping` as oracles.
//!
//! ```text
//! client 10.9.0.2, fd09::2 ─ weir0 (gateway) wan0 ─ server 192.0.2.2, 2001:db8::2, which knows no way back
//! ```

mod common;

use common::{isolated, network_of_this_thread, output, run, text};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{getsockopt, sockopt::TcpMaxSeg};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use weir_gateway::nft::{Forwarding, NftError, Rules, Table};
use weir_nic::forward_drops;

/// A network namespace with a thread in it that does what it is told.
struct Node {
    number: String,
    jobs: Option<Sender<Box<dyn FnOnce() + Send>>>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    fn new() -> Self {
        let (jobs, todo) = channel::<Box<dyn FnOnce() + Send>>();
        let (tell, number) = channel();
        let thread = thread::spawn(move || {
            isolated(move || {
                tell.send(network_of_this_thread()).expect("listens");
                todo.iter().for_each(|job| job());
            });
        });
        Self {
            number: number.recv().expect("the node started"),
            jobs: Some(jobs),
            thread: Some(thread),
        }
    }

    fn on<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, done) = channel();
        let job = Box::new(move || tell.send(job()).expect("listens"));
        self.jobs
            .as_ref()
            .expect("open until dropped")
            .send(job)
            .expect("the node runs");
        done.recv().expect("the node's job went well")
    }

    fn run(&self, line: &'static str) -> String {
        self.on(move || run(line))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The drawing above; the caller's thread is the gateway.
fn topology() -> (Node, Node) {
    let (client, server) = (Node::new(), Node::new());
    run(&format!(
        "ip link add weir0 type veth peer name eth0 netns {}",
        client.number
    ));
    run(&format!(
        "ip link add wan0 type veth peer name eth0 netns {}",
        server.number
    ));
    for line in [
        "ip addr add 10.9.0.1/24 dev weir0",
        "ip addr add fd09::1/64 dev weir0 nodad",
        "ip addr add 192.0.2.1/24 dev wan0",
        "ip addr add 2001:db8::1/64 dev wan0 nodad",
        "ip link set weir0 up",
        "ip link set wan0 up",
    ] {
        run(line);
    }
    for line in [
        "ip addr add 10.9.0.2/24 dev eth0",
        "ip addr add fd09::2/64 dev eth0 nodad",
        "ip link set eth0 up",
        "ip route add default via 10.9.0.1",
        "ip -6 route add default via fd09::1",
    ] {
        client.run(line);
    }
    for line in [
        "ip addr add 192.0.2.2/24 dev eth0",
        "ip addr add 2001:db8::2/64 dev eth0 nodad",
        "ip link set eth0 up",
    ] {
        server.run(line);
    }
    (client, server)
}

fn rules() -> Rules {
    Rules {
        masquerade: ["10.9.0.0/24", "172.16.0.0/12", "fd09::/64", "0.0.0.0/0"]
            .map(|p| p.parse().expect(p))
            .to_vec(),
        untranslated: Some("eth7".to_owned()),
        clamp_mss: true,
    }
}

fn pings(node: &Node, line: &'static str) -> bool {
    node.on(move || output(line).status.success())
}

// Catches expressions that the kernel takes and means something else by: `nft` reads them back.
#[test]
fn nft_reads_what_was_meant() {
    isolated(|| {
        let _table = Table::install("weir0", &rules()).expect("a table");
        // Newer releases of `nft` write the flags in the second way.
        let syn = "tcp flags syn / syn,rst";
        let listed = run("nft list table inet weir_weir0").replace("tcp flags & (syn | rst) == syn", syn);
        let clamped = format!("{syn} tcp option maxseg size set rt mtu");
        let lines: Vec<&str> = listed.lines().map(str::trim).collect();
        for expected in [
            "type filter hook forward priority mangle; policy accept;",
            "type nat hook postrouting priority srcnat; policy accept;",
            &format!("iifname \"weir0\" {clamped}"),
            &format!("oifname \"weir0\" {clamped}"),
            "iifname \"weir0\" oifname != \"weir0\" oifname != \"eth7\" ip saddr 10.9.0.0/24 masquerade",
            "iifname \"weir0\" oifname != \"weir0\" oifname != \"eth7\" ip saddr 172.16.0.0/12 masquerade",
            "iifname \"weir0\" oifname != \"weir0\" oifname != \"eth7\" ip6 saddr fd09::/64 masquerade",
            "iifname \"weir0\" oifname != \"weir0\" oifname != \"eth7\" meta nfproto ipv4 masquerade",
        ] {
            assert!(lines.contains(&expected), "not there: {expected}\n{listed}");
        }
    });
}

// Catches a table that outlives its gateway, displaces another's, or is swept away with the operator's own.
#[test]
fn the_table_comes_and_goes_alone() {
    isolated(|| {
        run("nft add table inet operator");
        run("nft add table inet weir_weir0");
        run("nft add chain inet weir_weir0 stale");
        let mut table = Table::install("weir0", &rules()).expect("the stale table is replaced");
        assert!(!run("nft list table inet weir_weir0").contains("stale"));
        assert!(matches!(
            Table::install("weir0", &rules()),
            Err(NftError::NotPermitted(_))
        ));
        let other = Table::install("weir1", &Rules::default()).expect("another interface");
        table.replace(&Rules::default()).expect("fewer rules");
        assert!(!run("nft list table inet weir_weir0").contains("masquerade"));
        table.replace(&rules()).expect("more rules");
        run("nft flush ruleset");
        assert!(run("nft list table inet weir_weir0").contains("masquerade"));
        drop(table);
        let left = run("nft list tables");
        assert!(
            !left.contains("weir_weir0") && left.contains("weir_weir1"),
            "{left}"
        );
        drop(other);
        assert_eq!(run("nft list tables").trim(), "");
    });
}

// Catches NAT that does not translate, or translates what it should not.
#[test]
fn masqueraded_pings_come_back() {
    isolated(|| {
        let (client, server) = topology();
        let four = "ping -c 1 -W 2 192.0.2.2";
        let six = "ping -6 -c 1 -W 2 2001:db8::2";
        let _forwarding = Forwarding::switch_on("weir0", true, true).expect("forwarding");
        assert!(
            !pings(&client, four) && !pings(&client, six),
            "the server knows a way back without NAT"
        );
        let table = Table::install("weir0", &rules()).expect("a table");
        assert!(pings(&client, four) && pings(&client, six));
        // Into the tunnel, nothing is translated: the client sees who asks.
        server.run("ip route add 10.9.0.0/24 via 192.0.2.1");
        let seen = client.on(|| {
            let listener = TcpListener::bind("10.9.0.2:9").expect("a free port");
            listener.set_nonblocking(true).expect("a socket");
            listener
        });
        let connected = server.on(|| TcpStream::connect("10.9.0.2:9").is_ok());
        assert!(connected);
        let (_, from) = client.on(move || seen.accept()).expect("it connected");
        assert_eq!(from.ip().to_string(), "192.0.2.2");
        drop(table);
        server.run("ip route del 10.9.0.0/24");
        assert!(!pings(&client, four));
    });
}

// Catches connections that announce segments which do not fit the tunnel.
#[test]
fn segments_are_clamped_to_the_path() {
    isolated(|| {
        let (client, server) = topology();
        run("ip link set weir0 mtu 1280");
        let _forwarding = Forwarding::switch_on("weir0", true, true).expect("forwarding");
        let mut table = Table::install("weir0", &rules()).expect("a table");
        let mut sizes = |rules: &Rules, to: &'static str, port: u16| {
            table.replace(rules).expect("rules");
            let listener = server.on(move || TcpListener::bind((to, port)).expect("a free port"));
            let near = client.on(move || TcpStream::connect((to, port)).expect("the server"));
            let (far, _) = listener.accept().expect("it connected");
            [&near, &far].map(|s| getsockopt(s, TcpMaxSeg).expect("a connection"))
        };
        let loose = Rules {
            clamp_mss: false,
            ..rules()
        };
        let free = sizes(&loose, "192.0.2.2", 9);
        assert!(free.iter().all(|s| *s > 1240), "{free:?}");
        let clamped = sizes(&rules(), "192.0.2.2", 10);
        assert!(
            clamped.iter().all(|s| *s <= 1240 && *s > 1200),
            "IPv4: {clamped:?}"
        );
        let clamped = sizes(&rules(), "2001:db8::2", 11);
        assert!(
            clamped.iter().all(|s| *s <= 1220 && *s > 1180),
            "IPv6: {clamped:?}"
        );
    });
}

fn sysctl(path: &str) -> String {
    let value = fs::read_to_string(format!("/proc/sys/net/{path}")).expect(path);
    value.trim().to_owned()
}

fn set(path: &str, value: &str) {
    fs::write(format!("/proc/sys/net/{path}"), value).expect(path);
}

const FOUR: &str = "ipv4/ip_forward";
const SIX: &str = "ipv6/conf/all/forwarding";

// Catches a host left forwarding after the last gateway, or not forwarding while there is one.
#[test]
fn forwarding_lasts_as_long_as_a_gateway() {
    isolated(|| {
        set(FOUR, "0");
        set(SIX, "1");
        let first = Forwarding::switch_on("weir0", true, true).expect("forwarding");
        assert_eq!(first.switched(), ["net.ipv4.ip_forward"]);
        let second = Forwarding::switch_on("weir1", true, false).expect("forwarding");
        assert!(second.switched().is_empty());
        drop(first);
        assert_eq!((sysctl(FOUR), sysctl(SIX)), ("1".into(), "1".into()));
        drop(second);
        assert_eq!((sysctl(FOUR), sysctl(SIX)), ("0".into(), "1".into()));
        let left = fs::read_dir("/run/weir/forwarding").expect("it is there");
        assert_eq!(left.count(), 0);
    });
}

// Catches a killed gateway's switch that is never set back.
#[test]
fn a_killed_gateway_is_cleaned_up_after() {
    isolated(|| {
        set(FOUR, "1");
        let notes = Forwarding::directory().expect("a namespace has a cookie");
        fs::create_dir_all(&notes).expect("an own /run");
        for (name, text) in [
            ("switched.net:ipv4:ip_forward", "0 1"),
            ("switched.net:ipv6:conf:gone0:accept_ra", "1 2"),
            ("holder.weirdead", ""),
        ] {
            fs::write(notes.join(name), text).expect(name);
        }
        drop(Forwarding::switch_on("weir0", true, false).expect("forwarding"));
        assert_eq!(sysctl(FOUR), "0");
        let left = fs::read_dir("/run/weir/forwarding").expect("it is there");
        assert_eq!(left.count(), 0);
    });
}

// Catches gateways of two network namespaces that share /run, where the one that stops leaves its host forwarding
// because the other still runs, or sets back what the other needs.
#[test]
fn each_network_namespace_is_set_back_for_itself() {
    isolated(|| {
        let (stop, stopped) = channel::<()>();
        let (ready, other_runs) = channel();
        let other = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            set(FOUR, "0");
            let forwarding = Forwarding::switch_on("weir1", true, false).expect("forwarding");
            ready.send(()).expect("listens");
            let _ = stopped.recv();
            let during = sysctl(FOUR);
            drop(forwarding);
            (during, sysctl(FOUR))
        });
        other_runs.recv().expect("the other gateway started");
        set(FOUR, "0");
        drop(Forwarding::switch_on("weir0", true, false).expect("forwarding"));
        assert_eq!(sysctl(FOUR), "0");
        drop(stop);
        assert_eq!(other.join().expect("the other gateway"), ("1".into(), "0".into()));
    });
}

// Catches a failure, as in a container, that hangs or leaves something behind.
#[test]
fn what_cannot_be_switched_is_told() {
    isolated(|| {
        set(FOUR, "0");
        let none = None::<&str>;
        let sysctls = "/proc/sys";
        mount(Some(sysctls), sysctls, none, MsFlags::MS_BIND, none).expect("a mount of its own");
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(none, sysctls, none, flags, none).expect("made read-only");
        let refused = Forwarding::switch_on("weir0", true, true).expect_err("it is read-only");
        assert!(
            refused.to_string().contains("/proc/sys/net/ipv4/ip_forward"),
            "{refused}"
        );
        let left = fs::read_dir("/run/weir/forwarding").expect("it is there");
        assert_eq!(left.count(), 0);
    });
}

// Catches a host that loses its IPv6 default route because it became a router.
#[test]
fn router_advertisements_stay_accepted() {
    isolated(|| {
        set(SIX, "0");
        run("ip link add wan0 type veth peer name far0");
        run("ip link add lan0 type veth peer name far1");
        run("ip link set wan0 up");
        run("ip -6 route add default via fe80::1 dev wan0 proto ra");
        let (wan, lan) = ("ipv6/conf/wan0/accept_ra", "ipv6/conf/lan0/accept_ra");
        set(wan, "1");
        set(lan, "1");
        let forwarding = Forwarding::switch_on("weir0", true, true).expect("forwarding");
        assert_eq!(
            (sysctl(SIX), sysctl(wan), sysctl(lan)),
            ("1".into(), "2".into(), "1".into())
        );
        drop(forwarding);
        assert_eq!((sysctl(SIX), sysctl(wan)), ("0".into(), "1".into()));
    });
}

// Catches an operator who is not told why nothing passes.
#[test]
fn chains_that_drop_are_named() {
    isolated(|| {
        assert_eq!(forward_drops().expect("chains"), Vec::<String>::new());
        run("nft add table ip filter");
        run("nft add chain ip filter FORWARD {type filter hook forward priority 0;policy drop;}");
        run("nft add chain ip filter INPUT {type filter hook input priority 0;policy drop;}");
        run("nft add table inet calm");
        run("nft add chain inet calm forward {type filter hook forward priority 0;policy accept;}");
        assert_eq!(forward_drops().expect("chains"), ["ip filter FORWARD"]);
        let listed = text(&output("nft list ruleset").stdout);
        assert!(listed.contains("policy drop"), "{listed}");
    });
}
