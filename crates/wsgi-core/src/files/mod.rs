//! Static files: a handler that answers from folders, and hands what is not there to the application.
//!
//! ```text
//!  request ──▶ StaticFiles ── a file of that name? ──yes──▶ 200, 206, 304, ...  (no thread waits for a slow reader)
//!                   └───────────────────────────────no───▶ otherwise: the application, or 404
//! ```
//!
//! A map gives the paths below a prefix to a folder; a check looks into a folder for every path. Both serve what is there and leave the rest
//! to the handler behind. Files go out by [`Exchange::finish_with`], so that the engine's threads are free while clients read.
//!
//! **In scope:** `GET` and `HEAD`, conditional and range requests (RFC 9110, 13 and 14), files that were compressed beforehand (`.br`, `.zst`,
//! `.gz`), types, index files, how long copies are fresh. Nothing outside a folder is ever opened, neither by `..` nor by a symbolic link.
//! **Out of scope:** lists of folders, compressing anything itself, uploads.
//!
//! ```
//! use wsgi_core::files::StaticFiles;
//! # struct Site; impl wsgi_core::Handler for Site { fn handle(&self, _: &mut dyn wsgi_core::Exchange) {} }
//! # let folder = std::env::temp_dir();
//! let handler = StaticFiles::new()
//!     .map("/static", &folder)?
//!     .index("index.html")
//!     .fresh_for(|file| (file.content_type == "font/woff2").then_some(std::time::Duration::from_secs(86_400)))
//!     .otherwise(Site);
//! # Ok::<(), wsgi_core::files::FolderError>(())
//! ```
//!
//! It goes into a [`Mount`](crate::Mount) as well: `Mount::new().at("/static", StaticFiles::new().check("/srv/static")?)`.
//!
//! # What it decides
//! - **Symbolic links** are followed within the folder. One that leaves it is followed only into folders that are named by
//!   [`safe`](StaticFiles::safe).
//! - **Names that begin with a dot** are not served, `.well-known` excepted: see [`dotfiles`](StaticFiles::dotfiles).
//! - **`ETag`** is made of size and time, and strong once the file has been at rest for some seconds.
//! - **Several ranges** are answered with `multipart/byteranges`; too many, more bytes than the file has, or those of a compressed file, with the
//!   whole file.
//! - **Compressed files** are chosen by `Accept-Encoding`. One that is older than its original is left alone, as it is of another state.

mod codings;
mod conditions;
mod folder;
mod name;
mod ranges;
mod reply;
#[cfg(test)]
mod testing;
mod types;

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use rustix::io::Errno;

use self::folder::{Folder, Lookup, Opened};
use self::name::Name;
use self::reply::{Answer, Found};
use crate::exchange::{Exchange, Handler};
use crate::trouble::Trouble;
use crate::wire::{HeadError, Known, RequestHead, ResponseHead};

/// A handler that answers with files, where there are any, and hands on what is left.
///
/// See the [module](self) for what it does with them.
#[derive(Default)]
pub struct StaticFiles {
    /// Maps first, of those the longest prefix first; then checks. Equals in the order in which they came.
    places: Vec<Place>,
    safe: Vec<PathBuf>,
    indexes: Vec<String>,
    skipped: Vec<String>,
    types: Vec<(String, String)>,
    freshness: Option<Box<Freshness>>,
    dotfiles: bool,
    as_they_are: bool,
    otherwise: Option<Arc<dyn Handler>>,
    /// There are no descriptors, or no memory, to open anything.
    shortage: Trouble,
}

type Freshness = dyn Fn(&Served<'_>) -> Option<Duration> + Send + Sync;

/// A file that is about to be served.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Served<'a> {
    /// Its path: the folder's, and the name below it. Links in it are not resolved.
    pub path: &'a Path,
    /// The request's path below the application, decoded.
    pub path_info: &'a [u8],
    /// The request's path and query as the client sent them; empty where the protocol does not say.
    pub request_uri: &'a [u8],
    /// Its type, without parameters, such as `text/css`.
    pub content_type: &'a str,
    /// When it was modified.
    pub modified: SystemTime,
}

/// A folder that nothing can be served from.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve files from {}: {source}", path.display())]
pub struct FolderError {
    path: PathBuf,
    source: io::Error,
}

