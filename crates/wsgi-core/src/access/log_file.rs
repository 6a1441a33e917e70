//! A log file: how it is opened, and how it makes room for a new one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};

/// A file that lines are appended to, by several processes perhaps, and that may be renamed when it is large.
///
/// Nothing is lost when it is renamed: who has it open writes on to the renamed file, until it opens the file anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    path: PathBuf,
    mode: Option<u32>,
    max_size: Option<u64>,
    backup: Option<PathBuf>,
}

impl LogFile {
    /// The file at this path, which need not exist. The folder has to.
    pub fn new(path: impl Into<PathBuf>) -> LogFile {
        LogFile { path: path.into(), mode: None, max_size: None, backup: None }
    }

    /// The permissions that it has, and gets if it has others when it is opened. Without, a new one gets those that the process gives new files,
    /// and one that takes the place of another those of that one.
    pub fn mode(mut self, mode: u32) -> LogFile {
        self.mode = Some(mode);
        self
    }

    /// From how many bytes on it is too large.
    pub fn max_size(mut self, bytes: u64) -> LogFile {
        self.max_size = Some(bytes);
        self
    }

    /// What it is renamed to, in the place of what has that name. Without, that is its own name with the time in seconds: `site.log.1795261574`, and
    /// all that were renamed stay.
    pub fn backup(mut self, path: impl Into<PathBuf>) -> LogFile {
        self.backup = Some(path.into());
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From how many bytes on it is too large, if there is a bound.
    pub fn bound(&self) -> Option<u64> {
        self.max_size
    }

    /// What it is renamed to, if that has one name.
    pub fn backup_path(&self) -> Option<&Path> {
        self.backup.as_deref()
    }

    /// Opens it for appending, and makes it if there is none.
    ///
    /// # Errors
    /// Those of the system; it has other permissions, and belongs to somebody else.
    pub fn open(&self) -> io::Result<File> {
        self.open_with(None)
    }

    fn open_with(&self, default: Option<u32>) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        let Some(mode) = self.mode.or(default) else { return options.open(&self.path) };
        let file = options.mode(mode).open(&self.path)?;
        // Not what the umask has left of it. A device, such as /dev/stderr, keeps its own.
        let found = file.metadata()?;
        if found.is_file() && found.mode() & 0o7777 != mode {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(file)
    }

    /// Which file is at its path, if there is one.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        fs::metadata(&self.path).ok().map(|found| (found.dev(), found.ino()))
    }

    /// Renames it and makes a new one, if it is [too large](Self::max_size). Gives the new name.
    ///
    /// # Errors
    /// As for [`rotate`](Self::rotate).
    pub fn rotate_if_large(&self) -> io::Result<Option<PathBuf>> {
        match (self.max_size, fs::metadata(&self.path)) {
            (Some(bound), Ok(found)) if found.len() > bound => self.rotate_above(bound),
            _ => Ok(None),
        }
    }

    /// Renames it and makes a new one, unless it is empty, or no regular file, or somebody else is doing so. Gives the new name.
    ///
    /// Nobody who has it open notices: what it wrote and writes is in the renamed file.
    ///
    /// # Errors
    /// Those of the system: no permission to rename in that folder, no folder for the backup.
    pub fn rotate(&self) -> io::Result<Option<PathBuf>> {
        self.rotate_above(0)
    }

    fn rotate_above(&self, bound: u64) -> io::Result<Option<PathBuf>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // Whoever else wants to rename it, such as a master that takes over, comes in turn, and then finds another file at the path.
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let found = file.metadata()?;
        if !found.is_file() || found.len() <= bound || self.identity() != Some((found.dev(), found.ino())) {
            return Ok(None);
        }
        let backup = self.backup.clone().unwrap_or_else(|| self.free_name());
        fs::rename(&self.path, &backup)?;
        self.open_with(Some(found.mode() & 0o7777))?;
        Ok(Some(backup))
    }

    /// Its name with the time, which no file has.
    fn free_name(&self) -> PathBuf {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{seconds}"));
        let numbered = (1..).map(|number| {
            let mut name = name.clone();
            name.push(format!(".{number}"));
            name
        });
        let mut names = std::iter::once(name.clone()).chain(numbered).map(PathBuf::from);
        names.find(|name| fs::symlink_metadata(name).is_err()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn who_has_it_open_writes_on_to_the_renamed_one() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::new(folder.path().join("log")).max_size(10).mode(0o640);
        assert_eq!((log.rotate_if_large().unwrap(), log.rotate().unwrap()), (None, None));
        let mut file = log.open().unwrap();
        assert_eq!(log.rotate().unwrap(), None, "it is empty");
        file.write_all(b"ten bytes\n").unwrap();
        assert_eq!(log.rotate_if_large().unwrap(), None);
        file.write_all(b"eleven\n").unwrap();
        let first = log.rotate_if_large().unwrap().unwrap();
        file.write_all(b"late\n").unwrap();
        assert_eq!(fs::read_to_string(&first).unwrap(), "ten bytes\neleven\nlate\n");
        assert_eq!(fs::metadata(log.path()).unwrap().mode() & 0o7777, 0o640);
        // In the same second, as a rule: it must not take the first one's place.
        log.open().unwrap().write_all(b"two\n").unwrap();
        let second = log.rotate().unwrap().unwrap();
        assert_ne!(first, second);
        for name in [&first, &second] {
            assert!(name.to_str().unwrap().starts_with(&format!("{}.", log.path().display())), "{name:?}");
        }
        assert_eq!(fs::read_to_string(second).unwrap(), "two\n");
    }

    #[test]
    fn a_backup_has_its_name_and_the_new_file_the_old_ones_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("old"));
        let log = LogFile::new(&path).backup(&old);
        for text in ["one", "two"] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o606)).unwrap();
            assert_eq!(log.rotate().unwrap().as_ref(), Some(&old));
            assert_eq!(fs::read_to_string(&old).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o606);
        }
        // While another is at it, nothing is done.
        fs::write(&path, "three").unwrap();
        let held = File::open(&path).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        assert_eq!(log.rotate().unwrap(), None);
        drop(held);
        assert_eq!(log.rotate().unwrap().as_ref(), Some(&old));
        assert!(LogFile::new(&path).backup(folder.path().join("none/old")).rotate().is_ok_and(|name| name.is_none()));
        fs::write(&path, "four").unwrap();
        assert!(LogFile::new(&path).backup(folder.path().join("none/old")).rotate().is_err());
    }
}
