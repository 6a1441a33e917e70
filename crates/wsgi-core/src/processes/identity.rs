//! The user and group that a server runs as, once it has what only root may have.

use std::ffi::CString;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};

/// A user and a group of this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    user: Option<(Uid, Option<CString>)>,
    group: Option<Gid>,
    /// Groups besides.
    more: Vec<Gid>,
    /// Without those that the system knows the user to be in.
    no_others: bool,
}

/// Why this process cannot be who it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// There is no such user.
    #[error("there is no user {0:?}")]
    NoUser(String),
    /// There is no such group.
    #[error("there is no group {0:?}")]
    NoGroup(String),
    /// The system does not let us.
    #[error("cannot {what}: {reason}{}", if *.root { "" } else { ": only root may, and this process is not root's" })]
    Refused {
        /// What was tried.
        what: String,
        /// Why it failed.
        reason: String,
        /// Whether this process is root's.
        root: bool,
    },
}

impl Identity {
    /// A user and a group by name or number. Without a group it is the user's own; without a user, only the group changes.
    ///
    /// # Errors
    /// There is no such name.
    pub fn find(user: Option<&str>, group: Option<&str>) -> Result<Identity, IdentityError> {
        let mut found = Identity { user: None, group: None, more: Vec::new(), no_others: false };
        if let Some(name) = user {
            let entry = match name.parse() {
                Ok(number) => User::from_uid(Uid::from_raw(number)),
                Err(_) => User::from_name(name),
            };
            match (entry.map_err(|error| refused(format!("look up the user {name:?}"), error))?, name.parse()) {
                (Some(entry), _) => {
                    found.group = Some(entry.gid);
                    found.user = Some((entry.uid, CString::new(entry.name).ok()));
                }
                // A number needs no name: in containers there often is none.
                (None, Ok(number)) => {
                    found.group = Some(Gid::from_raw(number));
                    found.user = Some((Uid::from_raw(number), None));
                }
                (None, Err(_)) => return Err(IdentityError::NoUser(name.to_owned())),
            }
        }
        if let Some(name) = group {
            found.group = Some(find_group(name)?);
        }
        Ok(found)
    }

    /// The same, and one of this group too, by name or number.
    ///
    /// # Errors
    /// There is no such group.
    pub fn join(mut self, group: &str) -> Result<Identity, IdentityError> {
        self.more.push(find_group(group)?);
        Ok(self)
    }

    /// The same without the other groups that the system knows the user to be in.
    pub fn without_other_groups(mut self) -> Identity {
        self.no_others = true;
        self
    }

    /// The number of the user, if there is one.
    pub fn user(&self) -> Option<u32> {
        self.user.as_ref().map(|(uid, _)| uid.as_raw())
    }

    /// The number of the group, if there is one.
    pub fn group(&self) -> Option<u32> {
        self.group.map(Gid::as_raw)
    }

    /// Makes this process, with all its threads, one of this user and group for good, with the user's other groups, those that were
    /// [joined](Self::join), and no more. Nothing happens where it is that already.
    ///
    /// # Errors
    /// The system does not let us; then some of it may be done.
    pub fn assume(&self) -> Result<(), IdentityError> {
        let is = |uid: Uid| Uid::current() == uid && Uid::effective() == uid;
        if !Uid::effective().is_root()
            && self.user.as_ref().is_none_or(|(uid, _)| is(*uid))
            && self.group.is_none_or(|gid| Gid::current() == gid && Gid::effective() == gid)
            && nix::unistd::getgroups().is_ok_and(|groups| self.more.iter().all(|more| groups.contains(more)))
        {
            return Ok(());
        }
        self.groups().and_then(|groups| nix::unistd::setgroups(&groups)).map_err(|error| refused("set the groups".to_owned(), error))?;
        if let Some(group) = self.group {
            nix::unistd::setgid(group).map_err(|error| refused(format!("become one of group {group}"), error))?;
        }
        if let Some((user, _)) = self.user {
            nix::unistd::setuid(user).map_err(|error| refused(format!("become user {user}"), error))?;
        }
        Ok(())
    }

    /// All that the process is to have.
    fn groups(&self) -> nix::Result<Vec<Gid>> {
        let mut groups = match (&self.user, self.group) {
            (Some((_, Some(name))), Some(group)) if !self.no_others => nix::unistd::getgrouplist(name, group)?,
            (_, Some(group)) => vec![group],
            (_, None) => nix::unistd::getgroups()?,
        };
        groups.extend(&self.more);
        Ok(groups)
    }

    /// Makes a file the user's and the group's.
    ///
    /// # Errors
    /// Those of `chown`.
    pub fn own(&self, file: &Path) -> Result<(), IdentityError> {
        std::os::unix::fs::chown(file, self.user(), self.group()).map_err(|error| IdentityError::Refused {
            what: format!("change the owner of {file:?}"),
            reason: error.to_string(),
            root: Uid::effective().is_root(),
        })
    }
}

fn find_group(name: &str) -> Result<Gid, IdentityError> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    let entry = Group::from_name(name).map_err(|error| refused(format!("look up the group {name:?}"), error))?;
    entry.map(|entry| entry.gid).ok_or_else(|| IdentityError::NoGroup(name.to_owned()))
}

fn refused(what: String, error: nix::Error) -> IdentityError {
    IdentityError::Refused { what, reason: error.desc().to_owned(), root: Uid::effective().is_root() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let root = Identity::find(Some("root"), None).unwrap();
        assert_eq!(root, Identity::find(Some("0"), None).unwrap());
        assert_eq!(root.group, Some(Gid::from_raw(0)));
        let nameless = Identity::find(Some("4000000"), None).unwrap();
        assert_eq!(nameless.group, Some(Gid::from_raw(4_000_000)));
        assert_eq!(Identity::find(Some("0"), Some("7")).unwrap().group, Some(Gid::from_raw(7)));
        assert_eq!(Identity::find(Some("no-such-user"), None), Err(IdentityError::NoUser("no-such-user".to_owned())));
        assert_eq!(Identity::find(None, Some("no-such-group")), Err(IdentityError::NoGroup("no-such-group".to_owned())));
        assert_eq!(root.join("no-such-group"), Err(IdentityError::NoGroup("no-such-group".to_owned())));
    }

    #[test]
    fn groups_are_the_users_own_and_those_that_are_joined() {
        let numbers = |identity: &Identity| identity.groups().unwrap().into_iter().map(Gid::as_raw).collect::<Vec<_>>();
        let root = Identity::find(Some("root"), Some("7")).unwrap().join("4000001").unwrap();
        let with_others = numbers(&root);
        assert!(with_others.contains(&7) && with_others.contains(&4_000_001), "{with_others:?}");
        assert_eq!(numbers(&root.without_other_groups()), [7, 4_000_001]);
        assert_eq!(numbers(&Identity::find(Some("4000000"), None).unwrap()), [4_000_000]);
    }

    #[test]
    fn who_is_that_already_need_not_become_it() {
        let me = Identity { user: Some((Uid::current(), None)), group: Some(Gid::current()), more: Vec::new(), no_others: false };
        if !Uid::effective().is_root() {
            assert_eq!(me.assume(), Ok(()));
            let root = Identity::find(Some("root"), None).unwrap();
            assert!(root.assume().unwrap_err().to_string().ends_with("only root may, and this process is not root's"));
        }
    }
}
