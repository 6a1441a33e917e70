//! Where the virtualenv of the tests is.

use std::path::{Path, PathBuf};

/// The virtualenv with what the sites need: `WSGI_HARNESS_HOME`, or `venv` beside `Cargo.toml`.
///
/// `None` where there is none: a line on standard error says what to install, and the test is to return.
///
/// # Panics
/// If there is none and `CI` is `true`, so that no test is skipped there without anybody noticing.
pub fn home() -> Option<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = std::env::var_os("WSGI_HARNESS_HOME").map_or_else(|| package.join("venv"), PathBuf::from);
    if home.join("pyvenv.cfg").exists() {
        return Some(home);
    }
    let missing = format!(
        "{} is no virtualenv: python3 -m venv {0} && {0}/bin/pip install -r {}",
        home.display(),
        package.join("requirements.txt").display()
    );
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{missing}");
    eprintln!("skipped: {missing}");
    None
}
