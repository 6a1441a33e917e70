//! Which web server speaks which protocol, and what is to be seen through it.
//!
//! [`Expect::USUAL`] is what should be so everywhere. Where a pair says otherwise, the comment beside it says why: each is a trait of that web
//! server at the version that Debian 12 packages, not of the server behind it.

use super::web_server::WebServer;
use super::web_server::WebServer::{Apache, Caddy, HaProxy, Lighttpd, Nginx};

/// What is spoken between the web server and the server behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1
    Http,
    /// The uwsgi protocol
    Uwsgi,
    /// FastCGI 1.0
    FastCgi,
    /// SCGI
    Scgi,
}

impl Protocol {
    /// The option of `serve` that listens for it.
    pub fn option(self) -> &'static str {
        match self {
            Protocol::Http => "--http",
            Protocol::Uwsgi => "--uwsgi-socket",
            Protocol::FastCgi => "--fastcgi-socket",
            Protocol::Scgi => "--scgi-socket",
        }
    }
}

/// A web server, a protocol, and the example that joins them.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Who stands in front.
    pub front: WebServer,
    /// What it speaks to us.
    pub protocol: Protocol,
    /// The file in `examples/deploy/`.
    pub config: &'static str,
    /// What is to be seen.
    pub expect: Expect,
}

/// What is to be seen through a web server.
#[derive(Clone, Copy, Debug)]
pub struct Expect {
    /// `PATH_INFO` of `/environ/a%2Fb%20c`.
    pub slash: &'static str,
    /// `PATH_INFO` of `/environ/a%252Fb`. Anything else was decoded twice.
    pub percent: &'static str,
    /// `PATH_INFO` of `/environ//a/./b`.
    pub dots: &'static str,
    /// Whether `SERVER_PORT` is the port of the `Host` field, and not the port of the connection.
    pub port_of_host: bool,
    /// Whether an upload of declared length is passed on as it comes, and not gathered first.
    pub passes_uploads_on: bool,
    /// Whether the final reply gets through after one of early hints (103).
    pub early_hints: bool,
    /// Whether an upload whose length the client does not say gets through. The application sees its length, which the web server finds out
    /// or, where it passes the upload on as it comes, our server.
    pub unknown_length: bool,
    /// Whether connections to the server behind carry more than one request.
    pub keeps_connections: Keeps,
    /// Whether the client can tell that a reply of undeclared length broke off, over a Unix socket.
    pub truncation_over_unix: bool,
    /// The same over TCP.
    pub truncation_over_tcp: bool,
    /// Whether the web server believes the `Content-Length` of a reply, passes it on, and notices when less comes. Where it does not, a
    /// reply of declared length is as good as one of undeclared length.
    pub believes_length: bool,
}

/// Whether a web server keeps connections to the server behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// For the requests of whichever client comes next.
    ForAll,
    /// For the requests of one client's connection.
    ForOneClient,
    /// Each request has a connection of its own.
    No,
}

impl Pair {
    /// Whether the web server gives out files itself: HAProxy does not.
    pub fn serves_files(&self) -> bool {
        self.front != HaProxy
    }
}

impl Expect {
    /// What should be so everywhere.
    pub const USUAL: Expect = Expect {
        slash: "/environ/a/b c",
        percent: "/environ/a%2Fb",
        dots: "/environ//a/./b",
        port_of_host: false,
        passes_uploads_on: true,
        early_hints: true,
        unknown_length: true,
        keeps_connections: Keeps::No,
        truncation_over_unix: true,
        truncation_over_tcp: true,
        believes_length: true,
    };
}

/// `/environ//a/./b` after the web server has put it in order, as nginx, Apache and lighttpd do with every path that they decode.
const MERGED: &str = "/environ/a/b";

const fn pair(front: WebServer, protocol: Protocol, config: &'static str, expect: Expect) -> Pair {
    Pair { front, protocol, config, expect }
}

/// nginx, `proxy_pass`
pub const NGINX_HTTP: Pair = pair(
    Nginx,
    Protocol::Http,
    "nginx/proxy_pass.conf",
    // Before 1.29, nginx takes 103 for the final reply, and the client waits in vain.
    Expect { keeps_connections: Keeps::ForAll, early_hints: false, passes_uploads_on: false, ..Expect::USUAL },
);

/// nginx, `uwsgi_pass`
pub const NGINX_UWSGI: Pair =
    // Here and below: a Unix socket knows no reset, so the end of a broken reply is like any other. FastCGI and HTTP frame it.
    pair(
        Nginx,
        Protocol::Uwsgi,
        "nginx/uwsgi_pass.conf",
        Expect { dots: MERGED, truncation_over_unix: false, passes_uploads_on: false, ..Expect::USUAL },
    );

/// nginx, `fastcgi_pass`
pub const NGINX_FASTCGI: Pair = pair(
    Nginx,
    Protocol::FastCgi,
    "nginx/fastcgi_pass.conf",
    Expect { dots: MERGED, keeps_connections: Keeps::ForAll, passes_uploads_on: false, ..Expect::USUAL },
);

