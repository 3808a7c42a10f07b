//! The unprivileged user that the control process runs as.

use crate::error::{Failure, Outcome};
use nix::unistd::{Gid, Group, Uid, User};

/// A user and its primary group.
pub struct Account {
    /// The user's name.
    pub user: String,
    /// The user.
    pub uid: Uid,
    /// The primary group's name: whose members may reach both processes' sockets.
    pub group: String,
    /// The primary group.
    pub gid: Gid,
}

impl Account {
    /// Looks the user up. One that is not there, or is root, is refused with the command that makes one.
    pub fn find(user: &str) -> Outcome<Self> {
        let refused = |what: &str| {
            Failure::Said(format!(
                "--control-user {user}: {what}; make an unprivileged user with `sudo useradd --system --no-create-home \
                 --shell /usr/sbin/nologin weir`, or start the data plane alone with --no-control"
            ))
        };
        let found = User::from_name(user)
            .map_err(|error| refused(&format!("cannot be looked up: {error}")))?
            .ok_or_else(|| refused("no such user"))?;
        if found.uid.is_root() || found.gid.as_raw() == 0 {
            return Err(refused(
                "has root's user or group, whose powers the control process must not have",
            ));
        }
        let group = Group::from_gid(found.gid).ok().flatten();
        let group = group.ok_or_else(|| refused(&format!("its group {} has no name", found.gid)))?;
        Ok(Self {
            user: found.name,
            uid: found.uid,
            group: group.name,
            gid: found.gid,
        })
    }
}
