//! A router that translates, with an address that it can be made to lose.

use crate::{Namespace, Result, Topology, private_file, programs};

/// The addresses that [`translate`] expects on the outer device: it translates to the first while that is there, and to
/// the second afterwards.
pub const OUTSIDE: [&str; 2] = ["192.0.2.251/24", "192.0.2.252/24"];

/// Has a router translate all UDP that it forwards to its device `outer`, which has the addresses [`OUTSIDE`], each
/// connection with a port of the kernel's choice.
pub fn translate(topology: &Topology, router: &Namespace, outer: &str) -> Result<()> {
    router.forward()?;
    // The second address outlives the first.
    router.sysctl(&format!("net.ipv4.conf.{outer}.promote_secondaries"), "1")?;
    let masquerade = format!(
        "add table ip nat\n\
         add chain ip nat post {{ type nat hook postrouting priority srcnat; }}\n\
         add rule ip nat post oifname {outer} meta l4proto udp masquerade to :40000-60000 fully-random\n"
    );
    let rules = topology.folder().join(format!("{}.nft", router.name()));
    private_file::write(&rules, &masquerade)?;
    router.run(programs::tool("nft")?.arg("-f").arg(&rules)).map(drop)
}

/// Has such a router lose its first address. Connections translated to it end with it.
pub fn lose_address(router: &Namespace, outer: &str) -> Result<()> {
    router
        .ip(&format!("address delete {} dev {outer}", OUTSIDE[0]))
        .map(drop)
}
