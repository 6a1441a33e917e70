//! Real web servers in front of the real server: each configuration of `examples/deploy/` is started as it stands there, with the few values
//! that belong to a site replaced, and beside it the command that its header names.
//!
//! - [`table`] says which web server speaks which protocol, and what is to be seen through it: start reading there.
//! - [`checks`] is what each of these pairs is asked, of the application `front_apps/fixture.py`; [`django`] what it is asked of a Django site.
//! - [`site`] starts a web server and what is behind it, out of [`web_server`], [`upstream`] and [`example`].
//! - [`farm`] starts several machines with one in front.
//! - [`relay`] counts the connections between the two.
//!
//! With `WSGI_TESTS_UWSGI` set to the path of uWSGI, that stands behind the web servers in the place of our server: it shows whether a finding
//! is ours or the web server's. Not everything passes then.

pub mod checks;
pub mod django;
pub mod example;
pub mod farm;
pub mod ports;
pub mod relay;
pub mod site;
pub mod table;
pub mod upstream;
pub mod web_server;

use crate::skip;

/// Whether a program is there. Where it is not: a line that says what to install, or a panic in CI.
pub fn installed(program: &str, package: &str) -> bool {
    if path_of(program).is_some() {
        return true;
    }
    skip(&format!("{program} is missing (on Debian: apt-get install {package})"));
    false
}

/// Where a program is; also where Debian has servers and the path of a user does not look.
fn path_of(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|program| program.is_file())
}
