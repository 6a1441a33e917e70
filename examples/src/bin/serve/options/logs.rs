//! Where logs go.

use std::ffi::OsStr;

use wsgi_core::access::{Datagrams, Receiver};

use super::values::{number, optional_text, path, permissions, text};
use super::{Entry, Group};
use crate::logs::{LOCAL_SYSLOG, Logger};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        name: "logto",
        aliases: &[],
        short: None,
        value: Some("FILE"),
        group: Group::Seeing,
        help: "Log everything to a file, requests included: it becomes standard output and error; USR1 opens it anew. HOST:PORT sends it there by UDP",
        default: |_| String::new(),
        apply: |settings, value| {
            let file = path(value)?;
            match value.to_str().filter(|text| !text.contains('/')).map(udp) {
                Some(Ok(receiver)) => settings.seeing.logs.loggers.push(Logger::Datagrams(Datagrams::plain(receiver))),
                _ => settings.seeing.logs.log_to = Some(file),
            }
            Ok(())
        },
    },
    Entry {
        name: "logto2",
        aliases: &[],
        short: None,
        value: Some("FILE"),
        group: Group::Seeing,
        help: "The same, once uid and gid have taken effect: the file is made by that user",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|file| settings.seeing.logs.log_to_late = Some(file)),
    },
    Entry {
        name: "logger",
        aliases: &[],
        short: None,
        value: Some("LOGGER"),
        group: Group::Seeing,
        help: "Log everything there, requests included: file:FILE, file:logfile=FILE,maxsize=BYTES,backupname=FILE, stdio, fd:N, syslog[:TAG[,FACILITY]], \
               rsyslog:HOST[:PORT][,TAG[,PRIORITY]], socket:HOST:PORT or socket:FILE; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.seeing.logs.loggers.push(logger(value)?);
            Ok(())
        },
    },
    Entry {
        name: "log-syslog",
        aliases: &[],
        short: None,
        value: Some("[TAG,FACILITY]"),
        group: Group::Seeing,
        help: "The same as logger = syslog:TAG,FACILITY",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.seeing.logs.loggers.push(syslog(optional_text(value)?.unwrap_or_default())?);
            Ok(())
        },
    },
    Entry {
        name: "log-socket",
        aliases: &[],
        short: None,
        value: Some("ADDR"),
        group: Group::Seeing,
        help: "The same as logger = socket:ADDR",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.seeing.logs.loggers.push(socket(text(value)?)?);
            Ok(())
        },
    },
    Entry {
        name: "access-log",
        aliases: &["req-logger", "logger-req"],
        short: None,
        value: Some("FILE"),
        group: Group::Seeing,
        help: "Log each request to a file, to standard output if it is -, or as logger says; may be repeated; USR1 opens files anew",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.seeing.logs.access.push(logger(value)?);
            Ok(())
        },
    },
    Entry {
        name: "log-maxsize",
        aliases: &[],
        short: None,
        value: Some("BYTES"),
        group: Group::Seeing,
        help: "Rename log files that are larger, and write new ones; 0 for no limit",
        default: |_| String::new(),
        apply: |settings, value| {
            let bytes = number(value, 0..=u64::MAX)?;
            settings.seeing.logs.max_size = Some(bytes).filter(|bytes| *bytes > 0);
            Ok(())
        },
    },
    Entry {
        name: "log-backupname",
        aliases: &[],
        short: None,
        value: Some("FILE"),
        group: Group::Seeing,
        help: "What the log file is renamed to, instead of its name with the time in seconds; there is one then, and not one for each time",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|file| settings.seeing.logs.backup = Some(file)),
    },
    Entry {
        name: "touch-logrotate",
        aliases: &[],
        short: None,
        value: Some("FILE"),
        group: Group::Seeing,
        help: "Rename log files when this one is touched, whatever their size; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|file| settings.seeing.logs.touch_rotate.push(file)),
    },
    Entry {
        name: "touch-logreopen",
        aliases: &[],
        short: None,
        value: Some("FILE"),
        group: Group::Seeing,
        help: "Open logs anew when this file is touched, as USR1 does; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|file| settings.seeing.logs.touch_reopen.push(file)),
    },
    Entry {
        name: "log-reopen",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Open logs anew at each reload, too",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.logs.reopen_on_reload = true;
            Ok(())
        },
    },
    Entry {
        name: "log-truncate",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Empty the log of everything when the server starts, if it is one file; not at a reload",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.logs.truncate = true;
            Ok(())
        },
    },
    Entry {
        name: "logfile-chmod",
        aliases: &[],
        short: None,
        value: Some("MODE"),
        group: Group::Seeing,
        help: "The permissions of log files, such as 640",
        default: |_| String::new(),
        apply: |settings, value| permissions(value).map(|mode| settings.seeing.logs.mode = Some(mode)),
    },
    Entry {
        name: "rsyslog-packet-size",
        aliases: &[],
        short: None,
        value: Some("BYTES"),
        group: Group::Seeing,
        help: "How long a message for rsyslog may be; what a line has beyond is left out. 1024 by default",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.seeing.logs.message_size = Some(number(value, 128..=60_000)?);
            Ok(())
        },
    },
    Entry {
        name: "rsyslog-split-messages",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Make several messages for rsyslog of a line that is longer than one may be",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.logs.split_messages = true;
            Ok(())
        },
    },
];

