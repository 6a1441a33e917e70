//! The files themselves, and what is common to reading them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wsgi_tests::front::example::Example;
use yaml_rust2::{Yaml, YamlLoader};

/// The documents of a YAML file of `examples/deploy/`.
pub(crate) fn documents(name: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(Example::read(name).text()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A text, or a number as text.
#[track_caller]
pub(crate) fn text(value: &Yaml) -> String {
    match value {
        Yaml::String(text) => text.clone(),
        Yaml::Integer(number) => number.to_string(),
        other => panic!("expected a text, got {other:?}"),
    }
}

/// A list of texts.
#[track_caller]
pub(crate) fn texts(value: &Yaml) -> Vec<String> {
    list(value).iter().map(text).collect()
}

/// A list.
#[track_caller]
pub(crate) fn list(value: &Yaml) -> &[Yaml] {
    value.as_vec().unwrap_or_else(|| panic!("expected a list, got {value:?}"))
}

/// A number.
#[track_caller]
pub(crate) fn number(value: &Yaml) -> u64 {
    value.as_i64().and_then(|number| number.try_into().ok()).unwrap_or_else(|| panic!("expected a number, got {value:?}"))
}

/// The entry of a list that has this name.
#[track_caller]
pub(crate) fn named<'a>(entries: &'a Yaml, name: &str) -> &'a Yaml {
    list(entries).iter().find(|entry| entry["name"].as_str() == Some(name)).unwrap_or_else(|| panic!("nothing is named {name:?}"))
}

/// How long the server may take from TERM to its end, if it is given so long for requests that run: as long again for Python's threads, and
/// what the master gives its workers besides.
pub(crate) fn longest_end(graceful_timeout: Duration) -> Duration {
    graceful_timeout * 2 + Duration::from_secs(5)
}

/// The figures of a row of the table of `examples/deploy/README.md` of how long an end may take: for Kubernetes and for Compose.
pub(crate) fn told(row: &str) -> [String; 2] {
    let readme = Example::read("README.md");
    let line = readme.text().lines().find(|line| line.starts_with(&format!("| {row} |"))).unwrap_or_else(|| panic!("no row {row:?}"));
    let mut cells = line.split('|').skip(2).map(|cell| cell.trim().to_owned());
    [(); 2].map(|()| cells.next().expect("a cell"))
}

/// The root of this repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the repository").to_owned()
}

/// Has one of the programs of [`validators`](wsgi_tests::venv::validators) judge a file. A panic with what it says.
pub(crate) fn validate(validators: &Path, program: &str, options: &[&str], name: &str) {
    let file = wsgi_tests::front::example::folder().join(name);
    let said = Command::new(validators.join("bin").join(program)).args(options).arg(file).output().expect("it is installed");
    assert!(said.status.success(), "{program}: {}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
}

/// What `--graceful-timeout` is where nobody says otherwise.
pub(crate) const GRACEFUL_TIMEOUT: Duration = Duration::from_secs(30);
