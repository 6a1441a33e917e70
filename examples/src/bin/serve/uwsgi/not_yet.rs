//! Options that are to be honoured and are not built. Whoever builds one takes its name out of here and puts an entry into `options/`.

use super::Row;

pub(super) static ROWS: &[Row] = &[
    Row::values(&["harakiri-graceful-signal"], "an exception of the class wsgi.Harakiri is raised in the request"),
    Row::values(&["harakiri-queue-threshold"], "harakiri counts from when the application is called"),
    Row::values(&["reload-on-as", "evil-reload-on-as"], "reload-on-rss goes by the memory that a process holds"),
    Row::values(&["py-auto-reload-ignore"], "py-autoreload looks at every module"),
    Row::values(&["add-gid"], "uid takes the groups of that user"),
    Row::values(&["immediate-uid", "immediate-gid"], "uid and gid take effect when the sockets are bound"),
    Row::values(&["pidfile2", "safe-pidfile2"], "pidfile is written before uid takes effect, and is then that user's"),
    Row::values(&["procname-append", "procname-master"], "procname and procname-prefix name all processes"),
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
];