/// uWSGI's loggers, as far as they are known here, or a file.
fn logger(value: &OsStr) -> Result<Logger, String> {
    let Some(text) = value.to_str() else { return file_at(value) };
    if text == "-" {
        return Ok(Logger::Stdio);
    }
    if let Some((name, logger)) = text.split_once(' ') {
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) && kind(logger).is_some() {
            return Err(format!("expected a logger without a name, since there is no log-route: {logger}"));
        }
    }
    match kind(text) {
        Some(("file", file)) => file_logger(file),
        Some(("stdio", _)) => Ok(Logger::Stdio),
        Some(("fd", number)) => match number.parse() {
            Ok(1) | Ok(2) => Ok(Logger::Stdio),
            Ok(number) if number > 2 => Ok(Logger::Descriptor(number)),
            _ => Err("expected the number of a descriptor that this process is started with, such as fd:3".to_owned()),
        },
        Some(("syslog", arguments)) => syslog(arguments),
        Some(("rsyslog", arguments)) => rsyslog(arguments),
        Some(("socket", address)) => socket(address),
        Some(("pipe", command)) => {
            Err(format!("no program is started for the log: start the server as `serve ... 2>&1 | {command}`, or give a file or a socket"))
        }
        Some(_) => Err(EXPECTED.to_owned()),
        None => file_at(value),
    }
}

/// The kind of a logger, and what stands behind it, if this names one of uWSGI's.
fn kind(text: &str) -> Option<(&str, &str)> {
    let (kind, arguments) = text.split_once(':').unwrap_or((text, ""));
    let alone = ["stdio", "syslog", "redislog", "mongodblog", "zeromq", "python"].contains(&kind);
    let named = kind.len() > 1 && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) && text.contains(':');
    (alone || named).then_some((kind, arguments))
}

fn file_at(value: &OsStr) -> Result<Logger, String> {
    Ok(Logger::File { path: path(value)?, max_size: None, backup: None })
}

/// `FILE`, or `logfile=FILE,maxsize=BYTES,backupname=FILE`.
fn file_logger(text: &str) -> Result<Logger, String> {
    let is_list = text.split_once('=').is_some_and(|(key, _)| ["logfile", "maxsize", "backupname"].contains(&key.trim()));
    if !is_list {
        return file_at(OsStr::new(text));
    }
    let (mut file, mut size, mut backup) = (None, None, None);
    for part in text.split(',') {
        match part.split_once('=').map(|(key, value)| (key.trim(), OsStr::new(value.trim()))) {
            Some(("logfile", value)) => file = Some(path(value)?),
            Some(("maxsize", value)) => size = Some(number::<u64>(value, 0..=u64::MAX)?).filter(|bytes| *bytes > 0),
            Some(("backupname", value)) => backup = Some(path(value)?),
            _ => return Err(FILE_KEYS.to_owned()),
        }
    }
    Ok(Logger::File { path: file.ok_or(FILE_KEYS)?, max_size: size, backup })
}

/// `TAG,FACILITY`, either of which may be missing.
fn syslog(arguments: &str) -> Result<Logger, String> {
    let (tag, facility) = arguments.split_once(',').unwrap_or((arguments, "daemon"));
    let number = FACILITIES.iter().position(|names| names.contains(&facility));
    let number = number.ok_or("expected a facility of syslog's behind the comma, such as daemon or local0")?;
    let tag = if tag.is_empty() { TAG } else { tag };
    let messages = Datagrams::syslog(Receiver::Unix(LOCAL_SYSLOG.into()), number as u8 * 8 + INFO, tag);
    Ok(Logger::Datagrams(messages.message_size(LOCAL_MESSAGE, false)))
}

/// `HOST:PORT,TAG,PRIORITY`, all but the first of which may be missing, or a file instead of the host.
fn rsyslog(arguments: &str) -> Result<Logger, String> {
    let mut parts = arguments.splitn(3, ',');
    let receiver = match parts.next().unwrap_or_default() {
        "" => return Err("expected who takes messages: rsyslog:HOST:PORT".to_owned()),
        file if file.contains('/') => Receiver::Unix(file.into()),
        host if host.ends_with(']') || !host.contains(':') => Receiver::Udp(format!("{host}:514")),
        address => udp(address)?,
    };
    // As uWSGI has it: whoever gives a tag gives the host's name with it, if there is to be one.
    let tag = parts.next().map_or_else(|| format!("{} {TAG}", rustix::system::uname().nodename().to_string_lossy()), str::to_owned);
    let priority = parts.next().map_or(Ok(NOTICE), |priority| number(OsStr::new(priority), 0..=191))?;
    Ok(Logger::Datagrams(Datagrams::syslog(receiver, priority, tag)))
}

