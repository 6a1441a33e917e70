//! Where Python's files are: which virtualenv or installation to start with, and whether it fits the linked libpython.
//!
//! CPython finds out about a wrong home while it starts, when it can only give up. So everything that can be wrong is looked at before.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::StartError;

/// The Python that this program is linked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Linked {
    /// `3.11`, or `3.14t` for a free-threaded build: what its folders are named after.
    pub(super) name: String,
    /// `3.11.7`.
    pub(super) version: String,
}

impl Linked {
    /// From the text of `Py_GetVersion`, such as `3.14.0 free-threading build (main, Oct  7 2025) [GCC 12.2.0]`.
    pub(super) fn parse(text: &str) -> Linked {
        let version = text.split_whitespace().next().unwrap_or_default().to_owned();
        let threads = if text.contains("free-threading") { "t" } else { "" };
        Linked { name: format!("{}{threads}", minor(&version).unwrap_or_default()), version }
    }
}

/// Where a home came from, for errors: who has to change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Given,
    VirtualEnv,
    PythonHome,
}

/// A home and where it came from, as errors name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
    origin: Origin,
}

impl Home {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Given => write!(f, "the Python home {:?}", self.path),
            Origin::VirtualEnv => write!(f, "the virtualenv {:?} (from the environment variable VIRTUAL_ENV)", self.path),
            Origin::PythonHome => write!(f, "the Python home {:?} (from the environment variable PYTHONHOME)", self.path),
        }
    }
}

/// How CPython is told where its files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// The executable that Python takes itself for: how it finds a virtualenv and the installation behind it, and what `sys.executable` says.
    pub(super) program: Option<PathBuf>,
    /// The prefix of an installation. It overrides `PYTHONHOME`, and keeps Python from looking for a virtualenv.
    pub(super) prefix: Option<PathBuf>,
}

/// The environment variables that matter here.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    python_home: Option<OsString>,
    virtual_env: Option<OsString>,
    path: Option<OsString>,
}

impl Environment {
    pub(super) fn of_this_process() -> Environment {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        Environment { python_home: set("PYTHONHOME"), virtual_env: set("VIRTUAL_ENV"), path: set("PATH") }
    }
}

/// Decides where Python's files are. In this order: the home that was asked for; the environment's `PYTHONHOME`; its `VIRTUAL_ENV`; the
/// virtualenv that `python3` on the `PATH` belongs to, if it fits; the installation that `library`, the linked libpython, belongs to.
pub(super) fn find(given: Option<&Path>, environment: &Environment, linked: &Linked, library: Option<&Path>) -> Result<Layout, StartError> {
    let python_home = environment.python_home.as_deref();
    let virtual_env = environment.virtual_env.as_deref();
    let named = match (given, python_home, virtual_env) {
        (Some(path), ..) => Some(Home { path: path.to_owned(), origin: Origin::Given }),
        (None, _, Some(path)) => Some(Home { path: path.into(), origin: Origin::VirtualEnv }),
        (None, ..) => None,
    };
    if let Some(home) = named {
        let layout = examine(&home, linked)?;
        // Python would follow PYTHONHOME and never look at the virtualenv.
        return match python_home {
            Some(python_home) if layout.prefix.is_none() => Err(StartError::Overridden { home, python_home: python_home.into() }),
            _ => Ok(layout),
        };
    }
    if let Some(python_home) = python_home {
        return examine_python_home(python_home, linked);
    }
    let found = environment.path.as_deref().and_then(|path| virtualenv_on(path, linked));
    let found = found.or_else(|| library.and_then(|library| installation_of(library, linked)));
    // CPython looks for a program without a folder on the PATH, and then relies on the prefix that was compiled in. It would take the name of
    // this program otherwise.
    Ok(found.unwrap_or_else(|| Layout { program: Some("python3".into()), prefix: None }))
}

/// Whether a home that was asked for is the one that runs already.
pub(super) fn same(given: &Path, running: &Path) -> bool {
    match (given.canonicalize(), running.canonicalize()) {
        (Ok(given), Ok(running)) => given == running,
        _ => given == running,
    }
}

fn examine(home: &Home, linked: &Linked) -> Result<Layout, StartError> {
    let path = home.path.as_path();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(StartError::NotADirectory { home: home.clone(), meant: enclosing_virtualenv(path) }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StartError::NoHome { home: home.clone() }),
        Err(error) => return Err(unreadable(home, path, error)),
    }
    let configuration = path.join("pyvenv.cfg");
    match fs::read(&configuration) {
        Ok(text) => examine_virtualenv(home, &String::from_utf8_lossy(&text), linked),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            examine_installation(home, linked)?;
            Ok(installation(path, linked))
        }
        Err(error) => Err(unreadable(home, &configuration, error)),
    }
}

