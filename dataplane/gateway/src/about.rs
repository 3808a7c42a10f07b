//! What is to be told of this run beside what the data plane does: which run it is, and what its file says to clients.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use weir_abi::endpoint::Endpoint;
use weir_config::Config;

/// One run of the gateway.
pub struct About {
    started: Instant,
    boot_id: [u8; 16],
    config_path: Option<String>,
    configured: Mutex<Configured>,
}

/// What the configuration file says that the data plane itself has no use for.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Configured {
    /// The interface's addresses with the lengths of their networks.
    pub addresses: Vec<String>,
    /// Where clients are told to reach the gateway.
    pub client_endpoint: Option<Endpoint>,
    /// Name servers and search domains for clients.
    pub dns: Vec<String>,
    /// Seconds between keepalives of clients; 0 is off.
    pub keepalive_s: u16,
    /// Whether the kernel's forwarding is switched on.
    pub forwarding: bool,
    /// Whether what leaves from the tunnel is masqueraded.
    pub nat: bool,
}

impl Configured {
    /// What `config` says.
    pub fn of(config: &Config) -> Self {
        let interface = &config.interface;
        Self {
            addresses: interface.addresses.iter().map(ToString::to_string).collect(),
            client_endpoint: interface.endpoint.clone(),
            dns: interface.dns.iter().map(ToString::to_string).collect(),
            keepalive_s: config.dataplane.keepalive_s,
            forwarding: config.gateway.forward,
            nat: config.gateway.nat,
        }
    }
}

impl About {
    /// A run that begins now, of the gateway that `file` describes.
    ///
    /// # Panics
    /// If the kernel has no random bytes.
    pub fn begin(file: Option<(&Path, &Config)>) -> Self {
        let mut boot_id = [0; 16];
        let filled = getrandom::fill(&mut boot_id);
        assert!(
            filled.is_ok(),
            "the kernel has no random bytes for the boot's number"
        );
        Self {
            started: Instant::now(),
            boot_id,
            config_path: file.map(|(path, _)| path.display().to_string()),
            configured: Mutex::new(file.map(|(_, config)| Configured::of(config)).unwrap_or_default()),
        }
    }

    /// The file was read again.
    pub fn read_again(&self, config: &Config) {
        *self.configured.lock().unwrap_or_else(PoisonError::into_inner) = Configured::of(config);
    }

    /// Random for each run.
    pub fn boot_id(&self) -> [u8; 16] {
        self.boot_id
    }

    /// Seconds since the beginning.
    pub fn uptime_s(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// The file's place, where there is one.
    pub fn config_path(&self) -> Option<String> {
        self.config_path.clone()
    }

    /// What the file says.
    pub fn configured(&self) -> Configured {
        self.configured
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