/// A folder, and which paths belong to it.
struct Place {
    /// Empty, or a `/` and more, without one at the end.
    prefix: Vec<u8>,
    /// The prefix is a part of the name in the folder.
    keeps_prefix: bool,
    /// Asked for every path before the application, rather than instead of it.
    checks: bool,
    folder: Folder,
    /// The map is of one path to one file.
    only: Option<Vec<u8>>,
}

impl StaticFiles {
    /// Nothing yet: everything is handed on.
    pub fn new() -> StaticFiles {
        StaticFiles::default()
    }

    /// Serves the paths below a prefix from a folder: with `/static` and `/srv/files`, `/static/a.css` is `/srv/files/a.css`. Instead of a folder
    /// it may be a file, which is then served at the prefix itself.
    ///
    /// A prefix matches at a `/` only. Of several that match, the longest is tried first. A method other than `GET` and `HEAD` is answered with
    /// 405 if the file is there; if it is not, the request is handed on, whatever the method.
    ///
    /// The folder is looked at anew for each request, so another may be put in its place.
    ///
    /// # Errors
    /// There is neither a folder nor a file with this path.
    pub fn map(self, prefix: &str, path: impl AsRef<Path>) -> Result<StaticFiles, FolderError> {
        self.place(prefix, path.as_ref(), false, false)
    }

    /// The same with the prefix as a part of the file's path: with `/static` and `/srv`, `/static/a.css` is `/srv/static/a.css`.
    ///
    /// # Errors
    /// There is no folder with this path.
    pub fn map_whole(self, prefix: &str, folder: impl AsRef<Path>) -> Result<StaticFiles, FolderError> {
        self.place(prefix, folder.as_ref(), true, false)
    }

    /// Looks for every path in a folder before it is handed on. Only `GET` and `HEAD` are looked at, if there is somebody to hand on to.
    ///
    /// # Errors
    /// There is no folder with this path.
    pub fn check(self, folder: impl AsRef<Path>) -> Result<StaticFiles, FolderError> {
        self.place("", folder.as_ref(), false, true)
    }

