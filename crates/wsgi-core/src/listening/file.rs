//! The file of a Unix socket: whether it still leads to the socket, and what is done if it does not.
//!
//! Who has removed it, by mistake or to tidy up, has made the server unreachable, and nothing else shows it: every process is well, and every
//! connection that is there goes on. So the path is bound anew, with the same permissions. What somebody else has put there is left alone.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{BindOptions, ListenAddress, Listener};

/// The file of a Unix socket that is ours, by which we know that it still is.
#[derive(Debug)]
pub(super) struct Made {
    path: PathBuf,
    backlog: u32,
    device: u64,
    inode: u64,
    mode: u32,
    user: u32,
    group: u32,
}

/// What lies where the file of a socket was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    Ours,
    Nothing,
    Another,
}

impl Made {
    /// What lies there now, which leads to a socket with this backlog.
    ///
    /// # Errors
    /// Nothing does.
    pub(super) fn of(path: &Path, backlog: u32) -> io::Result<Made> {
        // Whoever changes the working directory means the same file afterwards.
        let path = std::path::absolute(path)?;
        let file = fs::symlink_metadata(&path)?;
        let (mode, user, group) = (file.permissions().mode() & 0o7777, file.uid(), file.gid());
        Ok(Made { path, backlog, device: file.dev(), inode: file.ino(), mode, user, group })
    }

    fn there(&self) -> There {
        match fs::symlink_metadata(&self.path) {
            Ok(file) if (file.dev(), file.ino()) == (self.device, self.inode) => There::Ours,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => There::Nothing,
            // Also what we may not look at: nobody knows what it is.
            _ => There::Another,
        }
    }

    /// Removes it, unless it is another's: another process may have bound the path anew, to take over without a gap.
    pub(super) fn remove(&self) {
        if self.there() == There::Ours {
            let _ = fs::remove_file(&self.path);
        }
    }

    fn bind_anew(&self) -> io::Result<Listener> {
        let options =
            BindOptions { backlog: self.backlog, unix_mode: Some(self.mode), unix_user: Some(self.user), unix_group: Some(self.group) };
        Listener::bind_with(&ListenAddress::Unix(self.path.clone()), &options)
    }
}

/// Looks after the file of a Unix socket.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// How often there was nothing in its place, one time after the other.
    missing: u32,
    /// The log says that nobody can connect.
    told: bool,
}

impl Watch {
    /// Looks, and gives a socket in place of this one if its file is gone. To be called about once a second. Says what there is to say, once.
    pub(crate) fn look(&mut self, listener: &Listener) -> Option<Listener> {
        let made = listener.made()?;
        let path = made.path.display();
        let there = made.there();
        self.missing = if there == There::Nothing { self.missing + 1 } else { 0 };
        match there {
            There::Ours if std::mem::take(&mut self.told) => tracing::info!(target: "wsgi", "the socket {path} can be connected to again"),
            There::Another if !std::mem::replace(&mut self.told, true) => {
                tracing::error!(target: "wsgi", "nobody can connect to the socket {path} any more: something else lies there, and is left alone");
            }
            // Not at once: who replaces it by another removes it first.
            There::Nothing if self.missing > 1 => match made.bind_anew() {
                Ok(new) => {
                    self.told = false;
                    tracing::warn!(target: "wsgi", "the file of the socket {path} was removed: it is bound anew");
                    return Some(new.like(listener));
                }
                Err(error) if !std::mem::replace(&mut self.told, true) => {
                    tracing::error!(target: "wsgi", "nobody can connect to the socket {path} any more: its file was removed, and it cannot be bound anew: {error}");
                }
                Err(_) => {}
            },
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_file_that_is_gone_is_made_again_as_it_was_and_one_that_is_anothers_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let options = BindOptions { unix_mode: Some(0o640), ..BindOptions::default() };
        let first = Listener::bind_with(&ListenAddress::Unix(path.clone()), &options).unwrap();
        let mut watch = Watch::default();
        assert!(watch.look(&first).is_none());
        fs::remove_file(&path).unwrap();
        assert!(watch.look(&first).is_none(), "somebody may be about to bind it");
        let second = watch.look(&first).expect("a new socket");
        assert!(first.local_address() == second.local_address() && UnixStream::connect(&path).is_ok());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        drop(first);
        assert!(path.exists(), "it is the second's");
        fs::rename(&path, folder.path().join("away")).unwrap();
        fs::write(&path, "mine").unwrap();
        for _ in 0..3 {
            assert!(watch.look(&second).is_none() && watch.told);
        }
        fs::remove_file(&path).unwrap();
        fs::rename(folder.path().join("away"), &path).unwrap();
        assert!(watch.look(&second).is_none() && !watch.told);
        // Where nothing can be made, it is tried again.
        fs::rename(folder.path(), folder.path().with_extension("away")).unwrap();
        assert!((0..3).all(|_| watch.look(&second).is_none()) && watch.told);
        fs::create_dir(folder.path()).unwrap();
        let third = watch.look(&second).expect("a new socket");
        assert!(UnixStream::connect(&path).is_ok());
        drop((second, third));
        assert!(!path.exists());
        fs::remove_dir_all(folder.path().with_extension("away")).unwrap();
    }
}
