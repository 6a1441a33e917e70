//! Sockets at the addresses that were asked for, or a sentence about what is in the way.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::ToSocketAddrs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use wsgi_core::processes::{Named, systemd};
use wsgi_core::proxies::Proxied;
use wsgi_core::server::{AllowFrom, BindOptions, ListenAddress, Listener, Server};
use wsgi_core::wire::{Address, Paths};
use wsgi_fastcgi::FastCgi;
use wsgi_http::Http1;
use wsgi_http::tls::{Certificates, Tls};
use wsgi_uwsgi_proto::{Scgi, Uwsgi};

use crate::options::{DEFAULT_ADDRESS, Settings, Speaks};
use crate::{Failure, port_owner};

/// A listening socket and what is spoken there.
#[derive(Debug)]
pub(crate) struct Bound {
    /// What the other processes of this server know it by.
    name: String,
    speaks: Speaks,
    listener: Listener,
    dialect: Dialect,
    /// Behind the PROXY protocol.
    proxied: bool,
}

/// What is spoken, set up.
#[derive(Debug)]
enum Dialect {
    Http(Http1),
    Https(Tls),
    Uwsgi(Uwsgi),
    FastCgi(FastCgi),
    Scgi(Scgi),
}

/// Binds every address, and loads the certificates that go with it.
///
/// # Errors
/// What is in the way of the first that cannot be had, and what can be done.
pub(crate) fn bind(settings: &Settings) -> Result<Vec<Bound>, Failure> {
    let wanted = wanted(settings);
    close_others(wanted.iter().map(|(_, address)| address).chain(&settings.seeing.stats));
    wanted.iter().map(|(speaks, address)| bind_one(settings, speaks, address)).collect()
}

/// Closes what systemd has passed and nobody has named: it would be passed on to whatever the application starts.
fn close_others<'a>(named: impl Iterator<Item = &'a ListenAddress>) {
    let named: Vec<_> = named.collect();
    for (descriptor, name) in systemd::sockets() {
        let address = ListenAddress::Inherited(descriptor);
        if !named.contains(&&address) && Listener::bind(&address).is_ok() {
            tracing::warn!("the socket {address} ({name}), with which this server was started, is not served: no option names it");
        }
    }
}

/// The sockets of the master before this one, as far as they are still wanted, and new ones for what is wanted besides.
///
/// # Errors
/// As for [`bind`].
pub(crate) fn take_over(settings: &Settings, mut sockets: Vec<Named>) -> Result<Vec<Bound>, Failure> {
    if settings.listen.is_empty() {
        return adopt(settings, sockets);
    }
    let mut bound = Vec::new();
    for (speaks, address) in wanted(settings) {
        let name = name(&speaks, &address);
        bound.push(match sockets.iter().position(|socket| socket.name == name) {
            Some(index) => Bound::new(settings, speaks, sockets.remove(index))?,
            None => bind_one(settings, &speaks, &address)?,
        });
    }
    Ok(bound)
}

/// The sockets that a worker was given.
///
/// # Errors
/// What they are for is not what the settings say, which have changed since the sockets were bound.
pub(crate) fn adopt(settings: &Settings, sockets: Vec<Named>) -> Result<Vec<Bound>, Failure> {
    let wanted = wanted(settings);
    let mut bound = Vec::new();
    for socket in sockets {
        let listed = wanted.iter().find(|(speaks, address)| name(speaks, address) == socket.name);
        let plain = || PLAIN.iter().find(|speaks| socket.name.split(' ').next() == Some(speaks.scheme()));
        let Some(speaks) = listed.map(|(speaks, _)| speaks).or_else(plain).cloned() else {
            return Err(Failure::Usage(format!("the options say nothing of the socket {:?}, on which the server listens", socket.name)));
        };
        bound.push(Bound::new(settings, speaks, socket)?);
    }
    Ok(bound)
}

/// The sockets as other processes are to get them.
pub(crate) fn named(bound: Vec<Bound>) -> Vec<Named> {
    bound.into_iter().map(|Bound { name, listener, .. }| Named { name, listener }).collect()
}

/// Where to listen: as the options say, or else on what systemd has bound, or else where everybody looks first.
fn wanted(settings: &Settings) -> Vec<(Speaks, ListenAddress)> {
    if !settings.listen.is_empty() {
        return settings.listen.clone();
    }
    let activated: Vec<_> = systemd::sockets()
        .into_iter()
        .map(|(descriptor, name)| {
            let speaks = PLAIN.iter().find(|speaks| speaks.scheme() == name).unwrap_or(&Speaks::Http);
            (speaks.clone(), ListenAddress::Inherited(descriptor))
        })
        .collect();
    if !activated.is_empty() {
        return activated;
    }
    DEFAULT_ADDRESS.parse().into_iter().map(|address| (Speaks::Http, address)).collect()
}

