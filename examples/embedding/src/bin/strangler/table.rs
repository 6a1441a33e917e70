//! Which side answers a route: a table that the operator changes while the program runs.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    /// Python alone.
    Python,
    /// Python, and what Rust would have answered is compared.
    Shadow,
    /// Rust alone.
    Rust,
}

/// The routes that are moving. All others are Python's.
pub(crate) struct Table(Vec<Route>);

struct Route {
    path: &'static str,
    mode: AtomicU8,
    same: AtomicU64,
    different: AtomicU64,
}

/// A word that is none of the modes.
#[derive(Debug)]
pub(crate) struct UnknownMode(String);

impl Table {
    pub(crate) fn new(paths: impl IntoIterator<Item = &'static str>) -> Table {
        let route = |path| Route { path, mode: AtomicU8::new(0), same: AtomicU64::new(0), different: AtomicU64::new(0) };
        Table(paths.into_iter().map(route).collect())
    }

    pub(crate) fn mode(&self, path: &str) -> Mode {
        self.route(path).map_or(Mode::Python, |route| MODES[usize::from(route.mode.load(Ordering::Relaxed))])
    }

    /// Changes the mode of a route, from the next request on. False if there is no such route.
    pub(crate) fn set(&self, path: &str, mode: Mode) -> bool {
        let route = self.route(path);
        if let Some(route) = route {
            tracing::info!("{path} is {mode} from now on");
            route.mode.store(mode as u8, Ordering::Relaxed);
        }
        route.is_some()
    }

    /// Counts a comparison.
    pub(crate) fn compared(&self, path: &str, same: bool) {
        if let Some(route) = self.route(path) {
            let count = if same { &route.same } else { &route.different };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn route(&self, path: &str) -> Option<&Route> {
        self.0.iter().find(|route| route.path == path)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Route { path, same, different, .. } in &self.0 {
            let (mode, same, different) = (self.mode(path), same.load(Ordering::Relaxed), different.load(Ordering::Relaxed));
            writeln!(f, "{path} {mode}, {same} answers were the same, {different} differed")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Python => "python",
            Mode::Shadow => "shadow",
            Mode::Rust => "rust",
        })
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Mode, UnknownMode> {
        MODES.into_iter().find(|mode| mode.to_string() == word).ok_or_else(|| UnknownMode(word.chars().take(40).collect()))
    }
}

impl fmt::Display for UnknownMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mode is {:?}, expected python, shadow or rust", self.0)
    }
}

/// By their numbers.
const MODES: [Mode; 3] = [Mode::Python, Mode::Shadow, Mode::Rust];