/// nginx, `scgi_pass`
pub const NGINX_SCGI: Pair = pair(
    Nginx,
    Protocol::Scgi,
    "nginx/scgi_pass.conf",
    Expect { dots: MERGED, truncation_over_unix: false, passes_uploads_on: false, ..Expect::USUAL },
);

/// Apache, mod_proxy_http
pub const APACHE_HTTP: Pair =
    pair(Apache, Protocol::Http, "apache/proxy_http.conf", Expect { keeps_connections: Keeps::ForAll, ..Expect::USUAL });

/// Apache, mod_proxy_uwsgi
pub const APACHE_UWSGI: Pair = pair(
    Apache,
    Protocol::Uwsgi,
    "apache/proxy_uwsgi.conf",
    // What mod_proxy_uwsgi and mod_proxy_scgi know of a request's body is its length: without it, they answer 411.
    Expect { dots: MERGED, port_of_host: true, unknown_length: false, truncation_over_unix: false, ..Expect::USUAL },
);

/// Apache, mod_proxy_fcgi
pub const APACHE_FASTCGI: Pair = pair(
    Apache,
    Protocol::FastCgi,
    "apache/proxy_fcgi.conf",
    // Since 2.4.59, Apache believes no Content-Length of FastCGI and SCGI, unless the environment variable ap_trust_cgilike_cl is set.
    Expect { dots: MERGED, port_of_host: true, keeps_connections: Keeps::ForAll, believes_length: false, ..Expect::USUAL },
);

/// Apache, mod_proxy_scgi
pub const APACHE_SCGI: Pair = pair(
    Apache,
    Protocol::Scgi,
    "apache/proxy_scgi.conf",
    Expect {
        dots: MERGED,
        port_of_host: true,
        unknown_length: false,
        truncation_over_unix: false,
        believes_length: false,
        ..Expect::USUAL
    },
);

/// lighttpd, mod_proxy
pub const LIGHTTPD_HTTP: Pair =
    pair(Lighttpd, Protocol::Http, "lighttpd/proxy.conf", Expect { dots: MERGED, passes_uploads_on: false, ..Expect::USUAL });

/// lighttpd, mod_scgi with `scgi.protocol = "uwsgi"`
pub const LIGHTTPD_UWSGI: Pair = pair(
    Lighttpd,
    Protocol::Uwsgi,
    "lighttpd/uwsgi.conf",
    Expect { dots: MERGED, truncation_over_unix: false, passes_uploads_on: false, ..Expect::USUAL },
);

/// lighttpd, mod_fastcgi
pub const LIGHTTPD_FASTCGI: Pair =
    pair(Lighttpd, Protocol::FastCgi, "lighttpd/fastcgi.conf", Expect { dots: MERGED, passes_uploads_on: false, ..Expect::USUAL });

/// lighttpd, mod_scgi
pub const LIGHTTPD_SCGI: Pair = pair(
    Lighttpd,
    Protocol::Scgi,
    "lighttpd/scgi.conf",
    Expect { dots: MERGED, truncation_over_unix: false, passes_uploads_on: false, ..Expect::USUAL },
);

/// HAProxy, HTTP
pub const HAPROXY_HTTP: Pair =
    pair(HaProxy, Protocol::Http, "haproxy/http.cfg", Expect { keeps_connections: Keeps::ForAll, ..Expect::USUAL });

/// HAProxy, `fcgi-app`
pub const HAPROXY_FASTCGI: Pair =
    pair(HaProxy, Protocol::FastCgi, "haproxy/fastcgi.cfg", Expect { keeps_connections: Keeps::ForOneClient, ..Expect::USUAL });

/// Caddy, `reverse_proxy`
pub const CADDY_HTTP: Pair = pair(
    Caddy,
    Protocol::Http,
    "caddy/reverse_proxy.Caddyfile",
    // Caddy 2.6 logs that a reply broke off, and ends its own as if it were whole.
    Expect { keeps_connections: Keeps::ForAll, truncation_over_unix: false, truncation_over_tcp: false, ..Expect::USUAL },
);

/// Caddy, `reverse_proxy` with `transport fastcgi`
pub const CADDY_FASTCGI: Pair = pair(
    Caddy,
    Protocol::FastCgi,
    "caddy/fastcgi.Caddyfile",
    Expect { port_of_host: true, truncation_over_unix: false, truncation_over_tcp: false, ..Expect::USUAL },
);

/// nginx in front of two servers, of which any may be down. Not one of [`ALL`]: it has a test of its own.
pub const NGINX_SEVERAL: Pair = pair(Nginx, Protocol::Http, "nginx/several_upstreams.conf", NGINX_HTTP.expect);

/// All pairs of which everything is asked.
pub const ALL: &[Pair] = &[
    NGINX_HTTP,
    NGINX_UWSGI,
    NGINX_FASTCGI,
    NGINX_SCGI,
    APACHE_HTTP,
    APACHE_UWSGI,
    APACHE_FASTCGI,
    APACHE_SCGI,
    LIGHTTPD_HTTP,
    LIGHTTPD_UWSGI,
    LIGHTTPD_FASTCGI,
    LIGHTTPD_SCGI,
    HAPROXY_HTTP,
    HAPROXY_FASTCGI,
    CADDY_HTTP,
    CADDY_FASTCGI,
];