fn bind_one(settings: &Settings, speaks: &Speaks, address: &ListenAddress) -> Result<Bound, Failure> {
    let cannot = |reason: String| Failure::SetUp(format!("cannot listen on {address}: {reason}"));
    let (unix_user, unix_group) = settings.processes.socket_owner()?.map_or((None, None), |owner| (owner.user(), owner.group()));
    let options = BindOptions { backlog: settings.backlog, unix_mode: settings.socket_mode, unix_user, unix_group };
    let listener = Listener::bind_with(address, &options).map_err(|error| cannot(explain(address, speaks.option(), &error)))?;
    Bound::new(settings, speaks.clone(), Named { name: name(speaks, address), listener })
}

/// What processes of this server call a socket.
fn name(speaks: &Speaks, address: &ListenAddress) -> String {
    format!("{} {address}", speaks.scheme())
}

/// Gives the sockets to the server, each with its protocol.
pub(crate) fn listen(server: Server, bound: Vec<Bound>) -> Server {
    bound.into_iter().fold(server, |server, Bound { listener, dialect, proxied, .. }| match dialect {
        Dialect::Http(http) if proxied => server.listen(listener, Proxied::new(http)),
        Dialect::Http(http) => server.listen(listener, http),
        Dialect::Https(https) if proxied => server.listen(listener, Proxied::new(https)),
        Dialect::Https(https) => server.listen(listener, https),
        Dialect::Uwsgi(uwsgi) => server.listen(listener, uwsgi),
        Dialect::FastCgi(fastcgi) => server.listen(listener, fastcgi),
        Dialect::Scgi(scgi) => server.listen(listener, scgi),
    })
}

impl Bound {
    fn new(settings: &Settings, speaks: Speaks, Named { name, mut listener }: Named) -> Result<Bound, Failure> {
        let proxied = speaks.is_http() && settings.requests.proxy_protocol;
        if (proxied || !speaks.is_http()) && !settings.allow_from.is_empty() {
            listener = listener.allow_from(AllowFrom::Networks(settings.allow_from.clone()));
        }
        let dialect = speaks.dialect(settings)?;
        Ok(Bound { name, speaks, listener, dialect, proxied })
    }

    /// Where it listens, as one writes it into a browser or a web server's configuration.
    pub(crate) fn url(&self) -> String {
        let scheme = self.speaks.scheme();
        match self.listener.local_address() {
            Address::Tcp(address) => format!("{scheme}://{address}{}", if self.speaks.is_http() { "/" } else { "" }),
            Address::Unix(Some(path)) => format!("{scheme}+unix:{}", path.display()),
            Address::Unix(None) => format!("{scheme} on a Unix socket that was inherited"),
        }
    }
}

impl Speaks {
    fn is_http(&self) -> bool {
        matches!(self, Speaks::Http | Speaks::Https { .. })
    }

    fn dialect(&self, settings: &Settings) -> Result<Dialect, Failure> {
        let limits = settings.limits.clone();
        let paths = Paths::new(settings.path_rule);
        Ok(match self {
            Speaks::Http => Dialect::Http(Http1::new().limits(limits)),
            Speaks::Https { chain, key } => {
                // A certificate that cannot be used is a mistake of the command line's.
                let certificates = Certificates::load(chain, key);
                let certificates = certificates.map_err(|error| Failure::mistake("https", chain.to_string_lossy(), error))?;
                Dialect::Https(Tls::new(Http1::new().limits(limits), &certificates.watch(CERTIFICATES_WATCHED)))
            }
            Speaks::Uwsgi => Dialect::Uwsgi(Uwsgi::new().limits(limits).paths(paths)),
            Speaks::FastCgi => Dialect::FastCgi(FastCgi::new().limits(limits).paths(paths).log_to_peer(settings.fastcgi_stderr)),
            Speaks::Scgi => Dialect::Scgi(Scgi::new().limits(limits).paths(paths)),
        })
    }

    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Speaks::Http => "http",
            Speaks::Https { .. } => "https",
            Speaks::Uwsgi => "uwsgi",
            Speaks::FastCgi => "fastcgi",
            Speaks::Scgi => "scgi",
        }
    }

    fn option(&self) -> &'static str {
        match self {
            Speaks::Http => "--http",
            Speaks::Https { .. } => "--https",
            Speaks::Uwsgi => "--uwsgi-socket",
            Speaks::FastCgi => "--fastcgi-socket",
            Speaks::Scgi => "--scgi-socket",
        }
    }
}

