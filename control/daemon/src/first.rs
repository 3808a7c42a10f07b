//! The first administrator, made where there is no user yet, and access restored by root.

use crate::clock;
use crate::owner::{Asking, Wanted};
use crate::world::World;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use weir_api::auth::password;
use weir_api::types::Secret;
use weir_model::Change;
use weir_model::record::{Actor, PasswordHash, Role, Source, User};
use zeroize::Zeroizing;

/// The name of the user that is made first.
pub const ADMINISTRATOR: &str = "admin";

/// Characters of a password that is made here: letters and digits that nobody confuses, 5 bits each.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";

/// Their number: 100 bits.
const LENGTH: usize = 20;

/// Why there is no first administrator.
#[derive(Debug, thiserror::Error)]
pub enum FirstError {
    /// The file that is to tell the password cannot be written.
    #[error("{}: {error}; the first password cannot be told", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The password cannot be hashed.
    #[error("the first password cannot be hashed: {0}")]
    Hash(String),
    /// The store does not take the user.
    #[error("the first administrator cannot be kept: {0}")]
    Store(String),
}

/// Makes the user `admin` where there is no user, with a password that is told in `file` and nowhere else, and that must
/// be changed before anything else. Without a file nobody could know it, so no user is made: `weir admin reset` makes one.
pub async fn administrator(world: &World, owner: &Asking, file: Option<&Path>) -> Result<(), FirstError> {
    if !world.published.load().state.users.is_empty() {
        return Ok(());
    }
    let Some(path) = file else {
        tracing::warn!("there is no user; `weir admin reset` on this host makes the first one");
        return Ok(());
    };
    let password = new_password();
    let hash = password::hash(&Secret::new(password.to_string()))
        .map_err(|error| FirstError::Hash(error.to_string()))?;
    write(path, &password).map_err(|error| FirstError::File {
        path: path.to_owned(),
        error,
    })?;
    let now = clock::now();
    let user = User {
        name: ADMINISTRATOR.to_owned(),
        role: Role::Administrator,
        password: PasswordHash::from_phc(hash.to_string()),
        must_change_password: true,
        disabled: false,
        created_at: now,
        updated_at: now,
        last_login_at: None,
    };
    let change = Change::CreateUser(Box::new(user));
    let by = (Actor::Weir, Source::Internal);
    let made = owner.change(vec![change.into()], by, Wanted::default()).await;
    made.map(drop).map_err(|refusal| {
        // A password that opens nothing is not to be left about.
        let _ = fs::remove_file(path);
        FirstError::Store(refusal.to_string())
    })
}

fn new_password() -> Zeroizing<String> {
    let bytes = Zeroizing::new(clock::random::<LENGTH>());
    let character = |byte: &u8| char::from(ALPHABET[usize::from(byte % 32)]);
    Zeroizing::new(bytes.iter().map(character).collect())
}

/// Writes the password into a file that only its owner may read, in place of whatever was there.
fn write(path: &Path, password: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{password}")?;
    file.sync_all()
}
