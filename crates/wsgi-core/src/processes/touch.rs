//! Files that somebody touches to have something done.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files that are looked at again and again. What counts is that a file is another or was written to, not when.
#[derive(Debug, Default)]
pub struct Touched {
    files: BTreeMap<PathBuf, Option<Mark>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Touched {
    /// Watches these files from now on. They need not exist yet.
    pub fn new(files: impl IntoIterator<Item = PathBuf>) -> Touched {
        let mut touched = Touched::default();
        files.into_iter().for_each(|file| touched.watch(file));
        touched
    }

    /// Watches one more file, unless it is watched already.
    pub fn watch(&mut self, file: PathBuf) {
        if let Entry::Vacant(place) = self.files.entry(file) {
            let mark = mark(place.key());
            place.insert(mark);
        }
    }

    /// Whether there is nothing to watch.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The first file that was touched, made or replaced since it was looked at last. One that was removed is not told: it may be about to be
    /// replaced.
    pub fn look(&mut self) -> Option<PathBuf> {
        let mut found = None;
        for (file, known) in &mut self.files {
            let now = mark(file);
            if now.is_some() && now != *known {
                *known = now;
                found.get_or_insert_with(|| file.clone());
            }
        }
        found
    }
}

fn mark(file: &Path) -> Option<Mark> {
    let data = std::fs::metadata(file).ok()?;
    Some(Mark { inode: data.ino(), size: data.size(), seconds: data.mtime(), nanoseconds: data.mtime_nsec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_change_is_told_once_and_a_file_that_goes_is_not() {
        let folder = std::env::temp_dir().join(format!("wsgi-touched-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (one, other) = (folder.join("one"), folder.join("other"));
        fs::write(&one, "").unwrap();
        let mut touched = Touched::new([one.clone(), other.clone()]);
        touched.watch(one.clone());
        assert_eq!(touched.look(), None);
        fs::write(&one, "x").unwrap();
        assert_eq!((touched.look(), touched.look()), (Some(one.clone()), None));
        fs::remove_file(&one).unwrap();
        assert_eq!(touched.look(), None);
        fs::write(&other, "").unwrap();
        assert_eq!((touched.look(), touched.look()), (Some(other), None));
        fs::write(&one, "xy").unwrap();
        assert_eq!(touched.look(), Some(one));
        fs::remove_dir_all(&folder).unwrap();
    }
}
