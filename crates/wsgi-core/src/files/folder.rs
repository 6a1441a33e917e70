//! Opening what lies below a folder, and nothing else: by file descriptor, so that what was looked at is what is sent.
//!
//! The kernel keeps to the folder by itself (`openat2` with `RESOLVE_BENEATH`, since Linux 5.6). Where it has no such call, or a sandbox
//! refuses it, each component is opened by the descriptor of the one before, and none of them may be a symbolic link.
//!
//! A symbolic link is followed as long as it stays in the folder, or leads into one that the operator has named as safe. Where the kernel does
//! not decide that by itself (an absolute link, or no `openat2`), the path is resolved first, and what it came to is opened without following
//! any link, so that nobody can put one there in between.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;

/// A folder that files are served from.
#[derive(Debug)]
pub(super) struct Folder {
    /// Absolute. It is opened anew each time, since a deployment may have put another in its place.
    path: PathBuf,
    /// A link that led out of it was told of.
    told: AtomicBool,
    /// Do without `openat2`.
    stepwise: bool,
}

/// What a name came to.
#[derive(Debug)]
pub(super) enum Lookup {
    /// A regular file, open for reading.
    File(Opened),
    /// A folder.
    Folder,
    /// Nothing that is served: not there, not a regular file, or outside.
    Missing,
    /// It is there and must not be read.
    Forbidden,
    /// The system is at its limits, or the disk fails.
    Failed(io::Error),
}

/// A file, and what is true of the very file that is open.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
}

/// Why there is no descriptor.
enum Refusal {
    /// A link is in the way, or the name leads out.
    Link,
    /// The system says so.
    System(Errno),
}

impl Folder {
    /// The folder with this path; relative ones count from where the process is now.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn new(path: &Path) -> io::Result<Folder> {
        let path = std::path::absolute(path)?;
        if !std::fs::metadata(&path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Folder { path, told: AtomicBool::new(false), stepwise: false })
    }

    /// The path of what has this name.
    pub(super) fn path_of(&self, name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(name))
    }

    /// Opens what a [`Name`](super::name::Name) stands for, here or where links lead that stay here or in a safe folder.
    pub(super) fn open(&self, name: &[u8], safe: &[PathBuf]) -> Lookup {
        let opened = match self.beneath(&self.path, name, ResolveFlags::empty()) {
            Err(Refusal::Link) => self.follow(name, safe),
            other => other,
        };
        match opened {
            Ok(fd) => describe(fd).unwrap_or_else(|error| Lookup::Failed(error.into())),
            Err(Refusal::Link) => Lookup::Missing,
            Err(Refusal::System(errno)) => match errno {
                // The last three: a socket, a device without a driver, a name that the file system cannot hold.
                Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::INVAL => {
                    Lookup::Missing
                }
                Errno::ACCESS | Errno::PERM => Lookup::Forbidden,
                other => Lookup::Failed(other.into()),
            },
        }
    }

    /// Resolves a path that has links in it, and opens what it came to if that lies in this folder or in a safe one.
    fn follow(&self, name: &[u8], safe: &[PathBuf]) -> Result<OwnedFd, Refusal> {
        let path = self.path_of(name);
        let resolve = |path: &Path| path.canonicalize().map_err(|error| Refusal::System(Errno::from_io_error(&error).unwrap_or(Errno::IO)));
        let (target, own) = (resolve(&path)?, resolve(&self.path)?);
        for folder in std::iter::once(&own).chain(safe) {
            if let Ok(rest) = target.strip_prefix(folder) {
                return self.beneath(folder, rest.as_os_str().as_bytes(), ResolveFlags::NO_SYMLINKS);
            }
        }
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "wsgi",
                "{} is not served: a symbolic link leads to {}, out of {} (static files may lead into folders that are named as safe; \
                 further links like this are not told of)",
                path.display(), target.display(), self.path.display()
            );
        }
        Err(Refusal::Link)
    }

    fn beneath(&self, folder: &Path, name: &[u8], resolve: ResolveFlags) -> Result<OwnedFd, Refusal> {
        let root = openat(CWD, folder, AS_PLACE, Mode::empty()).map_err(Refusal::System)?;
        let name = if name.is_empty() { b"." } else { name };
        if !self.stepwise && !WITHOUT_OPENAT2.load(Ordering::Relaxed) {
            match by_kernel(&root, name, resolve) {
                // PERM is how a sandbox refuses the call as such; who must not read a file is told ACCESS.
                Err(Refusal::System(Errno::NOSYS | Errno::PERM)) => WITHOUT_OPENAT2.store(true, Ordering::Relaxed),
                other => return other,
            }
        }
        step_by_step(root, name)
    }

    #[cfg(test)]
    pub(super) fn without_openat2(mut self) -> Folder {
        self.stepwise = true;
        self
    }
}

