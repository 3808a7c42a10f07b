//! A backend in memory: the desired facts as the UAPI sees them, without an engine.

use nix::errno::Errno;
use std::sync::{Mutex, MutexGuard};
use weir_abi::change::{AllowedIpChange, Change, PeerChange};
use weir_abi::endpoint::Endpoint;
use weir_gateway::uapi::{Backend, InterfaceView, PeerView};

#[derive(Default)]
pub struct Memory(Mutex<InterfaceView>, Mutex<Option<Errno>>);

impl Memory {
    pub fn view(&self) -> MutexGuard<'_, InterfaceView> {
        self.0.lock().expect("no test panics while it looks")
    }

    /// Answers everything with this from now on.
    pub fn refuse(&self, errno: Errno) {
        *self.1.lock().expect("no test panics while it looks") = Some(errno);
    }

    fn refused(&self) -> Result<(), Errno> {
        self.1
            .lock()
            .expect("no test panics while it looks")
            .map_or(Ok(()), Err)
    }
}

impl Backend for Memory {
    fn view(&self) -> Result<InterfaceView, Errno> {
        self.refused()?;
        Ok(Memory::view(self).clone())
    }

    fn apply(&self, changes: Vec<Change>) -> Result<(), Errno> {
        self.refused()?;
        let mut next = Memory::view(self).clone();
        for change in changes {
            apply(&mut next, change);
        }
        *Memory::view(self) = next;
        Ok(())
    }
}

pub fn apply(view: &mut InterfaceView, change: Change) {
    match change {
        Change::PrivateKey(key) => view.private_key = key,
        Change::ListenPort(port) => view.listen_port = port,
        Change::Fwmark(mark) => view.fwmark = mark,
        Change::RemoveAllPeers => view.peers.clear(),
        Change::RemovePeer(key) => view.peers.retain(|p| p.public_key != key),
        Change::Peer(change) => apply_peer(view, change),
        Change::ReplacePeers(_) | Change::ReplaceRules(_) => unreachable!("the UAPI does not ask for it"),
    }
}

fn apply_peer(view: &mut InterfaceView, change: PeerChange) {
    let place = view.peers.iter().position(|p| p.public_key == change.public_key);
    let place = match place {
        Some(place) => place,
        None if change.update_only => return,
        None => {
            view.peers.push(PeerView::new(change.public_key));
            view.peers.len() - 1
        }
    };
    for allowed in &change.allowed_ips {
        if let AllowedIpChange::Add(prefix) = allowed {
            for other in view
                .peers
                .iter_mut()
                .filter(|p| p.public_key != change.public_key)
            {
                other.allowed_ips.retain(|p| p != prefix);
            }
        }
    }
    let peer = &mut view.peers[place];
    if let Some(key) = change.preshared_key {
        peer.preshared_key = (!key.is_zero()).then_some(key);
    }
    if let Some(Endpoint::Address(address)) = change.endpoint {
        peer.endpoint = Some(address);
    }
    if let Some(seconds) = change.persistent_keepalive {
        peer.persistent_keepalive = (seconds != 0).then_some(seconds);
    }
    if change.replace_allowed_ips {
        peer.allowed_ips.clear();
    }
    for allowed in change.allowed_ips {
        match allowed {
            AllowedIpChange::Add(prefix) if !peer.allowed_ips.contains(&prefix) => {
                peer.allowed_ips.push(prefix)
            }
            AllowedIpChange::Add(_) => {}
            AllowedIpChange::Remove(prefix) => peer.allowed_ips.retain(|p| *p != prefix),
        }
    }
}
