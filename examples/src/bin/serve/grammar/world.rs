//! What a configuration can ask of the machine: variables, names, files.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The machine as it is when the configuration is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(super) variables: BTreeMap<OsString, OsString>,
    /// Where relative paths count from.
    pub(super) directory: PathBuf,
    pub(super) host: String,
    pub(super) binary: PathBuf,
    pub(super) cores: usize,
    pub(super) since_1970: std::time::Duration,
    pub(super) user: (u32, u32),
}

impl World {
    /// This one.
    pub(crate) fn here() -> World {
        World {
            variables: std::env::vars_os().collect(),
            // Without one there are no relative paths either.
            directory: std::env::current_dir().unwrap_or_default(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            binary: std::env::current_exe().unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            since_1970: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            user: (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()),
        }
    }

    /// One with nothing but these variables.
    #[cfg(test)]
    pub(crate) fn with_variables(variables: &[(&str, &str)]) -> World {
        World { variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(), ..World::default() }
    }

    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    pub(super) fn absolute(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// A file of text, from where the process stands.
    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let path = self.absolute(path);
        if path.is_dir() {
            return Err(io::Error::other("it is a folder"));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST { Err(io::Error::other(format!("it is larger than {LARGEST} bytes"))) } else { Ok(bytes) }
    }

    /// The user's name, or the group's, or the number where there is none.
    pub(super) fn name_of(&self, table: &str, number: u32) -> String {
        let text = fs::read_to_string(Path::new("/etc").join(table)).unwrap_or_default();
        let entry = text.lines().find(|line| line.split(':').nth(2).is_some_and(|field| field == number.to_string()));
        entry.and_then(|line| line.split(':').next()).map_or_else(|| number.to_string(), str::to_owned)
    }
}

/// What is read of one file: more is no configuration.
const LARGEST: u64 = 1024 * 1024;