fn by_kernel(root: &OwnedFd, name: &[u8], resolve: ResolveFlags) -> Result<OwnedFd, Refusal> {
    let resolve = resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..TRIES {
        match openat2(root, OsStr::from_bytes(name), TO_READ, Mode::empty(), resolve) {
            Ok(fd) => return Ok(fd),
            // Something was renamed in the meantime, and the kernel cannot tell whether that led out.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::XDEV) => return Err(Refusal::Link),
            Err(errno) => return Err(Refusal::System(errno)),
        }
    }
    Err(Refusal::System(Errno::AGAIN))
}

fn step_by_step(root: OwnedFd, name: &[u8]) -> Result<OwnedFd, Refusal> {
    let mut components = name.split(|&byte| byte == b'/').map(OsStr::from_bytes);
    let last = components.next_back().unwrap_or_default();
    let open = |folder: &OwnedFd, component: &OsStr, flags| match openat(folder, component, flags | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(fd) => Ok(fd),
        // Of a folder that is a link, the system says that it is no folder. If that is so, whoever resolves the path will find out.
        Err(Errno::LOOP | Errno::NOTDIR) => Err(Refusal::Link),
        Err(errno) => Err(Refusal::System(errno)),
    };
    let mut folder = root;
    for component in components {
        folder = open(&folder, component, AS_PLACE)?;
    }
    open(&folder, last, TO_READ)
}

fn describe(fd: OwnedFd) -> rustix::io::Result<Lookup> {
    let stat = fstat(&fd)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let (seconds, nanoseconds) = (u64::try_from(stat.st_mtime).unwrap_or(0), u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
            let modified = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
            Lookup::File(Opened { file: Arc::new(fd.into()), size: u64::try_from(stat.st_size).unwrap_or(0), modified })
        }
        FileType::Directory => Lookup::Folder,
        _ => Lookup::Missing,
    })
}

