//! A file of `examples/deploy/`, and what stands in its header.

use std::fs;
use std::path::{Path, PathBuf};

use super::upstream::Address;

/// A file of `examples/deploy/`, into which the values of one site are put.
pub struct Example {
    name: String,
    text: String,
}

impl Example {
    /// A panic if it is not there.
    pub fn read(name: &str) -> Example {
        let path = folder().join(name);
        Example { name: name.to_owned(), text: fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) }
    }

    /// What it says by now.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Replaces something everywhere. A panic if it is not there: the file and its test have drifted apart.
    pub fn set(&mut self, what: &str, with: &str) {
        assert!(self.text.contains(what), "{} does not have {what:?}", self.name);
        self.text = self.text.replace(what, with);
    }

    /// Replaces a Unix socket by another or, in the way that the file itself shows after the words "Over TCP", by an address.
    ///
    /// `unix` is the place that names the socket with this path, `tcp` what stands there for the port 8000.
    pub fn set_socket(&mut self, path: &str, unix: &str, tcp: &str, address: &Address) {
        match address {
            Address::Unix(other) => self.set(path, &other.display().to_string()),
            Address::Tcp(other) => {
                let shown = self.text.lines().any(|line| line.contains("Over TCP: ") && line.contains(tcp));
                assert!(shown, "{} does not show {tcp:?}", self.name);
                self.set(unix, &tcp.replace("8000", &other.port().to_string()));
            }
        }
    }

    /// The commands that the header names after `Beside:`, split into words.
    pub fn commands(&self) -> Vec<Vec<String>> {
        let header = self.text.lines().take_while(|line| line.starts_with('#'));
        let beside = header.skip_while(|line| !line.starts_with("# Beside:"));
        let commands = beside.filter_map(|line| line.trim_start_matches("# Beside:").trim_start_matches('#').trim().strip_prefix("serve "));
        let commands: Vec<Vec<String>> = commands.map(|words| words.split(' ').map(str::to_owned).collect()).collect();
        assert!(!commands.is_empty(), "{} does not say what to start beside it", self.name);
        commands
    }

    /// The names that its header gives to `a2enmod`.
    pub fn apache_modules(&self) -> Vec<String> {
        let (_, rest) = self.text.split_once("a2enmod ").unwrap_or_else(|| panic!("{} says no a2enmod", self.name));
        let (names, _) = rest.split_once(" &&").expect("a command after it");
        names.split(' ').map(str::to_owned).collect()
    }
}

/// Where the examples are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/deploy")
}
