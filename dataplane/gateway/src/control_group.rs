//! The group whose members may use the status socket beside root: that of the control process.

use crate::unix::Audience;
use nix::unistd::Group;

/// The group that is taken where none is asked for by name and the host has it.
pub const DEFAULT: &str = "weir";

/// Who may use the status socket: root, and the members of the group `asked` for, or of [`DEFAULT`] where there is one.
///
/// # Errors
/// A group that is asked for by name is not there, in words.
pub fn audience(asked: Option<&str>) -> Result<Audience, String> {
    let name = asked.unwrap_or(DEFAULT);
    match (Group::from_name(name), asked) {
        (Ok(Some(group)), _) => Ok(Audience::Group(group.gid)),
        (Ok(None), None) => Ok(Audience::Root),
        (Ok(None), Some(_)) => Err(format!(
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
}
