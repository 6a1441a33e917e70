//! The environment that holds the real frameworks at the versions of `requirements.txt`, one for uWSGI, and one for validators of schemas.
//!
//! Each is made once, in the target folder, under a name that changes with the requirements and with the Python that this build is linked
//! against. Several test programs may ask for it at once: a lock lets one make it and the others wait.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};

use crate::process::target_folder;

/// The folder of the environment, to be given to `serve --home`.
///
/// `None` where it cannot be made and this is not CI: a line on standard error says what to install, and the test is to return. With
/// `CI=true` that is a panic.
pub fn frameworks() -> Option<&'static Path> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    there(MADE.get_or_init(|| make("test-venv", "requirements.txt", "real frameworks")))
}

/// The real uWSGI: `$UWSGI`, or one that is installed into an environment of its own, for which it needs a C compiler and Python's headers.
///
/// `None` as for [`frameworks`].
pub fn uwsgi() -> Option<&'static Path> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    there(MADE.get_or_init(|| match std::env::var_os("UWSGI") {
        Some(program) => Ok(program.into()),
        None => make("uwsgi-venv", "requirements-uwsgi.txt", "a real uWSGI").map(|folder| folder.join("bin/uwsgi")),
    }))
}

/// The folder of an environment with programs that check files of Kubernetes and Compose by their schemas, which they have with them.
///
/// `None` as for [`frameworks`].
pub fn validators() -> Option<&'static Path> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    there(MADE.get_or_init(|| make("validators-venv", "requirements-validators.txt", "schemas")))
}

fn there(made: &'static Result<PathBuf, String>) -> Option<&'static Path> {
    match made {
        Ok(path) => Some(path),
        Err(reason) => {
            crate::skip(reason);
            None
        }
    }
}

/// The Python that this build is linked against.
pub const PYTHON: &str = env!("WSGI_TESTS_PYTHON");

/// Makes an environment with what a file of this package names, and gives its folder.
fn make(name: &str, requirements: &str, what: &str) -> Result<PathBuf, String> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join(requirements);
    let wanted = fs::read_to_string(&requirements).map_err(|error| format!("{}: {error}", requirements.display()))?;
    let mut hash = DefaultHasher::new();
    (&wanted, PYTHON, env!("WSGI_TESTS_PYTHON_VERSION")).hash(&mut hash);
    let target = target_folder();
    let folder = target.join(format!("{name}-{:016x}", hash.finish()));
    let done = folder.join("complete");

    let lock = File::create(target.join(format!("{name}.lock")))
        .map_err(|error| format!("cannot make a lock in {}: {error}", target.display()))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| format!("cannot lock {}: {error}", target.display()))?;
    if done.exists() {
        return Ok(folder);
    }
    // What stands there is what an attempt left that was broken off.
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    run(
        Command::new(PYTHON).args(["-m", "venv"]).arg(&folder),
        &format!("the tests of {what} need the modules venv and ensurepip of this Python (on Debian: apt-get install python3-venv)"),
    )?;
    run(
        Command::new(folder.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(&requirements),
        &format!("the tests of {what} need pip to install what {} names", requirements.display()),
    )?;
    fs::write(&done, wanted).map_err(|error| format!("{}: {error}", done.display()))?;
    Ok(folder)
}

fn run(command: &mut Command, need: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{need}; {command:?} does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{need}; {command:?} ended with {}: {}", output.status, said.trim()))
}
