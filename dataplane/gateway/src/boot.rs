//! From a command line to a running gateway, and to its orderly end.

use crate::about::About;
use crate::backend::{Front, Reload};
use crate::background::Environment;
use crate::dataplane::{DataPlane, Options, cores};
use crate::device_watch;
use crate::host::{self, Host};
use crate::keeper::{self, Keeper};
use crate::netlink;
use crate::state::{self, Saver, State};
use crate::unix::{Asker, Audience, BindError, Bound};
use crate::{control_group, ipc, uapi, xdp};
use crossbeam_channel::{Receiver, Sender, bounded, select};
use nix::sys::signal::{SigSet, Signal};
use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use weir_abi::change::{Change, ChangeSet};
use weir_abi::desired::Origin;
use weir_config::key::KeyFile;
use weir_config::{Config, Offload, Shards, Steering};
use weir_engine::{RaiseCeiling, Rates, Stamps};
use weir_nic::Nic;
use weir_sockets::{OffloadChoice, SteeringChoice};

/// The MTU of a drop-in's device, as every WireGuard device has it at first.
const DROP_IN_MTU: u16 = 1420;

/// Bytes of each UDP socket's buffers in a drop-in.
const DROP_IN_BUFFER: u32 = 7 << 20;

/// Shards that `auto` makes at most: beyond, the handoff between them costs a small gateway more than it brings.
const SHARDS_AUTO_MOST: usize = 8;

/// Why the gateway ends, other than by a signal.
enum Ending {
    /// A signal of the operator.
    Signal(Signal),
    /// The device or the socket by which `wg` finds it was removed.
    Removed(&'static str),
}

/// A gateway that is set up and answers.
pub struct Gateway {
    plane: Arc<DataPlane>,
    host: Arc<Host>,
    front: Arc<Front>,
    sockets: Option<(uapi::Server, ipc::Server)>,
    saver: Option<Arc<Saver>>,
    state: State,
    endings: (Sender<Ending>, Receiver<Ending>),
}

/// Blocks the signals that end a gateway, in this thread and all that it starts, so that one thread may wait for them.
pub fn block_signals() -> io::Result<()> {
    Ok(signals().thread_block()?)
}

fn signals() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect()
}

/// Starts a drop-in for wireguard-go: a device without configuration, and the socket by which `wg` gives it one.
///
/// `group` names the group that may use the status socket beside root.
pub fn drop_in(interface: &str, environment: Environment, group: Option<&str>) -> Result<Gateway, String> {
    let audience = control_group::audience(group)?;
    let options = Options {
        interface: interface.to_owned(),
        shards: if environment.tun.is_some() {
            1
        } else {
            cores().min(SHARDS_AUTO_MOST)
        },
        mtu: DROP_IN_MTU,
        offload: OffloadChoice::Auto,
        steering: SteeringChoice::Auto,
        aead: aead()?,
        burst: weir_engine::limits::BURST,
        buffer: DROP_IN_BUFFER,
        queue: weir_engine::limits::QUEUED_PER_PEER,
        rates: Rates::default(),
        tun: environment.tun,
        devices: Vec::new(),
    };
    let adopted = options.tun.is_some();
    let bound = match environment.uapi {
        Some(socket) => uapi::Server::inherited(socket.into()),
        None => bind(&uapi::Server::path(interface), Audience::Root)?,
    };
    let nothing = ChangeSet {
        base: None,
        origin: Origin::Uapi,
        changes: Vec::new(),
    };
    // Nothing is kept for a drop-in: whose device it will be next time is not known.
    let stamps = Stamps::new(0, Box::new(|_| true));
    let plane =
        DataPlane::start(options, &nothing, HashMap::new(), stamps).map_err(|error| error.to_string())?;
    let plane = Arc::new(plane);
    if !adopted {
        let set = plane.with_tun(|tun| {
            let (mut netlink, link) = netlink::Netlink::of_device(tun.as_fd())?;
            netlink.set_mtu(link.index, DROP_IN_MTU.into())
        });
        set.map_err(|error| error.to_string())?;
    }
    let reload: Reload = Box::new(|| Err("there is no configuration file to read again".to_owned()));
    let host = Arc::new(Host::untouched());
    let about = Arc::new(About::begin(None));
    finish(
        plane,
        (host, about),
        reload,
        (bound, audience),
        None,
        State::default(),
    )
}

