//! What those who come from uWSGI should know of an option that is honoured: where it does not do quite the same, mostly because that is a trap.

/// What is different, as a sentence without a full stop.
pub(crate) fn difference(name: &str) -> Option<&'static str> {
    DIFFERENCES.iter().find(|(other, _)| *other == name).map(|(_, text)| *text)
}

/// By chief name.
const DIFFERENCES: &[(&str, &str)] = &[
    ("http", "the server itself answers: no router process is started, and uWSGI's http and http-socket are the same"),
    ("socket", "it speaks the uwsgi protocol unless protocol says otherwise, so that nginx needs uwsgi_pass and not proxy_pass"),
    ("listen", "it defaults to 1024 instead of 100, and the system may allow fewer instead of the server not starting"),
    ("module", "what cannot be imported ends the start, as with uWSGI's need-app"),
    ("wsgi-file", "what cannot be imported ends the start, as with uWSGI's need-app"),
    ("mount", "the prefix always goes to SCRIPT_NAME, as with uWSGI's manage-script-name"),
    ("chdir", "it comes first, wherever it stands: modules, files, sockets and the virtualenv count from there"),
    ("pythonpath", "the first is searched first, patterns such as lib/* are not expanded"),
    (
        "processes",
        "each is a program started anew that imports the application itself, as with uWSGI's lazy-apps; with more than one there is a master",
    ),
    ("master", "HUP replaces the processes one after the other, each when its successor is ready"),
    ("max-requests", "the new process is ready before the old one ends"),
    ("reload-on-rss", "it is looked at every second, and not only after a request"),
    ("reload-on-as", "it is looked at every second, and not only after a request; threads and Python reserve more than they use"),
    ("touch-reload", "it replaces the processes one after the other, as uWSGI's touch-chain-reload"),
    ("graceful-timeout", "reload-mercy defaults to 30 seconds instead of 60"),
    ("uid", "configuration files and certificates are read by each process, and have to be readable for this user"),
    ("add-gid", "the user keeps its own groups beside it, unless no-initgroups is set"),
    (
        "immediate-uid",
        "the user's other groups are taken on too, unless no-initgroups is set; files with options are read before, and again by each process as that user",
    ),
    ("pidfile", "it is refused while the process that it names runs and holds it, and removed at the end"),
    (
        "buffer-size",
        "it defaults to 65536 instead of 4096, and a request that is larger is answered with 431 or 414 instead of being dropped",
    ),
    ("http-timeout", "it is for each wait for the client; how long the application takes is not limited by it"),
    (
        "harakiri",
        "the request is interrupted by an exception and answered with 504; only a thread that does not come back costs the process",
    ),
    ("wsgi-manage-chunked-input", "without it a body of unknown length is read beforehand, so that the application finds a CONTENT_LENGTH"),
    ("proxy-protocol", "a connection without its header is refused, and so is one from elsewhere than allow-from says"),
    ("disable-logging", "requests are not logged unless logto, logger, access-log or log-format asks for it"),
    ("logger", "a logger with a name is refused, as is log-route, and so are pipe:, redislog: and mongodblog:"),
    (
        "access-log",
        "each process writes by itself, and stdio is standard output, which goes where logger says if there is more than a file",
    ),
    ("log-maxsize", "it is for all log files, and not for that of logto alone; all processes write to the new file, and none forks for it"),
    ("log-date", "the server's own lines have their date anyhow, in a form that stays"),
    ("log-sendfile", "a small file is read, and goes out with its head, so that it is none of them"),
    ("log-truncate", "files of access-log are not emptied"),
    (
        "log-ioerror",
        "reading or writing has to fail while the application runs, where uWSGI asks for both; what is sent behind it nobody waits for",
    ),
    ("log-format", "there are names for known formats, and Apache's variables besides uWSGI's; a variable that is not known is a mistake"),
    ("stats", "over HTTP there are also /metrics for Prometheus, /healthz and /readyz, and the figures of all processes are told together"),
    ("env", "Python has started when it is set, so that a variable such as PYTHONOPTIMIZE comes too late"),
    ("config", "ini and TOML are understood; XML, YAML, JSON, SQLite and LDAP are not"),
    ("ini", "a missing file, a missing section and a loop are mistakes; what is on the command line counts more than what is in a file"),
    ("strict", "it refuses keys that are no options in the whole configuration, not only below its own line"),
    ("http-keepalive", "connections are always kept; a number from 2 on is the time in seconds"),
    ("need-app", "an application that cannot be imported always ends the start; with this, so does a configuration that names none"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options;

    #[test]
    fn each_is_of_an_option_by_its_chief_name() {
        for (name, text) in DIFFERENCES {
            assert_eq!(options::find(name).map(|entry| entry.name), Some(*name));
            assert!(!text.ends_with('.') && !text.contains('|'), "{name}");
        }
    }
}
