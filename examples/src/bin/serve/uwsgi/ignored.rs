//! Options that are accepted and do nothing, since the server does the same without them, or since what they ask for has no meaning here.

use super::Row;

pub(super) static ROWS: &[Row] = &[
    Row::flags(&["enable-threads"], "Python's threads always run").letter('T'),
    Row::flags(&["single-interpreter"], "there is one interpreter in a process").letter('i'),
    Row::flags(&["thunder-lock"], "there is no thundering herd: a connection wakes one thread"),
    Row::flags(&["vacuum"], "the server always removes the socket files that it made"),
    Row::flags(&["die-on-term"], "TERM always ends the server gracefully"),
    Row {
        refuses: Some(other_hook),
        ..Row::values(
            &["hook-master-start"],
            "with unix_signal:15 gracefully_kill_them_all it asks for what TERM always does; any other hook is refused",
        )
    },
    Row::flags(&["lazy-apps", "lazy"], "a process always imports the application itself, and none is forked from one that has imported it"),
    Row::flags(&["manage-script-name"], "a mount's prefix always goes from PATH_INFO to SCRIPT_NAME"),
    Row::values(
        &["post-buffering", "post-buffering-bufsize"],
        "a body of up to 64 KiB is always read before the application is called, and a longer one while it reads",
    ),
    Row::flags(&["harakiri-verbose"], "the traceback of a request that takes too long is always in the log"),
    Row::values(&["body-read-warning"], "bodies are not held in memory"),
    Row::flags(&["http-chunked-input", "http-raw-body"], "wsgi.input always gives chunked bodies decoded"),
    Row::values(&["chunked-input-limit"], "chunked bodies are not held in memory; limit-post limits them too"),
    Row::flags(&["http-auto-chunked"], "a reply of unknown length is always chunked over HTTP/1.1"),
    Row::family(&["http-manage-expect"], "Expect: 100-continue is always answered when the application reads"),
    Row::values(
        &["http-processes", "http-workers", "http-events", "http-buffer-size", "http-connect-timeout", "http-gracetime"],
        "there is no router process: the server itself answers HTTP",
    ),
    Row::flags(&["http-quiet", "http-cheap", "force-gateway"], "there is no router process: the server itself answers HTTP"),
    Row::flags(&["stats-http"], "figures are told over HTTP to whoever asks in HTTP"),
    Row::flags(&["stats-minified", "stats-min", "stats-no-cores", "stats-no-metrics"], "the figures are whole, and short"),
    Row::flags(
        &["log-master", "log-master-stream", "log-master-req-stream", "threaded-logger"],
        "a line of the log is written at once, in one piece",
    ),
    Row::values(&["log-master-bufsize"], "a line of the log is written at once, in one piece"),
    Row::family(&["logfile-chown"], "log files always belong to whom uid and gid name"),
    Row::family(&["memory-report"], "the system tells how much memory a process has").letter('m'),
    Row::values(&["max-fd"], "the limit of open files is raised as far as max-connections needs"),
    Row::values(&["max-vars"], "there is no table of variables; limit-request-fields limits the fields of a request").letter('v'),
    Row::values(&["response-headers-limit"], "the head of a reply has no limit"),
    Row::family(&["cheaper*", "cheap", "idle"], "all threads and processes are there from the start: an idle one costs next to nothing"),
    Row::flags(&["so-keepalive"], "a peer that is gone is found by the timeouts"),
    Row::values(
        &["socket-sndbuf", "socket-rcvbuf", "tcp-fast-open", "tcp-fastopen", "cpu-affinity", "ksm"],
        "it changes nothing but speed, and is left to the system",
    ),
    Row::flags(
        &["tcp-fast-open-client", "tcp-fastopen-client", "disable-sendfile"],
        "it changes nothing but speed, and is left to the system",
    ),
    Row::values(&["max-apps"], "there may be any number of applications"),
    Row::values(&["offload-threads", "offload-thread"], "a slow client holds no thread"),
    Row::values(&["file-serve-mode", "fileserve-mode"], "files are always sent by sendfile where the protocol allows it"),
    Row::family(
        &["static-gzip*"],
        "a file that was compressed beforehand, such as site.css.gz beside site.css, always goes to clients that take it, as do .br and .zst",
    ),
    Row::flags(&["honour-range"], "ranges of files are always honoured"),
    Row::flags(&["close-on-exec", "close-on-exec2"], "the server's descriptors are always closed in programs that it starts"),
    Row::flags(&["no-defer-accept"], "accepting is not deferred"),
    Row::flags(&["tcp-nodelay"], "TCP_NODELAY is always set"),
    Row::flags(
        &["ignore-sigpipe", "ignore-write-errors", "disable-write-exception", "write-errors-exception-only"],
        "a client that has gone is no error: its request ends, and close() is called",
    ),
    Row::values(&["write-errors-tolerance"], "a client that has gone is no error: its request ends, and close() is called"),
    Row::values(&["wsgi-env-behaviour", "wsgi-env-behavior"], "every request has an environ of its own"),
    Row::flags(
        &["wsgi-accept-buffer", "wsgi-accept-buffers", "wsgi-disable-file-wrapper", "wsgi-strict"],
        "replies are as PEP 3333 has them, and wsgi.file_wrapper is always there",
    ),
    Row::flags(&["reload-os-env"], "os.environ is the process's own, and stays"),
    Row::flags(&["py-call-osafterfork", "py-call-uwsgi-fork-hooks", "early-python"], "no process is forked once Python runs"),
    Row::values(&["py-programname", "py-program-name", "py-executable", "py-sys-executable"], "the program's name follows from home"),
    Row {
        refuses: Some(foreign_plugin),
        ..Row::values(&["plugins", "plugin", "need-plugins", "need-plugin"], "Python and HTTP are built in, and there are no plugins")
    },
    Row {
        refuses: Some(other_field),
        ..Row::values(
            &["add-header"],
            "Connection: close is what HTTP knows when to say; every other field is refused, since it is for the web server in front to add",
        )
    },
    Row::values(&["plugins-dir", "plugin-dir"], "there are no plugins"),
    Row::flags(&["autoload"], "there are no plugins"),
    Row::values(
        &[
            "http-modifier1",
            "https-socket-modifier1",
            "https-socket-modifier2",
            "http-modifier2",
            "http-socket-modifier1",
            "http-socket-modifier2",
            "fastcgi-modifier1",
            "fastcgi-modifier2",
            "scgi-modifier1",
            "scgi-modifier2",
            "allowed-modifiers",
        ],
        "modifiers choose a plugin, and there are none",
    ),
    Row::values(
        &["locks", "lock-engine", "ftok", "signal-bufsize", "signals-bufsize", "rpc-max"],
        "there is no `uwsgi` module in Python for which it would be",
    ),
    Row::flags(&["persistent-ipcsem", "no-fd-passing"], "there is nothing shared for which it would be"),
    Row::values(
        &["check-interval", "mem-collector-freq"],
        "the master acts when something happens, and looks at memory and files every second",
    ),
    Row::flags(
        &["no-orphans", "shutdown-sockets", "propagate-touch", "no-threads-wait", "skip-zero", "honour-stdin", "daemons-honour-stdin"],
        "it mends something that is not broken here",
    ),
    Row::flags(&["use-abort"], "the system's own handling of a crash stays as it is"),
    Row::values(&["backtrace-depth"], "tracebacks are Python's, and whole"),
    Row::values(&["clock"], "the system's clock is used"),
    Row::flags(&["pcre-jit"], "there are no regular expressions to compile"),
    Row::values(&["binary-path"], "the program finds itself"),
    Row::values(&["print", "iprint"], "nothing is printed for it"),
    Row::values(&["safe-fd", "fd-safe"], "inherited descriptors are left alone"),
    Row::values(&["forkbomb-delay"], "the service manager says how soon the server is started anew"),
    Row::flags(&["drop-after-init"], "privileges are dropped when the sockets are bound"),
    Row::values(&["min-worker-lifetime"], "a process that ends too soon is replaced after a pause, which grows"),
];

