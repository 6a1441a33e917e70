//! When log files make room for new ones.

use std::path::PathBuf;

use super::LogFile;

/// Log files that are looked at again and again, once a second say, by one process of those that write to them.
///
/// It says when all of these processes have to open their files anew: also when somebody else has renamed one, such as another server that
/// writes to the same.
///
/// ```no_run
/// use wsgi_core::access::{LogFile, Rotation};
///
/// let mut rotation = Rotation::new([LogFile::new("site.log").max_size(10 << 20)]);
/// loop {
///     std::thread::sleep(std::time::Duration::from_secs(1));
///     if rotation.look() {
///         // Open the file anew: `Lines::reopen` here, a signal or `Master` for other processes.
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Rotation {
    files: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    file: LogFile,
    /// The one that is written to, as far as is known.
    identity: Option<(u64, u64)>,
    /// What the log was told last of a failure.
    failure: Option<String>,
}

impl Rotation {
    /// Looks at these files from now on. They are open already.
    pub fn new(files: impl IntoIterator<Item = LogFile>) -> Rotation {
        let watched = |file: LogFile| Watched { identity: file.identity(), file, failure: None };
        Rotation { files: files.into_iter().map(watched).collect() }
    }

    /// Whether there is a file that can become too large.
    pub fn is_needed(&self) -> bool {
        self.files.iter().any(|watched| watched.file.bound().is_some())
    }

    /// Renames what is too large, and says whether files are to be opened anew. What cannot be renamed is logged once, and tried again.
    pub fn look(&mut self) -> bool {
        let mut due = false;
        for watched in &mut self.files {
            let outcome = watched.file.rotate_if_large();
            due |= watched.noted(outcome);
        }
        due
    }

    /// The same, whatever their sizes are.
    pub fn rotate(&mut self) -> bool {
        let mut due = false;
        for watched in &mut self.files {
            let outcome = watched.file.rotate();
            due |= watched.noted(outcome);
        }
        due
    }
}

impl Watched {
    fn noted(&mut self, outcome: std::io::Result<Option<PathBuf>>) -> bool {
        let path = self.file.path().display();
        match outcome {
            Ok(renamed) => {
                self.failure = None;
                if let Some(name) = renamed {
                    tracing::info!(target: "wsgi", "the log {path} is renamed to {}", name.display());
                }
            }
            Err(error) => {
                let sentence = error.to_string();
                if self.failure.as_ref() != Some(&sentence) {
                    tracing::error!(target: "wsgi", "the log {path} cannot be renamed, and grows on: {sentence}");
                    self.failure = Some(sentence);
                }
            }
        }
        // One that is gone for a moment is about to be there again.
        let found = self.file.identity();
        let another = found.is_some() && found != self.identity;
        if another {
            self.identity = found;
        }
        another
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_to_be_opened_anew_once_whoever_has_renamed_them() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("old"));
        let log = LogFile::new(&path).max_size(3).backup(&old);
        fs::write(&path, "one").unwrap();
        let (mut ours, mut theirs) = (Rotation::new([log.clone()]), Rotation::new([log]));
        assert!(!ours.look() && ours.is_needed());
        fs::write(&path, "four").unwrap();
        assert!(ours.look() && !ours.look());
        assert!(theirs.look() && !theirs.look());
        assert_eq!(fs::read_to_string(&old).unwrap(), "four");
        fs::write(&path, "1").unwrap();
        assert!(ours.rotate() && theirs.look());
        // Whoever has it open keeps its number from being given to another.
        let _open = fs::File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!ours.look());
        fs::write(&path, "").unwrap();
        assert!(ours.look());
        assert!(!Rotation::new([LogFile::new(&path)]).is_needed());
    }
}
