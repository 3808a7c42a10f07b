//! The group whose members may use the status socket beside root: that of the control process.

use crate::unix::Audience;
use nix::errno::Errno;
use nix::unistd::Group;

/// The group that is taken where none is asked for by name and the host has it.
pub const DEFAULT: &str = "weir";

/// Who may use the status socket: root, and the members of the group `asked` for, or of [`DEFAULT`] where there is one.
///
/// # Errors
/// A group that is asked for by name is not there, in words.
pub fn audience(asked: Option<&str>) -> Result<Audience, String> {
    let name = asked.unwrap_or(DEFAULT);
    found(name, asked.is_some(), Group::from_name(name))
}

fn found(name: &str, asked: bool, looked_up: nix::Result<Option<Group>>) -> Result<Audience, String> {
    // A host without a list of groups has none (getgrnam(3) says so by an error), such as an initial RAM disk.
    match (looked_up, asked) {
        (Ok(Some(group)), _) => Ok(Audience::Group(group.gid)),
        (Ok(None) | Err(Errno::ENOENT | Errno::ESRCH), false) => Ok(Audience::Root),
        (Ok(None) | Err(Errno::ENOENT | Errno::ESRCH), true) => Err(format!(
            "--control-group {name:?}: this host has no such group; expected the name of one, such as that of weir-control's user"
        )),
        (Err(error), _) => Err(format!("looking for the group {name:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a group asked for by name that is passed over in silence, or looked up wrongly.
    #[test]
    fn a_group_asked_for_is_there_or_is_an_error() {
        assert_eq!(audience(Some("root")), Ok(Audience::Group(0.into())));
        let missing = audience(Some("weir-no-such-group")).expect_err("no host has it");
        assert!(missing.contains("weir-no-such-group"), "{missing}");
    }

    // Catches a gateway that does not start where nobody made a list of groups.
    #[test]
    fn a_host_without_groups_has_none() {
        assert_eq!(found("weir", false, Err(Errno::ENOENT)), Ok(Audience::Root));
        assert!(found("weir", true, Err(Errno::ENOENT)).is_err());
        assert!(found("weir", false, Err(Errno::EIO)).is_err());
    }
}
