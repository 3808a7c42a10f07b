//! `weir run`: a gateway on this host, in the foreground, with nothing to prepare.

mod account;
mod child;
mod control;
mod first;
mod folders;
mod page;
mod preflight;
mod supervise;

use crate::args::RunArgs;
use crate::error::{Failure, Outcome};
use crate::files::{self, Loaded};
use crate::term::{complain, say};
use crate::{client, doctor};
use account::Account;
use control::Plan;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;
use supervise::{DATA_PLANE, Gateway, Introduce};
use weir_abi::status::Status;
use weir_config::conf::Conf;
use weir_config::edit::{set_endpoint, set_port};
use zeroize::Zeroizing;

/// Beside the remedy for a missing program.
const OR_WITHOUT: &str = ", or start the data plane alone with --no-control";

/// The first client's name.
const FIRST_CLIENT: &str = "client1";

/// Says what is in the way, writes what is missing, starts both processes and waits for them. The data plane's sockets are in
/// `directory`, control's in `control_directory`.
pub fn run(options: &RunArgs, directory: &Path, control_directory: &Path) -> Outcome {
    let before = files::load_if_there(&options.config).transpose()?;
    let (interface, port) = match &before {
        Some(loaded) => (
            loaded.config.interface.name.clone(),
            loaded.config.interface.listen_port,
        ),
        None => (options.first_interface().to_owned(), options.first_port()),
    };
    if let Some(loaded) = &before {
        warn_of_first_use(options, loaded);
    }
    let endpoint = match &options.endpoint {
        Some(text) => Some(client::given_endpoint(text, port, "--endpoint")?),
        None => None,
    };
    let data_plane = child::program(DATA_PLANE, options.dataplane.as_deref(), "")?;
    let control = (!options.no_control)
        .then(|| child::program(control::PROGRAM, options.control.as_deref(), OR_WITHOUT))
        .transpose()?;
    let user = control.is_some().then_some(options.control_user.as_str());
    let account = preflight::check(&interface, port, directory, user, control_directory)?;

    let loaded = match before {
        None => first::write(options, endpoint)?,
        Some(loaded) => match endpoint {
            Some(endpoint) if loaded.config.interface.endpoint.as_ref() != Some(&endpoint) => {
                change_endpoint(&loaded, &endpoint)?
            }
            Some(_) | None => loaded,
        },
    };
    let loaded = change_devices(loaded, options)?;
    doctor::say_of_devices(&loaded, options.devices().next().is_some(), directory);
    for warning in crate::check::warnings(&loaded) {
        complain(&format!("warning: {warning}"));
    }
    let plan = match control.zip(account) {
        Some((program, account)) => Some(plan(
            options,
            &loaded,
            directory,
            control_directory,
            program,
            account,
        )?),
        None => None,
    };
    let mut command = Command::new(data_plane);
    command.arg("--config").arg(&options.config);
    if let Some(plan) = &plan {
        command.arg("--control-group").arg(&plan.account.group);
    }
    let introduction = &mut Introduction {
        loaded: &loaded,
        options,
    };
    Gateway::start(command, plan)?.wait(&interface, directory, introduction)
}

/// Makes the control process's folders, and says what it is started with.
fn plan(
    options: &RunArgs,
    loaded: &Loaded,
    directory: &Path,
    sockets: &Path,
    program: PathBuf,
    account: Account,
) -> Outcome<Plan> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(Failure::file(path, "is no path"));
    let (sockets, store) = (absolute(sockets)?, absolute(&options.store)?);
    folders::prepare(&sockets, &store, &account)?;
    let interface = &loaded.config.interface;
    let guessed = || client::guessed_endpoint(interface.listen_port);
    let endpoint = if interface.endpoint.is_none() {
        guessed()
    } else {
        None
    };
    Ok(Plan {
        program,
        account,
        interface: interface.name.clone(),
        dataplane: absolute(&crate::ipc::socket(directory, &interface.name))?,
        sockets,
        store,
        listen: options.listen,
        endpoint: endpoint.map(|endpoint| endpoint.to_string()),
        options: options.control_options.clone(),
    })
}

/// What is said once the processes answer.
struct Introduction<'a> {
    loaded: &'a Loaded,
    options: &'a RunArgs,
}

impl Introduce for Introduction<'_> {
    fn data_plane(&mut self, status: &Status) -> Outcome<()> {
        for warning in &status.warnings {
            complain(&format!("warning: {warning}"));
        }
        introduce(self.loaded, self.options)
    }

    fn control(&mut self, plan: &Plan) -> Outcome<()> {
        page::introduce(plan)
    }
}