/// What needs nothing but a socket.
static PLAIN: [Speaks; 4] = [Speaks::Http, Speaks::Uwsgi, Speaks::FastCgi, Speaks::Scgi];

/// Why an address cannot be had, and what to do about it.
pub(crate) fn explain(address: &ListenAddress, option: &str, error: &io::Error) -> String {
    match (address, error.kind()) {
        (ListenAddress::Tcp(host, port), ErrorKind::AddrInUse) => {
            let addresses: Vec<_> = (host.as_str(), *port).to_socket_addrs().into_iter().flatten().collect();
            match addresses.iter().find_map(|address| port_owner::of(*address)) {
                Some(owner) => format!("the port is in use by {owner}: end it, or choose another port with {option}"),
                None => format!("the port is in use by another program: end it, or choose another port with {option}"),
            }
        }
        (ListenAddress::Tcp(_, port @ ..1024), ErrorKind::PermissionDenied) => {
            format!("port {port} is reserved for root: choose one from 1024 on, or give the program the capability CAP_NET_BIND_SERVICE")
        }
        (ListenAddress::Tcp(host, _), ErrorKind::AddrNotAvailable) => format!("this machine does not have the address {host}"),
        (ListenAddress::Unix(path), ErrorKind::AddrInUse) => unix_in_use(path),
        (ListenAddress::Unix(path), ErrorKind::NotFound) => format!("the directory {:?} does not exist", folder(path)),
        (ListenAddress::Unix(path), ErrorKind::PermissionDenied) => format!("no permission to make a socket in {:?}", folder(path)),
        _ => error.to_string(),
    }
}

fn unix_in_use(path: &Path) -> String {
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => "there is a file that is not a socket: remove it, or choose another path".to_owned(),
        _ => "another program listens there: end it, or choose another path".to_owned(),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// How often, at most, the files of certificates are looked at.
const CERTIFICATES_WATCHED: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::command_line;

    fn bound(arguments: &[&str]) -> Result<Vec<Bound>, String> {
        bind(&command_line::parse(arguments.iter().map(OsString::from)).unwrap()).map_err(|failure| match failure {
            Failure::Usage(sentence) | Failure::SetUp(sentence) => sentence,
            Failure::Mistake(mistake) => format!("{}: {}", mistake.option, mistake.sentence),
            Failure::Import(error, _) => panic!("{error}"),
            Failure::Said(code) => panic!("{code}"),
            Failure::Stuck => panic!("nothing runs yet"),
        })
    }

    #[test]
    fn a_port_that_is_taken_names_who_has_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sentence = bound(&[&format!("--http={address}")]).unwrap_err();
        let owner = format!("(process {})", std::process::id());
        assert!(sentence.starts_with(&format!("cannot listen on {address}: the port is in use by ")), "{sentence}");
        assert!(sentence.contains(&owner) && sentence.ends_with(": end it, or choose another port with --http"), "{sentence}");
    }

    #[test]
    fn a_path_that_cannot_be_had_is_told() {
        let folder = std::env::temp_dir().join(format!("serve-listening-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        fs::write(folder.join("file"), "").unwrap();
        let first = bound(&["--http", &at("a.sock"), "--chmod-socket=600"]).unwrap();
        assert_eq!(first[0].url(), format!("http+unix:{}", at("a.sock")));
        for (name, reason) in [
            ("a.sock", "another program listens there: end it, or choose another path".to_owned()),
            ("file", "there is a file that is not a socket: remove it, or choose another path".to_owned()),
            ("none/a.sock", format!("the directory {:?} does not exist", at("none"))),
        ] {
            assert_eq!(bound(&["--http", &at(name)]).unwrap_err(), format!("cannot listen on {}: {reason}", at(name)));
        }
        drop(first);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_certificate_that_is_not_there_is_told_with_its_option() {
        assert_eq!(
            bound(&["--https=127.0.0.1:0,/no/such/chain.pem,/no/such/key.pem"]).unwrap_err(),
            "https: cannot read \"/no/such/chain.pem\": No such file or directory (os error 2)"
        );
    }

    #[test]
    fn a_descriptor_that_is_none_and_a_foreign_address_are_told() {
        assert!(
            bound(&["--http=fd://999"]).unwrap_err().starts_with("cannot listen on fd://999: descriptor 999 is not a listening socket")
        );
        assert_eq!(
            bound(&["--http=192.0.2.1:80"]).unwrap_err(),
            "cannot listen on 192.0.2.1:80: this machine does not have the address 192.0.2.1"
        );
    }
}