/// Starts a gateway as its configuration file says. `group` names the group that may use the status socket beside root.
pub fn configured(file: &Path, group: Option<&str>) -> Result<Gateway, String> {
    let audience = control_group::audience(group)?;
    let config = read(file)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    xdp::bypass::check(&config).map_err(|why| format!("{}: {why}", file.display()))?;
    let interface = config.interface.name.clone();
    let bound = bind(&uapi::Server::path(&interface), Audience::Root)?;
    let (saver, state) = open_state(&config)?;
    let mtu = config.mtu().unwrap_or_else(|| host::path_mtu(&config));
    let options = options(&config, mtu, aead()?);
    let set = declaration(&config);
    let stamps = Stamps::new(state.timestamp_ceiling_ns, raise_ceiling(Arc::clone(&saver)));
    let remembered = keeper::remembered(&state);
    let plane = DataPlane::start(options, &set, remembered, stamps).map_err(|error| error.to_string())?;
    let plane = Arc::new(plane);
    let host = Arc::new(Host::set_up(&config, mtu, &plane)?);
    let about = Arc::new(About::begin(Some((file, &config))));
    let seen = (Arc::clone(&host), Arc::clone(&about));
    let reload = reloader(file.to_owned(), config, Arc::clone(&plane), seen);
    finish(
        plane,
        (host, about),
        reload,
        (bound, audience),
        Some(saver),
        state,
    )
}

fn finish(
    plane: Arc<DataPlane>,
    (host, about): (Arc<Host>, Arc<About>),
    reload: Reload,
    (bound, audience): (Bound, Audience),
    saver: Option<Arc<Saver>>,
    state: State,
) -> Result<Gateway, String> {
    let endings = bounded(4);
    let front = Arc::new(Front::new(Arc::clone(&plane), Arc::clone(&host), about, reload));
    let status = bind(&ipc::Server::path(&plane.interface()), audience)?;
    let removed = endings.0.clone();
    let gone = move || drop(removed.try_send(Ending::Removed("the socket for wg was removed")));
    let words = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let uapi =
        uapi::Server::start(bound, Arc::clone(&front) as Arc<_>, gone).map_err(words("the socket for wg"))?;
    let ipc = ipc::Server::start(status, Arc::clone(&front) as Arc<_>).map_err(words("the status socket"))?;
    let removed = endings.0.clone();
    let gone = move || drop(removed.try_send(Ending::Removed("the device was removed")));
    device_watch::start(Arc::clone(&plane), Arc::clone(&host), gone).map_err(words("a thread"))?;
    watch_signals(endings.0.clone()).map_err(words("waiting for signals"))?;
    Ok(Gateway {
        plane,
        host,
        front,
        sockets: Some((uapi, ipc)),
        saver,
        state,
        endings,
    })
}

impl Gateway {
    /// The public key, once there is one, and the UDP port.
    pub fn address(&self) -> (Option<String>, u16) {
        let key = self
            .plane
            .tables()
            .identity
            .as_ref()
            .map(|identity| identity.public().to_string());
        (key, self.plane.port_and_mark().0)
    }

    /// Works until a signal or the device's end, then withdraws everything.
    ///
    /// # Errors
    /// A configured gateway's device or socket was taken from it, so that a service manager starts it anew. To a
    /// drop-in that is the order to end.
    pub fn run(mut self) -> Result<(), String> {
        let keeper = Keeper::new(Arc::clone(&self.plane), self.saver.clone(), &self.state);
        let (stop, stopped) = bounded(0);
        let words = |error: io::Error| format!("starting a thread: {error}");
        let keeping = std::thread::Builder::new()
            .name("weir-keeper".into())
            .spawn(move || keeper.run(&stopped))
            .map_err(words)?;
        let (plane, state) = (Arc::clone(&self.plane), core::mem::take(&mut self.state));
        let resuming = std::thread::Builder::new()
            .name("weir-resume".into())
            .spawn(move || keeper::resume(&plane, &state))
            .map_err(words)?;
        let ended = self.wait();
        self.sockets = None;
        drop::<Sender<()>>(stop);
        // Neither thread panics; what they return is nothing.
        let _ = (keeping.join(), resuming.join());
        // Others share the saver and outlive this, so it is not dropped before the process ends.
        if let Some(Err(error)) = self.saver.as_ref().map(|saver| saver.flush()) {
            tracing::error!("the state is not on disk: {error}");
        }
        self.host.withdraw(&self.plane);
        ended
    }

    fn wait(&self) -> Result<(), String> {
        let configured = self.saver.is_some();
        loop {
            select! {
                recv(self.endings.1) -> ending => match ending {
                    Ok(Ending::Signal(Signal::SIGHUP)) => self.reload(),
                    Ok(Ending::Signal(signal)) => {
                        tracing::info!("stopping: {signal}");
                        return Ok(());
                    }
                    Ok(Ending::Removed(what)) if configured => {
                        return Err(format!("interface {}: {what} by another process", self.plane.interface()));
                    }
                    Ok(Ending::Removed(what)) => {
                        tracing::info!("stopping: {what}");
                        return Ok(());
                    }
                    Err(_) => return Ok(()),
                },
            }
        }
    }