fn examine_virtualenv(home: &Home, configuration: &str, linked: &Linked) -> Result<Layout, StartError> {
    let value = |wanted: &[&str]| {
        configuration.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            wanted.contains(&key.trim().to_ascii_lowercase().as_str()).then(|| value.trim().to_owned())
        })
    };
    // The standard library's venv writes `version`; virtualenv and uv write `version_info`.
    let version = value(&["version", "version_info"]).and_then(|version| minor(&version));
    // A free-threaded Python says so only in the names of its folders.
    let folders = libraries_in(&home.path);
    let fits = version.as_deref().is_none_or(|version| version == linked.name.trim_end_matches('t'))
        && (folders.is_empty() || folders.contains(&linked.name));
    if !fits {
        let found = folders.into_iter().find(|name| *name != linked.name).or(version).unwrap_or_default();
        return Err(StartError::OtherVersion { home: home.clone(), found, linked: linked.version.clone() });
    }
    let Some(base) = value(&["home"]).filter(|base| !base.is_empty()).map(PathBuf::from) else {
        return Err(StartError::BrokenVirtualenv {
            home: home.clone(),
            reason: "its pyvenv.cfg has no line \"home = DIRECTORY\"".to_owned(),
        });
    };
    match fs::metadata(&base) {
        // pyenv and uv have their Pythons in somebody's home, which other users may not enter: it is not gone.
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(unreadable(home, &base, error));
        }
        _ => {}
    }
    if !base.is_dir() || !base.ancestors().any(|prefix| has_standard_library(prefix, linked)) {
        return Err(StartError::BaseGone { home: home.clone(), base, name: linked.name.clone() });
    }
    if folders.is_empty() {
        let reason = format!("it has no lib/python{}", linked.name);
        return Err(StartError::BrokenVirtualenv { home: home.clone(), reason });
    }
    Ok(Layout { program: Some(home.path.join("bin/python")), prefix: None })
}

/// Checks that an installation has a standard library for the linked Python.
fn examine_installation(home: &Home, linked: &Linked) -> Result<(), StartError> {
    let prefix = home.path.as_path();
    if !has_standard_library(prefix, linked) {
        return Err(match libraries_in(prefix).into_iter().find(|name| *name != linked.name) {
            Some(found) => StartError::OtherVersion { home: home.clone(), found, linked: linked.version.clone() },
            None => StartError::NotAHome { home: home.clone(), name: linked.name.clone(), meant: enclosing_virtualenv(prefix) },
        });
    }
    let names = standard_libraries(prefix, linked);
    for file in names.into_iter().map(|folder| folder.join("encodings/__init__.py")).filter(|file| file.exists()) {
        fs::File::open(&file).map_err(|error| unreadable(home, &file, error))?;
    }
    Ok(())
}

/// `PYTHONHOME` is `PREFIX` or `PREFIX:EXEC_PREFIX`. Python itself follows it; here it is only made sure that it can start with it.
fn examine_python_home(value: &OsStr, linked: &Linked) -> Result<Layout, StartError> {
    let prefix = env::split_paths(value).next().unwrap_or_default();
    let home = Home { path: prefix, origin: Origin::PythonHome };
    match fs::metadata(&home.path) {
        Ok(found) if found.is_dir() => {
            examine_installation(&home, linked)?;
            Ok(Layout { prefix: None, ..installation(&home.path, linked) })
        }
        Ok(_) => Err(StartError::NotADirectory { home, meant: None }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StartError::NoHome { home }),
        Err(error) => Err(unreadable(&home, &home.path, error)),
    }
}

/// The virtualenv that the first `python3` on the search path belongs to, which is how a container image often says it (`ENV PATH=...`).
/// One that does not fit is passed over: nobody asked for it.
fn virtualenv_on(search: &OsStr, linked: &Linked) -> Option<Layout> {
    let folder = env::split_paths(search).find(|folder| folder.is_absolute() && folder.join("python3").is_file())?;
    let home = Home { path: folder.parent()?.to_owned(), origin: Origin::VirtualEnv };
    if !home.path.join("pyvenv.cfg").is_file() {
        return None;
    }
    match examine(&home, linked) {
        Ok(layout) => Some(layout),
        Err(reason) => {
            tracing::debug!(target: "wsgi", %reason, "passing over the python3 on the PATH");
            None
        }
    }
}

/// The installation that libpython itself belongs to. CPython before 3.14 relies on the prefix that was compiled in, which is wrong once an
/// installation was moved (uv's Pythons are made to be).
fn installation_of(library: &Path, linked: &Linked) -> Option<Layout> {
    let prefix = library.ancestors().skip(1).find(|prefix| has_standard_library(prefix, linked))?;
    Some(installation(prefix, linked))
}

fn installation(prefix: &Path, linked: &Linked) -> Layout {
    // Applications need `sys.executable` to start Python again (`multiprocessing`, `subprocess`).
    let program = prefix.join(format!("bin/python{}", linked.name));
    Layout { program: program.is_file().then_some(program), prefix: Some(prefix.to_owned()) }
}

