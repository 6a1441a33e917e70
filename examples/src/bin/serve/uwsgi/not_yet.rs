//! Options that are to be honoured and are not built. Whoever builds one takes its name out of here and puts an entry into `options/`.

use super::Row;

pub(super) static ROWS: &[Row] = &[
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