    fn place(mut self, prefix: &str, path: &Path, keeps_prefix: bool, checks: bool) -> Result<StaticFiles, FolderError> {
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { Vec::new() } else { format!("/{prefix}").into_bytes() };
        let of = |source| FolderError { path: path.to_owned(), source };
        let (folder, only) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if !keeps_prefix && !checks && path.is_file() => {
                (if parent.as_os_str().is_empty() { Path::new(".") } else { parent }, Some(name.as_bytes().to_vec()))
            }
            _ => (path, None),
        };
        let place = Place { prefix, keeps_prefix, checks, folder: Folder::new(folder).map_err(of)?, only };
        let at = self.places.partition_point(|other| !place.goes_before(other));
        self.places.insert(at, place);
        Ok(self)
    }

    /// Lets symbolic links lead into this folder. For links that a deployment makes itself: whoever may put links into a served folder can then
    /// have anything below this one served.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn safe(mut self, folder: impl AsRef<Path>) -> Result<StaticFiles, FolderError> {
        let path = folder.as_ref();
        let resolved = path.canonicalize().map_err(|source| FolderError { path: path.to_owned(), source })?;
        self.safe.push(resolved);
        Ok(self)
    }

    /// Answers a folder with the file of this name in it; of several the first that is there. A path that names such a folder without a `/` at its
    /// end is redirected to the one with it. Without any, folders are not there.
    pub fn index(mut self, name: &str) -> StaticFiles {
        self.indexes.push(name.to_owned());
        self
    }

    /// Serves names that begin with a dot too, such as `.git`. Without it they are not there, except `.well-known` right below the prefix
    /// (RFC 8615): what begins with a dot in a folder is seldom meant for the public.
    pub fn dotfiles(mut self, served: bool) -> StaticFiles {
        self.dotfiles = served;
        self
    }

    /// Hands on all paths that end like this, such as `.php`, without a look for a file; nor does such a file serve as an index.
    pub fn skip(mut self, end: &str) -> StaticFiles {
        self.skipped.push(end.to_owned());
        self
    }

    /// Whether `a.css.br`, `a.css.zst` and `a.css.gz` are sent for `a.css` to clients that take them; they are by default.
    pub fn precompressed(mut self, chosen: bool) -> StaticFiles {
        self.as_they_are = !chosen;
        self
    }

    /// Says what type files with this extension have, such as `wasm` and `application/wasm`, without parameters. It goes before the types that are
    /// known here, and the last before those that were said earlier.
    ///
    /// # Errors
    /// The type holds a control character.
    pub fn content_type(mut self, extension: &str, kind: &str) -> Result<StaticFiles, HeadError> {
        ResponseHead::of(StatusCode::OK).field(b"Content-Type", kind.as_bytes())?;
        self.types.push((extension.trim_start_matches('.').to_ascii_lowercase(), kind.to_owned()));
        Ok(self)
    }

    /// Says how long a copy of a file is fresh, which becomes `Cache-Control: max-age` and `Expires`. Nothing is sent where the answer is none, or
    /// nobody was asked: clients then guess from the file's age. Called for each reply, on the thread that makes it.
    pub fn fresh_for(mut self, decide: impl Fn(&Served<'_>) -> Option<Duration> + Send + Sync + 'static) -> StaticFiles {
        self.freshness = Some(Box::new(decide));
        self
    }

    /// Who answers what no file does; without anybody it gets a 404.
    pub fn otherwise(mut self, handler: impl Handler + 'static) -> StaticFiles {
        self.otherwise = Some(Arc::new(handler));
        self
    }

    /// The answer to a request, unless it is to be handed on. Opens files, and does not wait for clients.
    fn answer(&self, head: &RequestHead) -> Option<Answer> {
        let path = head.get(Known::PathInfo).unwrap_or_default();
        let reads = matches!(head.get(Known::RequestMethod), Some(b"GET" | b"HEAD"));
        for place in &self.places {
            if !reads && place.checks && self.otherwise.is_some() {
                continue;
            }
            let Some(name) = place.name_of(path, self.dotfiles) else { continue };
            if self.skips(&name.path) {
                continue;
            }
            if let Some(answer) = self.answer_from(place, &name, head, reads) {
                return Some(answer);
            }
        }
        None
    }

    fn answer_from(&self, place: &Place, name: &Name, head: &RequestHead, reads: bool) -> Option<Answer> {
        let (path, found) = match if name.folder { Lookup::Folder } else { place.folder.open(&name.path, &self.safe) } {
            Lookup::Folder => self.index_of(place, name)?,
            other => (name.path.clone(), other),
        };
        let opened = match found {
            Lookup::File(opened) => opened,
            Lookup::Missing | Lookup::Folder => return None,
            Lookup::Forbidden if place.checks => return None,
            Lookup::Forbidden => return Some(Answer::plain(StatusCode::FORBIDDEN)),
            Lookup::Failed(error) => return Some(self.failed(&place.folder.path_of(&path), &error)),
        };
        if self.shortage.over().is_some() {
            tracing::info!(target: "wsgi", "static files can be opened again");
        }
        if !reads {
            return Some(Answer::not_allowed());
        }
        let asked = [head.get(Known::ScriptName), head.get(Known::PathInfo)].map(Option::unwrap_or_default).concat();
        if !name.folder && path != name.path && !asked.is_empty() {
            let [uri, query] = [Known::RequestUri, Known::QueryString].map(|name| head.get(name).unwrap_or_default());
            return Some(Answer::moved(&name::with_slash(uri, &asked, query)));
        }
        Some(Answer::file(head, self.found(place, &path, opened, head)))
    }

    /// The answer where a file is there that cannot be opened now. Of a lack that all files have in common the log says so once.
    fn failed(&self, path: &Path, error: &io::Error) -> Answer {
        let lack = matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM));
        if !lack || self.shortage.met() {
            tracing::error!(target: "wsgi", "cannot open {}: {error}", path.display());
        }
        Answer::plain(StatusCode::SERVICE_UNAVAILABLE)
    }

    fn skips(&self, name: &[u8]) -> bool {
        self.skipped.iter().any(|end| name.ends_with(end.as_bytes()))
    }

    /// The name of a folder's index file, and what that came to; nothing if there is none.
    fn index_of(&self, place: &Place, folder: &Name) -> Option<(Vec<u8>, Lookup)> {
        self.indexes.iter().find_map(|index| {
            let path = folder.join(index);
            if self.skips(&path) {
                return None;
            }
            match place.folder.open(&path, &self.safe) {
                Lookup::Missing | Lookup::Folder => None,
                found => Some((path, found)),
            }
        })
    }

    /// What is to be told of a file, and which of its compressed ones stands in for it.
    fn found<'a>(&'a self, place: &Place, name: &[u8], mut opened: Opened, head: &RequestHead) -> Found<'a> {
        let kind = types::of(name, &self.types);
        let path = place.folder.path_of(name);
        let fresh = self.freshness.as_ref().and_then(|decide| {
            decide(&Served {
                path: &path,
                path_info: head.get(Known::PathInfo).unwrap_or_default(),
                request_uri: head.get(Known::RequestUri).unwrap_or_default(),
                content_type: kind,
                modified: opened.modified,
            })
        });
        let varies = !self.as_they_are && types::compressible(kind);
        let mut coding = None;
        let accepted = if varies { codings::accepted(head.get(Known::HttpAcceptEncoding)) } else { Vec::new() };
        for candidate in accepted {
            let name = [name, candidate.suffix().as_bytes()].concat();
            match place.folder.open(&name, &self.safe) {
                Lookup::File(compressed) if not_older(compressed.modified, opened.modified) => {
                    (coding, opened) = (Some(candidate), compressed);
                    break;
                }
                _ => {}
            }
        }
        Found { opened, kind, coding, varies, fresh }
    }
}

