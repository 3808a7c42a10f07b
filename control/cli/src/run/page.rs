//! Where the web page is, and how its first administrator gets in.

use super::control::Plan;
use crate::error::{Failure, Outcome};
use crate::net;
use crate::term::say;
use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use zeroize::Zeroizing;

/// Whom the control process makes on its first start.
const FIRST_USER: &str = "admin";

/// The longest password file in bytes.
const PASSWORD_MAX: u64 = 1024;

/// Says all of it.
pub fn introduce(plan: &Plan) -> Outcome<()> {
    let url = url(plan);
    say(&format!("web page: {url}"));
    match first_password(plan)? {
        // What a service says is kept in a log.
        Some(_) if std::env::var_os("JOURNAL_STREAM").is_some() => say(&format!(
            "first login: {FIRST_USER}, with the password in {}",
            plan.first_password_file().display()
        )),
        Some(password) => say(&format!(
            "first login: {FIRST_USER}, password {}, which is to be changed then",
            *password
        )),
        None => say("login as before; where nobody knows a password: weir admin reset"),
    }
    if plan.listen.ip().is_loopback() {
        say(&format!("from another machine first: {}", tunnel(plan.listen)));
    }
    say("");
    Ok(())
}

fn url(plan: &Plan) -> String {
    let tls = plan.options.iter().any(|option| {
        let option = option.to_string_lossy();
        option == "--tls-cert" || option.starts_with("--tls-cert=")
    });
    let mut address = plan.listen;
    if address.ip().is_unspecified()
        && let Some(outward) = net::outward_address()
    {
        address.set_ip(outward);
    }
    format!("{}://{address}/", if tls { "https" } else { "http" })
}

/// The command that makes the page reachable from where somebody sits: SSH says which of this host's addresses they use,
/// unless sudo has left that out.
fn tunnel(listen: SocketAddr) -> String {
    let of_ssh = || {
        let connection = std::env::var("SSH_CONNECTION").ok()?;
        connection.split(' ').nth(2).map(str::to_owned)
    };
    let host = of_ssh()
        .or_else(net::hostname)
        .unwrap_or_else(|| "HOST".to_owned());
    let user = ["SUDO_USER", "USER"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    let user = user.unwrap_or_else(|| "root".to_owned());
    format!("ssh -L {}:{listen} {user}@{host}", listen.port())
}

/// The password that the control process wrote for its first administrator, where it was not changed since.
fn first_password(plan: &Plan) -> Outcome<Option<Zeroizing<String>>> {
    let path = plan.first_password_file();
    let failed = |error| Failure::file(&path, "cannot be read")(error);
    let mut options = OpenOptions::new();
    // The folder is the control process's, and must not lead this one to a file that only root may read.
    let opened = options
        .read(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&path);
    let file: File = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.uid() != plan.account.uid.as_raw() {
        return Err(Failure::Said(format!(
            "{}: expected a file of user {}",
            path.display(),
            plan.account.user
        )));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(PASSWORD_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(Some(Zeroizing::new(text.trim_end().to_owned())))
}
