//! Where to listen, and who may come in.

use std::ffi::OsStr;

use wsgi_core::server::{AddressError, ListenAddress};

use super::values::{number, permissions, text};
use super::{Entry, Group, Settings, Speaks};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        name: "http",
        aliases: &["http-socket", "httprouter"],
        short: None,
        value: Some("ADDR"),
        group: Group::Listening,
        help: "Answer HTTP on HOST:PORT, :PORT, the path of a Unix socket, or fd://N, an inherited descriptor; may be repeated, as may the other sockets",
        default: |_| DEFAULT_ADDRESS.to_owned(),
        apply: |settings, value| listen(settings, Speaks::Http, value),
    },
    Entry {
        name: "https",
        aliases: &["https-socket"],
        short: None,
        value: Some("ADDR,CERT,KEY"),
        group: Group::Listening,
        help: "Answer HTTPS, with a chain of certificates and its key in PEM; a change of the files is noticed",
        default: |_| String::new(),
        apply: listen_https,
    },
    Entry {
        name: "uwsgi-socket",
        aliases: &[],
        short: None,
        value: Some("ADDR"),
        group: Group::Listening,
        help: "Answer the uwsgi protocol, as uwsgi_pass of nginx speaks it",
        default: |_| String::new(),
        apply: |settings, value| listen(settings, Speaks::Uwsgi, value),
    },
    Entry {
        name: "socket",
        aliases: &[],
        short: Some('s'),
        value: Some("ADDR"),
        group: Group::Listening,
        help: "Answer the uwsgi protocol, or what --protocol says",
        default: |_| String::new(),
        apply: |settings, value| {
            let address = address(text(value)?)?;
            if !(is_one(&address) && settings.sockets.contains(&address)) {
                settings.sockets.push(address);
            }
            Ok(())
        },
    },
    Entry {
        name: "protocol",
        aliases: &["socket-protocol"],
        short: None,
        value: Some("NAME"),
        group: Group::Listening,
        help: "What is spoken at every --socket: uwsgi, http, fastcgi or scgi",
        default: |settings| settings.protocol.clone(),
        apply: |settings, value| {
            let name = text(value)?;
            Speaks::of_name(name).ok_or("expected uwsgi, http, fastcgi or scgi")?;
            settings.protocol = name.to_owned();
            Ok(())
        },
    },
    Entry {
        name: "fastcgi-socket",
        aliases: &[],
        short: None,
        value: Some("ADDR"),
        group: Group::Listening,
        help: "Answer FastCGI",
        default: |_| String::new(),
        apply: |settings, value| listen(settings, Speaks::FastCgi, value),
    },
    Entry {
        name: "scgi-socket",
        aliases: &[],
        short: None,
        value: Some("ADDR"),
        group: Group::Listening,
        help: "Answer SCGI",
        default: |_| String::new(),
        apply: |settings, value| listen(settings, Speaks::Scgi, value),
    },
    Entry {
        name: "allow-from",
        aliases: &[],
        short: None,
        value: Some("CIDR"),
        group: Group::Listening,
        help: "Who may connect to uwsgi, FastCGI and SCGI ports, and all with --proxy-protocol, besides this machine, such as 10.0.0.0/8: a peer there says who the client is; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.allow_from.push(text(value)?.parse().map_err(|error: wsgi_core::server::NetworkError| error.to_string())?);
            Ok(())
        },
    },
    Entry {
        name: "forwarded-allow-ips",
        aliases: &[],
        short: None,
        value: Some("CIDR,..."),
        group: Group::Listening,
        help: "Which proxies to believe who the client is (X-Forwarded-*, Forwarded): networks, unix or *; others lose these fields; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| settings.requests.trust(text(value)?),
    },
    Entry {
        name: "forwarded-fields",
        aliases: &[],
        short: None,
        value: Some("FIELD,..."),
        group: Group::Listening,
        help: "What those proxies set themselves: for, proto, host, port, prefix (of X-Forwarded-*), forwarded; a client chooses what they pass on",
        default: |settings| settings.requests.fields(),
        apply: |settings, value| settings.requests.set_fields(text(value)?),
    },
    Entry {
        name: "proxy-protocol",
        aliases: &["http-enable-proxy-protocol", "enable-proxy-protocol"],
        short: None,
        value: None,
        group: Group::Listening,
        help: "Expect the PROXY protocol, version 1 or 2, on every HTTP and HTTPS connection; --allow-from says from where, besides this machine",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.requests.proxy_protocol = true;
            Ok(())
        },
    },
    Entry {
        name: "path-rule",
        aliases: &[],
        short: None,
        value: Some("RULE"),
        group: Group::Listening,
        help: "How SCRIPT_NAME and PATH_INFO are found in what uwsgi, FastCGI and SCGI bring: auto, given, whole or request-uri",
        default: |settings| settings.path_rule.to_string(),
        apply: |settings, value| {
            settings.path_rule = text(value)?.parse().map_err(|error: wsgi_core::wire::UnknownPathRule| error.to_string())?;
            Ok(())
        },
    },
    Entry {
        name: "fastcgi-stderr",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Listening,
        help: "Send what applications write to wsgi.errors, and their tracebacks, to the web server's error log where it asks over FastCGI",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.fastcgi_stderr = true;
            Ok(())
        },
    },
    Entry {
        name: "listen",
        aliases: &["backlog"],
        short: Some('l'),
        value: Some("N"),
        group: Group::Listening,
        help: "How many connections may wait to be accepted; the system may allow fewer",
        default: |settings| settings.backlog.to_string(),
        apply: |settings, value| number(value, 1..=65_535).map(|n| settings.backlog = n),
    },
    Entry {
        name: "chmod-socket",
        aliases: &["chmod"],
        short: Some('C'),
        value: Some("MODE"),
        group: Group::Listening,
        help: "The permissions of Unix sockets, such as 660",
        default: |_| String::new(),
        apply: |settings, value| {
            // The key alone, in a file.
            if value.is_empty() {
                settings.socket_mode = Some(0o666);
                return Ok(());
            }
            settings.socket_mode = Some(permissions(value)?);
            Ok(())
        },
    },
    Entry {
        name: "chown-socket",
        aliases: &[],
        short: None,
        value: Some("USER[:GROUP]"),
        group: Group::Listening,
        help: "Whose Unix sockets are",
        default: |_| String::new(),
        apply: |settings, value| text(value).map(|owner| settings.processes.socket_owner = Some(owner.to_owned())),
    },
];