    fn reload(&self) {
        use crate::ipc::Handler;
        match self.front.handle(Asker::Root, weir_abi::ipc::Request::Reload) {
            weir_abi::ipc::Reply::Done(revision) => {
                tracing::info!("configuration read again, revision {}", revision.0);
            }
            weir_abi::ipc::Reply::Failed(why) => tracing::error!("configuration not changed: {why}"),
            weir_abi::ipc::Reply::Refused(why) => tracing::error!("configuration not changed: {why}"),
            weir_abi::ipc::Reply::Status(_)
            | weir_abi::ipc::Reply::Declared(_)
            | weir_abi::ipc::Reply::Peers(_)
            | weir_abi::ipc::Reply::Events(_)
            | weir_abi::ipc::Reply::Probed(_) => {}
        }
    }
}

/// Reads and checks a configuration file.
fn read(file: &Path) -> Result<Config, String> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| format!("{shown}: {error}"))?;
    let read_key = |path: &Path| -> io::Result<KeyFile> {
        let mut file = fs::File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok(KeyFile {
            text: text.into(),
            mode,
        })
    };
    let text = zeroize::Zeroizing::new(text);
    Config::parse(&text, &shown.to_string(), &read_key).map_err(|problems| problems.to_string())
}

fn declaration(config: &Config) -> ChangeSet {
    let desired = config.desired();
    let changes = vec![
        Change::PrivateKey(desired.private_key),
        Change::ListenPort(desired.listen_port),
        Change::Fwmark(desired.fwmark),
        Change::ReplacePeers(desired.peers),
        Change::ReplaceRules(desired.rules),
    ];
    ChangeSet {
        base: None,
        origin: Origin::File,
        changes,
    }
}

// What the environment asks for, or the best.
fn aead() -> Result<weir_crypto::Choice, String> {
    let asked = std::env::var_os(weir_crypto::VARIABLE).filter(|asked| !asked.is_empty());
    let asked = asked.map(|asked| asked.to_string_lossy().into_owned());
    let choice = weir_crypto::choose(asked.as_deref()).map_err(|error| error.to_string())?;
    for warning in choice.warnings().iter().chain(weir_crypto::blake2s::warnings()) {
        tracing::warn!("{warning}");
    }
    Ok(choice)
}

fn options(config: &Config, mtu: u16, aead: weir_crypto::Choice) -> Options {
    Options {
        interface: config.interface.name.clone(),
        shards: shards(config),
        mtu,
        offload: match config.dataplane.offload {
            Offload::Auto => OffloadChoice::Auto,
            Offload::On => OffloadChoice::Offload,
            Offload::Off => OffloadChoice::Plain,
        },
        steering: match config.dataplane.steering {
            Steering::Auto => SteeringChoice::Auto,
            Steering::Ebpf => SteeringChoice::Ebpf,
            Steering::ClassicBpf => SteeringChoice::ClassicBpf,
            Steering::UserSpace => SteeringChoice::UserSpace,
        },
        aead,
        burst: config.dataplane.burst.into(),
        buffer: config.dataplane.buffer_bytes,
        queue: config.dataplane.queue.into(),
        rates: rates(config),
        tun: None,
        devices: config.ports.clone(),
    }
}

fn rates(config: &Config) -> Rates {
    let (limits, default) = (&config.limits, Rates::default());
    Rates {
        strangers_per_s: limits.handshakes_per_second.unwrap_or(default.strangers_per_s),
        source_per_s: limits
            .handshakes_per_second_per_source
            .unwrap_or(default.source_per_s),
        waiting: limits
            .handshake_queue
            .map_or(default.waiting, |waiting| waiting as usize),
    }
}

fn shards(config: &Config) -> usize {
    match config.dataplane.shards {
        Shards::Auto => cores().min(SHARDS_AUTO_MOST).min(queues(config)),
        Shards::Count(count) => usize::from(count.get()),
    }
}

/// As many queues as the device of AF_XDP with most of them has: a shard beyond would hardly get a packet. No limit where
/// nothing is known of any.
fn queues(config: &Config) -> usize {
    let devices = config.ports.iter().map(|port| &port.device);
    let queues = devices.filter_map(|device| Nic::read(device).ok().map(|nic| nic.rx_queues));
    queues.max().map_or(usize::MAX, |most| most.max(1) as usize)
}

