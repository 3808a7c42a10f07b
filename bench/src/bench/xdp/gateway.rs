//! Weir between the two devices, and a far end that has a session with it.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;

use weir_noise::Keypair;
use weir_xdp_prog::AttachMode;

use super::super::{cores, sessions};
use super::lab::{FAR, GATEWAY, HANDSHAKE_PORT, Lab};
use super::stores::Stores;
use super::threads::Thread;
use super::{Cores, Direction, frames, mode_name, sender};
use crate::configured::Configured;
use crate::device_config::KeyPair;
use crate::{LabError, Result, programs};

/// The number of the far end among our clients.
const CLIENT: u32 = 1;

/// A running gateway, its shards held to cores, with a session at home on the first.
pub(super) struct Gateway {
    /// The far end's half of the session.
    pub session: Keypair,
    /// The threads of the shards.
    pub shards: Vec<Thread>,
    configured: Configured,
}

/// What a shard has received since it began.
pub(super) struct Received {
    /// Frames.
    pub frames: u64,
    /// Bursts of each class of [`super::bursts`].
    pub bursts: [u64; 7],
}

impl Gateway {
    /// Starts it with one or two shards. The far end shakes hands on the first queue, so that its home is the first
    /// shard, and from then on speaks from another port. `aead` names the back end, where it is not to be the best.
    pub fn start(
        (lab, stores): (&Lab, &Stores),
        mode: AttachMode,
        shards: usize,
        held: &Cores,
        aead: Option<&str>,
    ) -> Result<Self> {
        // What is no shard works beside them.
        cores::hold(&held.rest)?;
        let key = KeyPair::seeded(1);
        let interface = lab.topology().interface("gw");
        let toml = toml(lab, &interface, &key, mode, shards);
        let mut command = Command::new(programs::weir("weir-dataplane")?);
        command.envs(aead.map(|name| (weir_crypto::VARIABLE, name)));
        let mut configured =
            Configured::start_by(lab.topology(), &lab.gateway, &interface, &toml, &mut command)?;
        let pid = configured.process().pid();
        let mut threads = Vec::new();
        for (shard, core) in (0..shards).zip([held.home, held.other]) {
            let thread = Thread::named(pid, &format!("weir-shard-{shard}"))?;
            cores::hold_thread(thread.number(), &[core])?;
            threads.push(thread);
        }
        let mut session = shake_hands(lab, stores, &key)?;
        speak(lab, stores, &mut session)?;
        Ok(Self {
            session,
            shards: threads,
            configured,
        })
    }

    /// Frames that a shard received since it began, and how many of them it handed to another.
    pub fn received_and_handed_over(&self, shard: usize) -> Result<[u64; 2]> {
        let status = self.configured.status()?;
        let shard = &status["shards"][shard];
        let ports = shard["ports"].as_array().into_iter().flatten();
        let received = ports.filter_map(|port| port["rx_frames"].as_u64()).sum();
        match shard["handed_over"].as_u64() {
            Some(handed) if received > 0 => Ok([received, handed]),
            Some(_) | None => Err(LabError::Unreadable {
                program: "weir status",
                expected: "frames that the shard received",
                output: shard.to_string(),
            }),
        }
    }
}

impl Gateway {
    /// The back end that it says it uses.
    pub fn aead(&self) -> Result<String> {
        let status = self.configured.status()?;
        let name = status["aead"].as_str().map(str::to_owned);
        name.ok_or_else(|| LabError::Unreadable {
            program: "weir status",
            expected: "AEAD back end",
            output: status.to_string(),
        })
    }

    /// What its first shard has received.
    pub fn received(&self) -> Result<Received> {
        let status = self.configured.status()?;
        let shard = &status["shards"][0];
        let ports = shard["ports"].as_array().into_iter().flatten();
        let frames = ports.filter_map(|port| port["rx_frames"].as_u64()).sum();
        let bursts: Option<Vec<u64>> = shard["burst_sizes"]
            .as_array()
            .map(|classes| classes.iter().filter_map(serde_json::Value::as_u64).collect());
        let bursts = bursts.and_then(|bursts| bursts.try_into().ok());
        let unreadable = || LabError::Unreadable {
            program: "weir status",
            expected: "bursts that the shard received",
            output: shard.to_string(),
        };
        Ok(Received {
            frames,
            bursts: bursts.ok_or_else(unreadable)?,
        })
    }
}

fn toml(lab: &Lab, interface: &str, key: &KeyPair, mode: AttachMode, shards: usize) -> String {
    let folder: PathBuf = lab.topology().folder().to_owned();
    let mode = mode_name(mode);
    format!(
        "[dataplane]\nstate_directory = \"{}\"\nshards = {shards}\n\n\
         [interface]\nname = \"{interface}\"\nprivate_key = \"{}\"\nlisten_port = {}\n\
         addresses = [\"10.77.0.1/24\"]\nmtu = 1420\n\n[gateway]\nforward = true\n\n\
         [[port]]\ndevice = \"wan\"\nrole = \"wan\"\nmode = \"{mode}\"\n\n\
         [[port]]\ndevice = \"lan\"\nrole = \"lan\"\nmode = \"{mode}\"\nbypass_nftables = true\n\n\
         [[peer]]\nname = \"far end\"\npublic_key = \"{}\"\nallowed_ips = [\"10.77.0.2/32\"]\n",
        folder.display(),
        *key.private().expose_base64(),
        GATEWAY.port(),
        sessions::public_key(CLIENT),
    )
}

/// Has the far end be where its datagrams are dropped: the gateway answers to where it last heard an authentic message
/// from (whitepaper, 6.5).
fn speak(lab: &Lab, stores: &Stores, session: &mut Keypair) -> Result<()> {
    let keepalive = frames::keepalive(lab, session)?;
    let mut queue = sender::open(lab, stores, Direction::In, 0)?;
    let mut batch = Vec::from_iter(sender::fresh(&mut queue, &keepalive));
    queue.transmit(&mut batch);
    stores.close(queue);
    Ok(())
}

/// Sends the far end's messages on the first queue of the WAN's other end, and hears the answers by its kernel.
fn shake_hands(lab: &Lab, stores: &Stores, gateway: &KeyPair) -> Result<Keypair> {
    let open = || -> std::io::Result<_> {
        let socket = UdpSocket::bind((FAR, HANDSHAKE_PORT))?;
        socket.set_read_timeout(Some(sessions::ANSWER_LIMIT))?;
        Ok(socket)
    };
    let socket = lab
        .far
        .enter(open)
        .map_err(LabError::io("open the far end's socket"))?;
    let mut queue = sender::open(lab, stores, Direction::In, 0)?;
    let session = sessions::shake_hands(&socket, CLIENT, gateway.public(), |message| {
        let frame = frames::datagram(lab, HANDSHAKE_PORT, message);
        let mut batch = Vec::from_iter(sender::fresh(&mut queue, &frame));
        queue.transmit(&mut batch);
        Ok(())
    });
    stores.close(queue);
    session
}