fn listen(settings: &mut Settings, speaks: Speaks, value: &OsStr) -> Result<(), String> {
    let address = address(text(value)?)?;
    let there = settings.listen.iter().find(|(_, other)| *other == address && is_one(other));
    match there {
        // A file and the command line may both say so.
        Some((other, _)) if *other == speaks => {}
        Some((other, _)) => return Err(format!("{} is already what is answered there", other.scheme())),
        None => settings.listen.push((speaks, address)),
    }
    Ok(())
}

/// Whether there can be only one socket of this address.
fn is_one(address: &ListenAddress) -> bool {
    matches!(address, ListenAddress::Unix(_) | ListenAddress::Tcp(_, 1..))
}

/// An address as the library reads it, or the name of a socket in the current directory, which uWSGI takes too.
pub(super) fn address(text: &str) -> Result<ListenAddress, String> {
    let is_name = !text.contains(['/', ':']) && (text.ends_with(".sock") || text.ends_with(".socket"));
    if is_name { Ok(ListenAddress::Unix(text.into())) } else { text.parse().map_err(|error: AddressError| error.to_string()) }
}

/// The fields are uWSGI's, of which it has more.
fn listen_https(settings: &mut Settings, value: &OsStr) -> Result<(), String> {
    let value = text(value)?;
    let [address, chain, key] = value.split(',').collect::<Vec<_>>()[..] else {
        return Err(match value.matches(',').count() {
            0 | 1 => HTTPS_EXPECTED.to_owned(),
            _ => format!("{HTTPS_EXPECTED}; ciphers and certificates of clients cannot be set"),
        });
    };
    if chain.is_empty() || key.is_empty() {
        return Err(HTTPS_EXPECTED.to_owned());
    }
    listen(settings, Speaks::Https { chain: chain.into(), key: key.into() }, OsStr::new(address))
}

/// Where the server listens if nobody says.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:8000";

const HTTPS_EXPECTED: &str = "expected an address, the file of a certificate and that of its key: ADDR,CERT,KEY";