fn open_state(config: &Config) -> Result<(Arc<Saver>, State), String> {
    let name = &config.interface.name;
    let path = match &config.dataplane.state_directory {
        Some(directory) => directory.join(format!("{name}.state")),
        None => state::path(name),
    };
    let loaded = state::load(&path);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let saver =
        Saver::start(path.clone(), &loaded).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((Arc::new(saver), loaded.state))
}

/// Initiations go on when the ceiling cannot be written: a restart with a clock set back could then need one more
/// handshake from the other side, while a gateway that stays silent reaches nobody at all.
fn raise_ceiling(saver: Arc<Saver>) -> RaiseCeiling {
    Box::new(move |ceiling_ns| {
        saver.raise_ceiling(ceiling_ns);
        if let Err(error) = saver.flush() {
            tracing::error!("the ceiling of timestamps is not on disk: {error}");
        }
        true
    })
}

fn reloader(
    file: PathBuf,
    config: Config,
    plane: Arc<DataPlane>,
    (host, about): (Arc<Host>, Arc<About>),
) -> Reload {
    let current = Mutex::new(config);
    Box::new(move || {
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        let next = read(&file)?;
        only_what_can_change(&current, &next)?;
        let mtu = next.mtu().unwrap_or_else(|| host::path_mtu(&next));
        plane
            .apply(&declaration(&next))
            .map_err(|error| error.to_string())?;
        if let Err(error) = host.update(&next, mtu, &plane) {
            return Err(undo(&current, &plane, &host, error));
        }
        if shards(&next) != plane.shards()
            && let Err(error) = plane.set_shards(shards(&next))
        {
            return Err(undo(&current, &plane, &host, error.to_string()));
        }
        plane.set_mtu(mtu);
        about.read_again(&next);
        *current = next;
        Ok(())
    })
}

/// Goes back to the configuration in force; what was refused is said in any case.
fn undo(current: &Config, plane: &DataPlane, host: &Host, error: String) -> String {
    let mtu = current.mtu().unwrap_or_else(|| host::path_mtu(current));
    let back = plane
        .apply(&declaration(current))
        .map_err(|error| error.to_string());
    match back.and_then(|_| host.update(current, mtu, plane)) {
        Ok(()) => error,
        Err(again) => format!("{error}; going back failed too: {again}"),
    }
}

fn only_what_can_change(current: &Config, next: &Config) -> Result<(), String> {
    let (a, b) = (&current.dataplane, &next.dataplane);
    let (limits, new_limits) = (&current.limits, &next.limits);
    let fixed = [
        ("interface.name", current.interface.name == next.interface.name),
        ("dataplane.steering", a.steering == b.steering),
        ("dataplane.offload", a.offload == b.offload),
        ("[[port]]", current.ports == next.ports),
        ("dataplane.burst", a.burst == b.burst),
        ("dataplane.queue", a.queue == b.queue),
        ("dataplane.buffer_kib", a.buffer_bytes == b.buffer_bytes),
        (
            "dataplane.state_directory",
            a.state_directory == b.state_directory,
        ),
        (
            "limits.handshakes_per_second",
            limits.handshakes_per_second == new_limits.handshakes_per_second,
        ),
        (
            "limits.handshakes_per_second_per_source",
            limits.handshakes_per_second_per_source == new_limits.handshakes_per_second_per_source,
        ),
        (
            "limits.handshake_queue",
            limits.handshake_queue == new_limits.handshake_queue,
        ),
    ];
    match fixed.iter().find(|(_, same)| !same) {
        Some((field, _)) => Err(format!(
            "{field} changed, which takes a restart; nothing was changed"
        )),
        None => Ok(()),
    }
}

/// How long a gateway that is ending is waited for by the next one of its name.
const HANDING_ON: Duration = Duration::from_secs(2);

/// Between two tries to take its place.
const TAKING_PLACE_AGAIN: Duration = Duration::from_millis(20);

/// Takes the place of a socket. A device that was just removed takes its process a moment to follow, and scripts make
/// the next of that name at once.
fn bind(path: &Path, audience: Audience) -> Result<Bound, String> {
    let begun = Instant::now();
    loop {
        match Bound::bind(path, audience) {
            Ok(bound) => return Ok(bound),
            Err(BindError::InUse(_)) if begun.elapsed() < HANDING_ON => {
                std::thread::sleep(TAKING_PLACE_AGAIN)
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn watch_signals(endings: Sender<Ending>) -> io::Result<()> {
    let wait = move || {
        while let Ok(signal) = signals().wait() {
            if endings.send(Ending::Signal(signal)).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("weir-signals".into())
        .spawn(wait)
        .map(drop)
}
