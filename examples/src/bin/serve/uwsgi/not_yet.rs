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
];