/// Names what was asked for and is the configuration's to say, since there is one.
fn warn_of_first_use(options: &RunArgs, loaded: &Loaded) {
    let (interface, file) = (&loaded.config.interface, loaded.path.display());
    let ignored = |option: &str, asked: &dyn Display, key: &str, is: &dyn Display| {
        complain(&format!(
            "warning: {option} {asked}: ignored, for {file} is there and says {key} = {is}; change it there"
        ));
    };
    if let Some(port) = options.port.filter(|port| *port != interface.listen_port) {
        ignored("--port", &port, "listen_port", &interface.listen_port);
    }
    if let Some(name) = options.interface.as_ref().filter(|name| **name != interface.name) {
        ignored("--interface", name, "name", &interface.name);
    }
}

/// The configuration's text with the devices that were asked for.
fn with_devices(path: &Path, text: &str, options: &RunArgs) -> Outcome<Zeroizing<String>> {
    let mut text = Zeroizing::new(text.to_owned());
    for (role, device) in options.devices() {
        let changed = set_port(&text, role, device).map_err(|error| Failure::Edit {
            path: path.to_owned(),
            error,
        })?;
        text = Zeroizing::new(changed);
    }
    Ok(text)
}

/// Writes the devices that were asked for into the configuration, where it says otherwise.
fn change_devices(loaded: Loaded, options: &RunArgs) -> Outcome<Loaded> {
    let ports = &loaded.config.ports;
    let is_there = |(role, device)| {
        let mut ports = ports.iter();
        ports.any(|port| port.role == role && port.device == device)
    };
    if options.devices().all(is_there) {
        return Ok(loaded);
    }
    let _lock = files::lock(&loaded.path)?;
    let text = with_devices(&loaded.path, &loaded.text, options)?;
    files::parse(&loaded.path, &text)?;
    files::replace(&loaded.resolved, &text)?;
    let devices: Vec<&str> = options.devices().map(|(_, device)| device).collect();
    say(&format!(
        "{}: packets are taken by AF_XDP on {}",
        loaded.path.display(),
        devices.join(" and ")
    ));
    files::load(&loaded.path)
}

/// Writes another address for clients into the configuration and into those made for clients here.
fn change_endpoint(loaded: &Loaded, endpoint: &weir_abi::endpoint::Endpoint) -> Outcome<Loaded> {
    let _lock = files::lock(&loaded.path)?;
    let text = set_endpoint(&loaded.text, endpoint).map_err(|error| Failure::Edit {
        path: loaded.path.clone(),
        error,
    })?;
    files::parse(&loaded.path, &text)?;
    files::replace(&loaded.resolved, &text)?;
    for name in loaded.config.peers.iter().filter_map(|p| p.name.as_deref()) {
        let path = client::path(&loaded.path, name);
        if !path.exists() {
            continue;
        }
        let mut conf = Conf::parse(&files::read_text(&path)?, &path.to_string_lossy())?;
        for gateway in &mut conf.peers {
            gateway.endpoint = Some(endpoint.clone());
        }
        files::replace(&path, &conf.expose_text())?;
    }
    say(&format!("{}: clients now use {endpoint}", loaded.path.display()));
    files::load(&loaded.path)
}

/// Says that the gateway runs, who it is, and how its first client gets in.
fn introduce(loaded: &Loaded, options: &RunArgs) -> Outcome<()> {
    let config = &loaded.config;
    say(&format!(
        "\nWeir runs: interface {}, UDP port {}, configuration {}",
        config.interface.name,
        config.interface.listen_port,
        options.config.display()
    ));
    say(&format!("public key: {}", config.public_key()));
    let path = client::path(&loaded.path, FIRST_CLIENT);
    if path.exists() && config.peer(FIRST_CLIENT).is_some() {
        let text = files::read_text(&path)?;
        say(&format!(
            "configuration of the client \"{FIRST_CLIENT}\" ({}):\n",
            path.display()
        ));
        client::show(&text, options.qr)?;
        warn_of_private_endpoint(config);
    }
    let another = if options.no_control {
        format!("weir peer add NAME --config {}", options.config.display())
    } else {
        "weir peer add NAME".to_owned()
    };
    say(&format!(
        "\nanother client: {another}     state: weir status     Ctrl-C stops\n"
    ));
    Ok(())
}

fn warn_of_private_endpoint(config: &weir_config::Config) {
    use weir_abi::endpoint::Endpoint;
    if let Some(Endpoint::Address(address)) = &config.interface.endpoint
        && !crate::net::is_public(address.ip())
    {
        say(&format!(
            "\nClients reach this gateway at {address}, an address of a private network. Behind NAT, forward UDP port {} \
             to this host and start again with the outer address: make run ENDPOINT=ADDRESS, or weir run --endpoint ADDRESS",
            config.interface.listen_port
        ));
    }
}