/// The system, or the sandbox around this process, has no `openat2`: that stays so.
static WITHOUT_OPENAT2: AtomicBool = AtomicBool::new(false);
/// A folder, to open something in.
const AS_PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// To open a FIFO must not wait for a writer, nor must a terminal become ours.
const TO_READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const TRIES: usize = 16;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::name::Name;
    use super::super::testing::{Random, Temporary};
    use super::*;

    fn both(path: &Path) -> [Folder; 2] {
        [Folder::new(path).unwrap(), Folder::new(path).unwrap().without_openat2()]
    }

    /// What a name came to, as a word or as the content of the file.
    fn word(lookup: Lookup) -> String {
        match lookup {
            Lookup::File(opened) => {
                let mut text = String::new();
                io::Read::read_to_string(&mut &*opened.file, &mut text).unwrap();
                assert_eq!(text.len() as u64, opened.size);
                text
            }
            Lookup::Folder => "<folder>".to_owned(),
            Lookup::Missing => "<missing>".to_owned(),
            Lookup::Forbidden => "<forbidden>".to_owned(),
            Lookup::Failed(error) => panic!("{error}"),
        }
    }

    #[test]
    fn links_that_stay_are_followed_and_those_that_leave_are_not() {
        let place = Temporary::new();
        for (name, content) in [("in/a/file", "inner"), ("out/secret", "outer"), ("in/top", "top"), ("inner/x", "a longer name")] {
            place.write(name, content);
        }
        let at = |name: &str| place.path().join(name);
        for (target, name) in [
            ("a/file", "in/relative"),
            ("../top", "in/a/up"),
            ("../in/top", "in/out_and_in"),
            ("a", "in/folder"),
            ("../../out", "in/a/escape"),
            ("../out/secret", "in/escaped"),
            ("nowhere", "in/dangling"),
            ("round", "in/round"),
            ("/etc/passwd", "in/passwd"),
            ("/proc/self/root/etc/passwd", "in/magic"),
            ("/proc/self/root", "in/magic_folder"),
        ] {
            symlink(target, at(name)).unwrap();
        }
        symlink(at("in/top"), at("in/absolute")).unwrap();
        symlink(at("out"), at("in/outside")).unwrap();
        symlink(at("inner"), at("in/longer")).unwrap();
        for folder in both(&at("in")) {
            for (name, expected) in [
                ("top", "top"),
                ("a/file", "inner"),
                ("a", "<folder>"),
                ("", "<folder>"),
                ("relative", "inner"),
                ("a/up", "top"),
                ("folder/file", "inner"),
                ("folder", "<folder>"),
                ("absolute", "top"),
                ("none", "<missing>"),
                ("top/x", "<missing>"),
                ("none/x", "<missing>"),
                ("dangling", "<missing>"),
                ("round", "<missing>"),
                ("escaped", "<missing>"),
                ("a/escape/secret", "<missing>"),
                ("a/escape", "<missing>"),
                ("outside/secret", "<missing>"),
                ("longer/x", "<missing>"),
                ("passwd", "<missing>"),
                ("magic", "<missing>"),
                ("magic_folder/etc/passwd", "<missing>"),
                // It comes back in the end.
                ("out_and_in", "top"),
            ] {
                assert_eq!(word(folder.open(name.as_bytes(), &[])), expected, "{name} of {folder:?}");
            }
            assert_eq!(word(folder.open(&[b'x'; 300], &[])), "<missing>");
            // Into what was named as safe, and nowhere else.
            let safe = [at("out").canonicalize().unwrap()];
            for (name, expected) in [
                ("outside/secret", "outer"),
                ("escaped", "outer"),
                ("a/escape/secret", "outer"),
                ("passwd", "<missing>"),
                ("longer/x", "<missing>"),
            ] {
                assert_eq!(word(folder.open(name.as_bytes(), &safe)), expected, "{name} of {folder:?}");
            }
        }
    }

    #[test]
    fn what_is_no_regular_file_is_missing_and_nothing_waits_for_it() {
        let place = Temporary::new();
        place.write("file", "x");
        let made = std::process::Command::new("mkfifo").arg(place.path().join("fifo")).status().unwrap();
        assert!(made.success());
        let _listener = std::os::unix::net::UnixListener::bind(place.path().join("socket")).unwrap();
        symlink("/dev/zero", place.path().join("device")).unwrap();
        for folder in both(place.path()) {
            for name in ["fifo", "socket", "device"] {
                assert_eq!(word(folder.open(name.as_bytes(), &[])), "<missing>", "{name}");
            }
            assert_eq!(word(folder.open(b"device", &["/dev".into()])), "<missing>");
            assert_eq!(word(folder.open(b"file", &[])), "x");
        }
    }

    /// A deployment moves the old folder away and the new one into its place.
    #[test]
    fn a_folder_that_was_replaced_is_the_new_one() {
        let place = Temporary::new();
        place.write("one/file", "one");
        place.write("two/file", "two");
        let current = place.path().join("current");
        symlink("one", &current).unwrap();
        for folder in both(&current) {
            assert_eq!(word(folder.open(b"file", &[])), "one");
            std::fs::remove_file(&current).unwrap();
            assert_eq!(word(folder.open(b"file", &[])), "<missing>");
            symlink("two", &current).unwrap();
            assert_eq!(word(folder.open(b"file", &[])), "two");
            std::fs::remove_file(&current).unwrap();
            symlink("one", &current).unwrap();
        }
        assert!(Folder::new(&place.path().join("none")).is_err() && Folder::new(&place.path().join("one/file")).is_err());
    }

    /// Random trees with random links: what is served lies inside, and the two ways of opening agree.
    #[test]
    fn nothing_outside_is_ever_opened() {
        let mut random = Random::new(3);
        let place = Temporary::new();
        place.write("secret", "outer");
        place.write("in/a/b/c", "inner");
        place.write("in/b/a", "inner");
        place.write("in/c", "inner");
        let parts = ["a", "b", "c", "..", "l0", "l1", "l2", "l3", "secret", "."];
        for _ in 0..300 {
            for link in 0..4 {
                let folder = *random.of(&["in", "in/a", "in/a/b", "in/b"]);
                let path = place.path().join(folder).join(format!("l{link}"));
                let target: Vec<&str> = (0..=random.below(4)).map(|_| *random.of(&parts)).collect();
                let target = target.join("/");
                let target = if random.below(4) == 0 { place.path().join(target) } else { target.into() };
                let _ = std::fs::remove_file(&path);
                symlink(target, path).unwrap();
            }
            let [kernel, steps] = both(&place.path().join("in"));
            for _ in 0..40 {
                let path: Vec<&str> = (0..=random.below(5)).map(|_| *random.of(&parts)).collect();
                let Some(name) = Name::of(path.join("/").as_bytes(), true) else { continue };
                let (first, second) = (word(kernel.open(&name.path, &[])), word(steps.open(&name.path, &[])));
                assert!(["inner", "<folder>", "<missing>"].contains(&first.as_str()), "{path:?}: {first}");
                // The kernel lets no link leave, not even one that comes back; what it leaves to us may.
                assert_eq!(first, second, "{path:?}");
            }
        }
    }
}
