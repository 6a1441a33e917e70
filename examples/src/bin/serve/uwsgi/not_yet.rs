//! Options that are to be honoured and are not built. Whoever builds one takes its name out of here and puts an entry into `options/`.

use super::Row;

pub(super) static ROWS: &[Row] = &[
    Row {
        harmless: &["1"],
        ..Row::values(
            &["processes", "workers"],
            "one process serves, on as many threads as threads says; several can share a port behind a web server",
        )
        .letter('p')
    },
    Row::values(&["harakiri"], "a request may take as long as it does; the web server in front can limit it").letter('t'),
    Row::flags(&["harakiri-verbose"], "it belongs to harakiri"),
    Row::values(&["harakiri-graceful-timeout", "harakiri-graceful-signal", "harakiri-queue-threshold"], "it belongs to harakiri"),
    Row::values(&["max-requests"], "let the service manager restart the server").letter('R'),
    Row::values(
        &["max-requests-delta", "max-worker-lifetime", "max-worker-lifetime-delta", "min-worker-lifetime"],
        "let the service manager restart the server",
    ),
    Row::values(
        &["reload-on-rss", "reload-on-as", "evil-reload-on-rss", "evil-reload-on-as"],
        "systemd's MemoryMax= limits what the server takes",
    ),
    Row::values(&["reload-mercy", "worker-reload-mercy"], "graceful-timeout says how long requests may take when the server ends"),
    Row::values(&["touch-reload", "touch-workers-reload", "touch-chain-reload"], "let the service manager restart the server"),
    Row::values(
        &["py-autoreload", "py-auto-reload", "python-autoreload", "python-auto-reload", "py-auto-reload-ignore"],
        "restart the server when code has changed",
    ),
    Row::values(&["uid", "gid", "add-gid", "immediate-uid", "immediate-gid"], "start the server as that user: systemd's User= and Group="),
    Row::values(&["chown-socket"], "start the server as that user, or give its group the socket with chmod-socket = 660"),
    Row::values(&["pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2"], "systemd knows the process without it"),
    Row::flags(&["auto-procname"], "the process is called serve"),
    Row::values(
        &["procname", "procname-prefix", "procname-prefix-spaced", "procname-append", "procname-master"],
        "the process is called serve",
    ),
    Row::values(
        &["logto", "logto2", "req-logger", "logger-req", "logger"],
        "the log goes to standard error: let the service manager or the shell write it to a file",
    ),
    Row::values(&["log-format", "logformat", "log-json"], "requests are not logged: the web server in front can log them"),
    Row::flags(
        &[
            "log-format-strftime",
            "logformat-strftime",
            "log-zero",
            "log-4xx",
            "log-ioerror",
            "log-5xx",
            "log-micros",
            "log-x-forwarded-for",
        ],
        "requests are not logged: the web server in front can log them",
    ),
    Row::values(&["log-slow", "log-big", "log-sendfile"], "requests are not logged: the web server in front can log them"),
    Row::flags(&["log-reopen", "log-truncate", "logfile-chown"], "the log goes to standard error"),
    Row::values(
        &["touch-logreopen", "touch-logrotate", "log-maxsize", "log-backupname", "logfile-chmod"],
        "the log goes to standard error: let logrotate or the journal keep it small",
    ),
    Row::values(&["stats", "stats-server"], "there are no figures to be asked for"),
    Row::flags(&["stats-http", "stats-minified", "stats-min", "stats-no-cores", "stats-no-metrics"], "it belongs to stats"),
    Row::family(
        &["http-enable-proxy-protocol", "enable-proxy-protocol"],
        "let the web server in front tell the client's address by the uwsgi protocol, FastCGI or SCGI",
    ),
];
