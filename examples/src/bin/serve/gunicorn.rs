//! What Gunicorn's options are called here, for those who still write Gunicorn's names.
//!
//! In scope: names that have something to stand for and are no options here. Out of scope: what an option does, which `docs/from-gunicorn.md`
//! says; names that mean something here too, such as `workers` and `reload`.

/// The option that does what Gunicorn's option or setting of this name does.
pub(crate) fn called_here(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    NAMES.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

const NAMES: [(&str, &str); 24] = [
    ("access-log-format", "log-format"),
    ("access-logfile", "access-log"),
    ("access-logformat", "log-format"),
    ("accesslog", "access-log"),
    ("bind", "http"),
    ("certfile", "https"),
    ("error-logfile", "logto"),
    ("errorlog", "logto"),
    ("group", "gid"),
    ("keyfile", "https"),
    ("limit-request-field-size", "buffer-size"),
    ("limit-request-line", "buffer-size"),
    ("log-file", "logto"),
    ("name", "procname"),
    ("pid", "pidfile"),
    ("proc-name", "procname"),
    ("proxy-allow-from", "allow-from"),
    ("proxy-allow-ips", "allow-from"),
    ("raw-env", "env"),
    ("statsd-host", "stats"),
    ("timeout", "harakiri"),
    ("user", "uid"),
    ("worker-connections", "max-connections"),
    ("wsgi-app", "module"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{options, uwsgi};

    #[test]
    fn names_of_gunicorn_lead_to_options_and_are_none_themselves() {
        for (theirs, ours) in NAMES {
            assert!(options::find(ours).is_some(), "{ours}");
            assert!(options::find(theirs).is_none() && uwsgi::find(theirs).is_none(), "{theirs}");
        }
        assert_eq!(called_here("Raw_Env"), Some("env"));
        assert_eq!(called_here("threads"), None);
    }
}