fn standard_libraries(prefix: &Path, linked: &Linked) -> Vec<PathBuf> {
    LIBRARY_FOLDERS.iter().map(|folder| prefix.join(folder).join(format!("python{}", linked.name))).collect()
}

fn has_standard_library(prefix: &Path, linked: &Linked) -> bool {
    let zip = format!("lib/python{}.zip", linked.name.replace('.', ""));
    standard_libraries(prefix, linked).iter().any(|folder| folder.join("os.py").is_file() || folder.join("os.pyc").is_file())
        || prefix.join(zip).is_file()
}

/// The versions that have a folder in `lib`: `3.11` for `lib/python3.11`.
fn libraries_in(prefix: &Path) -> Vec<String> {
    let entries = LIBRARY_FOLDERS.iter().filter_map(|folder| fs::read_dir(prefix.join(folder)).ok()).flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix("python")?;
            minor(version.trim_end_matches('t'))?;
            entry.path().is_dir().then(|| version.to_owned())
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// `3.11` of `3.11.7` and `3.11.7.final.0`.
fn minor(version: &str) -> Option<String> {
    let mut parts = version.trim().split('.');
    let (major, minor) = (parts.next()?.parse::<u8>().ok()?, parts.next()?.parse::<u8>().ok()?);
    Some(format!("{major}.{minor}"))
}

/// What somebody meant who wrote `venv/bin` or `venv/bin/python`.
fn enclosing_virtualenv(path: &Path) -> Option<PathBuf> {
    path.ancestors().skip(1).take(2).find(|folder| folder.join("pyvenv.cfg").is_file()).map(Path::to_owned)
}

fn unreadable(home: &Home, path: &Path, source: io::Error) -> StartError {
    StartError::Unreadable { home: home.clone(), path: path.to_owned(), source }
}

/// Where installations keep `pythonX.Y`; Fedora and openSUSE use the second.
const LIBRARY_FOLDERS: &[&str] = &["lib", "lib64"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linked_version_names_its_folders() {
        for (text, name, version) in [
            ("3.11.7 (main, Jan  1 2024, 00:00:00) [GCC 12.2.0]", "3.11", "3.11.7"),
            ("3.14.0 free-threading build (main, Oct  7 2025, 10:00:00) [GCC 12.2.0]", "3.14t", "3.14.0"),
            ("3.15.0a1+ (heads/main:abc, Oct  7 2025) [GCC]", "3.15", "3.15.0a1+"),
        ] {
            assert_eq!(Linked::parse(text), Linked { name: name.to_owned(), version: version.to_owned() });
        }
    }

    #[test]
    fn a_virtualenv_of_a_free_threaded_python_is_of_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        fs::create_dir_all(path.join("lib/python3.14t/site-packages")).unwrap();
        fs::create_dir_all(path.join("base/lib/python3.14")).unwrap();
        fs::create_dir_all(path.join("base/bin")).unwrap();
        fs::write(path.join("base/lib/python3.14/os.py"), "").unwrap();
        fs::write(path.join("pyvenv.cfg"), format!("home = {}/base/bin\nversion = 3.14.0\n", path.display())).unwrap();
        let error = find(Some(&path), &Environment::default(), &Linked::parse("3.14.0 (main)"), None).unwrap_err();
        assert!(matches!(&error, StartError::OtherVersion { found, .. } if found == "3.14t"), "{error}");

        fs::rename(path.join("lib/python3.14t"), path.join("lib/python3.14")).unwrap();
        let found = find(Some(&path), &Environment::default(), &Linked::parse("3.14.0 (main)"), None).unwrap();
        assert_eq!(found, Layout { program: Some(path.join("bin/python")), prefix: None });
    }

    #[test]
    fn the_installation_of_libpython_is_found_wherever_it_was_moved_to() {
        let folder = tempfile::tempdir().unwrap();
        let linked = Linked::parse("3.12.1 (main)");
        let prefix = folder.path().join("moved");
        let library = prefix.join("lib/x86_64-linux-gnu/libpython3.12.so.1.0");
        // Nothing there: CPython shall see to it.
        let unsaid = Layout { program: Some("python3".into()), prefix: None };
        assert_eq!(find(None, &Environment::default(), &linked, Some(&library)).unwrap(), unsaid);

        fs::create_dir_all(prefix.join("lib64/python3.12")).unwrap();
        fs::write(prefix.join("lib64/python3.12/os.py"), "").unwrap();
        let found = find(None, &Environment::default(), &linked, Some(&library)).unwrap();
        assert_eq!(found, Layout { program: None, prefix: Some(prefix.clone()) });

        fs::create_dir_all(prefix.join("bin")).unwrap();
        fs::write(prefix.join("bin/python3.12"), "").unwrap();
        let found = find(None, &Environment::default(), &linked, Some(&library)).unwrap();
        assert_eq!(found, Layout { program: Some(prefix.join("bin/python3.12")), prefix: Some(prefix) });
    }
}