/// Plugins that an application would miss.
fn foreign_plugin(value: &str) -> Option<&'static str> {
    let names = value.split([',', ' ']).map(|name| name.trim().trim_start_matches("0:"));
    let mut foreign = names.filter(|name| OTHERS.iter().any(|other| name.starts_with(other)));
    foreign.next().map(|name| {
        if LOOPS.iter().any(|other| name.starts_with(other)) {
            "applications run on threads: give threads instead of greenlets or an event loop"
        } else {
            "only Python applications are served"
        }
    })
}

/// The hook by which uWSGI is taught what TERM means elsewhere.
fn other_hook(value: &str) -> Option<&'static str> {
    let mut words = value.split_whitespace();
    let graceful = [words.next(), words.next(), words.next()] == [Some("unix_signal:15"), Some("gracefully_kill_them_all"), None];
    (!graceful).then_some("there are no hooks: use systemd's ExecStartPre= and ExecStopPost=, or the application's own module")
}

fn other_field(value: &str) -> Option<&'static str> {
    let name = value.split(':').next().unwrap_or_default().trim();
    (!name.eq_ignore_ascii_case("connection")).then_some("header fields are the application's, or the web server's in front")
}

const LOOPS: &[&str] = &["gevent", "asyncio", "greenlet", "tornado", "ugreen", "coroae", "fiber"];
const OTHERS: &[&str] = &[
    "gevent",
    "asyncio",
    "greenlet",
    "tornado",
    "ugreen",
    "coroae",
    "fiber",
    "php",
    "rack",
    "ruby",
    "psgi",
    "perl",
    "lua",
    "cgi",
    "jvm",
    "mono",
    "v8",
    "gccgo",
    "go",
    "erlang",
    "pypy",
    "rbthreads",
];
