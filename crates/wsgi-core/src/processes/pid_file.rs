//! A file with the number of the process that is the service, for those who send it signals.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

/// A PID file of this process. It is removed when this is dropped, if it is still this process's.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

/// Why there is no PID file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PidFileError {
    /// Somebody else is the service.
    #[error("{path:?} says that process {process} runs: end it first, or choose another file")]
    Held {
        /// The file.
        path: PathBuf,
        /// Who it names.
        process: u32,
    },
    /// What is there is something else, and is not written over.
    #[error("{path:?} is not a PID file: expected a number")]
    Other {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("cannot write the PID file {path:?}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PidFile {
    /// Writes the file. One that names a process that is gone is replaced; so is one that names `before`, but only by
    /// [`write`](Self::write), when this process has taken over from that one.
    ///
    /// # Errors
    /// A process that lives is named there; the file cannot be written.
    pub fn claim(path: &Path, before: Option<u32>) -> Result<PidFile, PidFileError> {
        // Whoever changes the working directory means the same file afterwards.
        let path = std::path::absolute(path).map_err(|source| PidFileError::Io { path: path.to_owned(), source })?;
        let file = PidFile { path };
        match file.named()? {
            Some(process) if Some(process) == before => return Ok(file),
            Some(process) if process != std::process::id() && lives(process) => {
                return Err(PidFileError::Held { path: file.path.clone(), process });
            }
            _ => {}
        }
        file.write()?;
        Ok(file)
    }

    /// Writes this process's number into the file, in place: whoever may write to the file need not be allowed to write to its folder, and a full
    /// disk still has the room that the number before takes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self) -> Result<(), PidFileError> {
        let write = || {
            let mut file = fs::File::options().write(true).create(true).truncate(false).open(&self.path)?;
            let text = format!("{}\n", std::process::id());
            file.write_all(text.as_bytes())?;
            file.set_len(text.len() as u64)
        };
        write().map_err(|source| PidFileError::Io { path: self.path.clone(), source })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process that the file names.
    fn named(&self) -> Result<Option<u32>, PidFileError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PidFileError::Io { path: self.path.clone(), source }),
        };
        let text = String::from_utf8_lossy(&text);
        // A file that was made beforehand, so that the server may write to it, is empty.
        if text.trim().is_empty() {
            return Ok(None);
        }
        text.trim().parse().map(Some).map_err(|_| PidFileError::Other { path: self.path.clone() })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if matches!(self.named(), Ok(Some(process)) if process == std::process::id()) {
            if let Err(error) = fs::remove_file(&self.path) {
                tracing::info!(target: "wsgi", "the PID file {:?} stays: {error}", self.path);
            }
        }
    }
}

/// One that has ended, and that nobody has waited for yet, is only a number.
fn lives(process: u32) -> bool {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    // One that we may not send a signal to lives too.
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH)) && !has_ended(process)
}

fn has_ended(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Behind the name, which may have anything in it.
    status.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_refused_while_its_process_lives_and_removed_by_its_own() {
        let path = std::env::temp_dir().join(format!("wsgi-{}.pid", std::process::id()));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = child.id();
        fs::write(&path, format!("{other}\n")).unwrap();
        let refused = PidFile::claim(&path, None).unwrap_err();
        assert_eq!(refused.to_string(), format!("{path:?} says that process {other} runs: end it first, or choose another file"));
        // To be taken over from that one: not before it is time, and not removed if that time never comes.
        drop(PidFile::claim(&path, Some(other)).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{other}\n"));
        child.kill().unwrap();
        while !has_ended(other) {
            std::thread::yield_now();
        }
        let file = PidFile::claim(&path, None).unwrap();
        child.wait().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        // Another has taken over.
        fs::write(&path, format!("{other}\n")).unwrap();
        drop(file);
        assert!(path.exists());
        fs::write(&path, "").unwrap();
        drop(PidFile::claim(&path, None).unwrap());
        assert!(!path.exists());
        fs::write(&path, "not mine").unwrap();
        assert!(matches!(PidFile::claim(&path, None), Err(PidFileError::Other { .. })));
        fs::remove_file(&path).unwrap();
    }
}