impl Handler for StaticFiles {
    fn handle(&self, exchange: &mut dyn Exchange) {
        match (self.answer(exchange.head()), &self.otherwise) {
            (Some(answer), _) => answer.send(exchange),
            (None, Some(handler)) => handler.handle(exchange),
            (None, None) => Answer::plain(StatusCode::NOT_FOUND).send(exchange),
        }
    }

    fn thread(&self, work: &mut dyn FnMut()) {
        match &self.otherwise {
            Some(handler) => handler.thread(work),
            None => work(),
        }
    }
}

impl fmt::Debug for StaticFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticFiles").field("folders", &self.places.len()).finish_non_exhaustive()
    }
}

impl Place {
    /// Whether this one is tried before another that was there first.
    fn goes_before(&self, other: &Place) -> bool {
        !self.checks && (other.checks || self.prefix.len() > other.prefix.len())
    }

    /// What a request's path is called in the folder, if it belongs there.
    fn name_of(&self, path: &[u8], dotfiles: bool) -> Option<Name> {
        let rest = path.strip_prefix(self.prefix.as_slice()).filter(|rest| rest.is_empty() || rest[0] == b'/')?;
        match &self.only {
            Some(file) => rest.is_empty().then(|| Name { path: file.clone(), folder: false }),
            None => {
                let name = Name::of(if self.keeps_prefix { path } else { rest }, dotfiles)?;
                // The prefix by itself is its folder, and wants a `/` as any other does.
                Some(Name { folder: path.ends_with(b"/"), ..name })
            }
        }
    }
}

/// Whether a compressed file may be of its original's present state. Most programs give it the original's time, and some only to the second.
fn not_older(compressed: SystemTime, original: SystemTime) -> bool {
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    seconds(compressed) >= seconds(original)
}

#[cfg(test)]
mod tests {
    use super::testing::Temporary;
    use super::*;

    /// A folder of scripts that are somebody else's to run: their source is nobody's to read, whatever path leads to it.
    #[test]
    fn an_index_file_that_is_skipped_by_its_end_is_not_served() {
        let place = Temporary::new();
        place.write("index.php", "<?php secret");
        place.write("both/index.php", "<?php secret");
        place.write("both/index.html", "page");
        let files = StaticFiles::new().map("", place.path()).unwrap().index("index.php").index("index.html").skip(".php");
        let served = |path: &str| {
            let mut head = RequestHead::default();
            head.set(Known::RequestMethod, b"GET");
            head.set(Known::PathInfo, path.as_bytes());
            files.answer(&head).is_some()
        };
        assert_eq!(["/index.php", "/", "/both/", "/both/index.html"].map(served), [false, false, true, true]);
    }
}
