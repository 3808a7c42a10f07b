//! `weir keygen`, `weir pubkey`, `weir genpsk`.

use crate::error::{Failure, Outcome};
use crate::files;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use weir_abi::key::{PresharedKey, PrivateKey};
use weir_config::key::public_key;
use zeroize::Zeroizing;

/// A new private key.
pub fn new_private() -> Outcome<PrivateKey> {
    random().map(|bytes| PrivateKey::from_bytes(*bytes))
}

/// A new preshared key.
pub fn new_preshared() -> Outcome<PresharedKey> {
    random().map(|bytes| PresharedKey::from_bytes(*bytes))
}

/// Prints a private key, or writes it to a file and prints its public key.
pub fn keygen(out: Option<&Path>) -> Outcome {
    let key = new_private()?;
    let text = Zeroizing::new(format!("{}\n", *key.expose_base64()));
    match out {
        None => print(&text)?,
        Some(path) => {
            files::create_private(path, &text)?;
            print(&format!("{}\n", public_key(&key)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a private key and prints its public key.
pub fn pubkey() -> Outcome {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    io::stdin()
        .take(4096)
        .read_to_end(&mut bytes)
        .map_err(Failure::Stdio)?;
    // What is no UTF-8 is no key either.
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let key: PrivateKey = text
        .trim()
        .parse()
        .map_err(|error| Failure::Said(format!("standard input: private key: {error}")))?;
    print(&format!("{}\n", public_key(&key)))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a preshared key.
pub fn genpsk() -> Outcome {
    print(&Zeroizing::new(format!(
        "{}\n",
        *new_preshared()?.expose_base64()
    )))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output at once.
pub fn print(text: &str) -> Outcome<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::Stdio)
}

fn random() -> Outcome<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(Failure::Random)?;
    Ok(bytes)
}
