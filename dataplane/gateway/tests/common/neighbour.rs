//! A neighbour on a wire: the other end of a veth pair, in a network of its own.

use super::{isolated, network_of_this_thread, run};
use std::net::IpAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use weir_gateway::netlink::Netlink;

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(15);

/// The neighbour's addresses.
pub const ADDRESSES: [&str; 2] = ["192.0.2.2", "2001:db8::2"];

/// The neighbour's MAC address.
pub const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x77];

/// Does `work` with a neighbour on the device `near`, told its number.
pub fn beside_one(work: impl FnOnce(&mut Netlink, u32) + Send + 'static) {
    isolated(|| {
        let (tell, number) = mpsc::channel();
        let (joined, join) = mpsc::channel::<()>();
        let (finish, finished) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            isolated(move || {
                tell.send(network_of_this_thread()).expect("listens");
                join.recv().expect("listens");
                run("ip addr add 192.0.2.2/24 dev far");
                run("ip addr add 2001:db8::2/64 dev far nodad");
                run("ip link set far up");
                let _ = finished.recv();
            });
        });
        let number = number.recv().expect("the other namespace");
        run("ip link add near type veth peer name far");
        run(&format!(
            "ip link set far address 02:00:00:00:00:77 netns {number}"
        ));
        run("ip addr add 192.0.2.1/24 dev near");
        run("ip addr add 2001:db8::1/64 dev near nodad");
        run("ip link set near up");
        joined.send(()).expect("listens");
        let mut netlink = Netlink::open().expect("netlink");
        let link = netlink.link("near").expect("it was made").index;
        work(&mut netlink, link);
        finish.send(()).expect("listens");
        other.join().expect("the other namespace's part");
    });
}

/// Has the kernel resolve a neighbour, and says its MAC address. The other end may not be up yet, and then the kernel gives
/// up: it is asked again.
pub fn resolve(netlink: &mut Netlink, link: u32, address: IpAddr) -> [u8; 6] {
    let begun = Instant::now();
    loop {
        netlink.use_neighbour(link, address).expect("the kernel is asked");
        if let Some(mac) = netlink.neighbour(link, address).expect("an answer") {
            return mac;
        }
        assert!(begun.elapsed() < LIMIT, "{address} is not resolved");
        thread::sleep(Duration::from_millis(50));
    }
}
