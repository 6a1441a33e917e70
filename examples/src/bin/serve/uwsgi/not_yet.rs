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
    Row::values(&["logto2"], "write logto"),
    Row::values(&["logger"], "write logto = FILE; let the journal or another program send it on"),
    Row::values(&["log-json"], "write log-format = json"),
    Row::flags(
        &["log-format-strftime", "logformat-strftime", "log-micros", "log-ioerror"],
        "log-format has variables for times, and each request is in the access log",
    ),
    Row::values(&["log-big", "log-sendfile"], "log-slow, log-4xx, log-5xx and log-zero choose requests"),
    Row::flags(&["log-truncate", "logfile-chown"], "log files are appended to, and belong to whom uid names"),
    Row::values(
        &["touch-logreopen", "touch-logrotate", "log-maxsize", "log-backupname", "logfile-chmod"],
        "let logrotate keep it small, and send USR1 when it has renamed the file",
    ),
    Row::flags(&["log-reopen"], "USR1 opens log files anew"),
];
