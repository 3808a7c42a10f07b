//! What a configured gateway sets on the host, as its configuration changes.

mod common;

use common::isolated;
use common::plane::{MTU, plane};
use std::fs;
use weir_config::Config;
use weir_gateway::host::Host;

fn config(addresses: &str) -> Config {
    let key = weir_abi::key::PublicKey::from_bytes([9; 32]);
    let text = format!(
        "[interface]\nname = \"weir0\"\nprivate_key = \"{key}\"\naddresses = [{addresses}]\n[gateway]\nforward = true\n"
    );
    Config::parse(&text, "weir.toml", &|path| {
        panic!("no key file is named, not {path:?} either")
    })
    .unwrap_or_else(|problems| panic!("{problems}"))
}

fn forwards(family: &str) -> bool {
    let path = format!("/proc/sys/net/{family}");
    fs::read_to_string(&path).expect(&path).trim() == "1"
}

const FOUR: &str = "ipv4/ip_forward";
const SIX: &str = "ipv6/conf/all/forwarding";

/// Catches a gateway that is given addresses of another family and forwards no packet of it before its next start, and one
/// that says it put back what others took away and did not.
#[test]
fn forwarding_follows_the_addresses() {
    isolated(|| {
        for family in [FOUR, SIX] {
            fs::write(format!("/proc/sys/net/{family}"), "0").expect(family);
        }
        let plane = plane(Vec::new());
        let host = Host::set_up(&config("\"10.9.0.1/24\""), MTU, &plane).expect("root may");
        assert_eq!((forwards(FOUR), forwards(SIX)), (true, false));
        let both = config("\"10.9.0.1/24\", \"fd09::1/64\"");
        host.update(&both, MTU, &plane).expect("root may");
        assert_eq!((forwards(FOUR), forwards(SIX)), (true, true));
        fs::write(format!("/proc/sys/net/{FOUR}"), "0").expect(FOUR);
        host.update(&both, MTU, &plane).expect("root may");
        assert_eq!((forwards(FOUR), forwards(SIX)), (true, true));
        host.withdraw(&plane);
        assert_eq!((forwards(FOUR), forwards(SIX)), (false, false));
    });
}