/// `HOST:PORT` or `FILE`, and behind a comma what stands in front of each line.
fn socket(arguments: &str) -> Result<Logger, String> {
    let (address, before) = arguments.split_once(',').unwrap_or((arguments, ""));
    let receiver = match address.parse() {
        Ok(Receiver::Udp(address)) => udp(&address)?,
        Ok(Receiver::Unix(path)) if !path.as_os_str().is_empty() => Receiver::Unix(path),
        _ => return Err("expected who takes datagrams: socket:HOST:PORT or socket:FILE".to_owned()),
    };
    Ok(Logger::Datagrams(Datagrams::prefixed(receiver, before)))
}

fn udp(address: &str) -> Result<Receiver, String> {
    let whole = address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    if whole { Ok(Receiver::Udp(address.to_owned())) } else { Err(format!("expected HOST:PORT instead of {address:?}")) }
}

/// What uWSGI calls itself in syslog, so that filters go on to work.
const TAG: &str = "uwsgi";
/// What the severity of a line is, there being no other.
const INFO: u8 = 6;
/// Of the facility `daemon`, and the severity `notice`.
const NOTICE: u8 = 29;
/// What syslog takes on the same machine.
const LOCAL_MESSAGE: usize = 8192;
const EXPECTED: &str = "expected a file, or file:, stdio, fd:, syslog, rsyslog: or socket:";
const FILE_KEYS: &str = "expected file:logfile=FILE, and perhaps maxsize=BYTES and backupname=FILE, with commas between";

/// By number (RFC 3164, 4.1.1).
const FACILITIES: &[&[&str]] = &[
    &["kern"],
    &["user"],
    &["mail"],
    &["daemon"],
    &["auth", "security"],
    &["syslog"],
    &["lpr"],
    &["news"],
    &["uucp"],
    &["cron"],
    &["authpriv"],
    &["ftp"],
    &[],
    &[],
    &[],
    &[],
    &["local0"],
    &["local1"],
    &["local2"],
    &["local3"],
    &["local4"],
    &["local5"],
    &["local6"],
    &["local7"],
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Logger, String> {
        logger(OsStr::new(text))
    }

    #[test]
    fn loggers_are_read_as_uwsgi_reads_them() {
        let file = |path: &str| Logger::File { path: path.into(), max_size: None, backup: None };
        for (text, logger) in [
            ("/tmp/x", file("/tmp/x")),
            ("file:/tmp/x", file("/tmp/x")),
            ("file:a=b", file("a=b")),
            (
                "file:logfile=/tmp/x,maxsize=10,backupname=/tmp/y",
                Logger::File { path: "/tmp/x".into(), max_size: Some(10), backup: Some("/tmp/y".into()) },
            ),
            ("-", Logger::Stdio),
            ("stdio", Logger::Stdio),
            ("stdio:", Logger::Stdio),
            ("fd:2", Logger::Stdio),
            ("fd:3", Logger::Descriptor(3)),
            ("socket:/run/x", Logger::Datagrams(Datagrams::plain(Receiver::Unix("/run/x".into())))),
            ("socket:[::1]:99,x ", Logger::Datagrams(Datagrams::prefixed(Receiver::Udp("[::1]:99".to_owned()), "x "))),
            ("rsyslog:10.0.0.1,site", Logger::Datagrams(Datagrams::syslog(Receiver::Udp("10.0.0.1:514".to_owned()), 29, "site"))),
            ("rsyslog:log:99,site,134", Logger::Datagrams(Datagrams::syslog(Receiver::Udp("log:99".to_owned()), 134, "site"))),
            ("rsyslog:/run/x,site", Logger::Datagrams(Datagrams::syslog(Receiver::Unix("/run/x".into()), 29, "site"))),
        ] {
            assert_eq!(read(text), Ok(logger), "{text}");
        }
        let local = |priority, tag| Datagrams::syslog(Receiver::Unix("/dev/log".into()), priority, tag).message_size(8192, false);
        assert_eq!(read("syslog"), Ok(Logger::Datagrams(local(30, "uwsgi"))));
        assert_eq!(read("syslog:site,local1"), Ok(Logger::Datagrams(local(17 * 8 + 6, "site"))));
    }

    #[test]
    fn what_is_no_logger_is_told() {
        for (text, part) in [
            ("mongodblog:127.0.0.1", "expected a file, or file:"),
            ("sysylog:x", "expected a file, or file:"),
            ("app file:/tmp/x", "without a name"),
            ("pipe:cat", "2>&1 | cat"),
            ("fd:x", "the number of a descriptor"),
            ("syslog:a,local9", "a facility"),
            ("rsyslog:", "rsyslog:HOST:PORT"),
            ("rsyslog:a,b,192", "a number from 0 to 191"),
            ("socket:", "socket:FILE"),
            ("socket:host:x", "HOST:PORT instead of \"host:x\""),
            ("file:maxsize=1", "file:logfile=FILE"),
            ("file:logfile=a,size=1", "file:logfile=FILE"),
            ("", "a value"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
