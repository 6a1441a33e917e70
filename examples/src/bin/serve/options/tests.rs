//! The table, and how values are read.

use std::time::Duration;

use wsgi_core::server::{ListenAddress, Timeouts};

use super::application::mount;
use super::*;

fn applied(name: &str, value: &str) -> Result<Settings, String> {
    let mut settings = Settings::default();
    set(&mut settings, find(name).expect(name), &format!("--{name}"), OsStr::new(value)).map(|()| settings)
}

#[test]
fn no_name_is_given_twice() {
    let mut names: Vec<&str> = entries().flat_map(Entry::names).collect();
    let mut letters: Vec<char> = entries().filter_map(|entry| entry.short).collect();
    let count = (names.len(), letters.len());
    names.sort_unstable();
    names.dedup();
    letters.sort_unstable();
    letters.dedup();
    assert_eq!((names.len(), letters.len()), count);
}

#[test]
fn entries_of_a_group_stand_together_and_each_is_a_sentence_without_a_full_stop() {
    let mut groups: Vec<Group> = entries().map(|entry| entry.group).collect();
    groups.dedup();
    let titles: std::collections::BTreeSet<&str> = groups.iter().map(|group| group.title()).collect();
    assert_eq!(groups.len(), titles.len());
    for entry in entries() {
        assert!(entry.help.starts_with(char::is_uppercase) && !entry.help.ends_with('.'), "{}", entry.name);
    }
}

#[test]
fn a_default_that_is_shown_is_taken_and_changes_nothing() {
    for entry in entries().filter(|entry| !entry.default_value().is_empty() && entry.name != "http") {
        let settings = applied(entry.name, &entry.default_value()).unwrap();
        assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()), "{}", entry.name);
    }
    assert!(DEFAULT_ADDRESS.parse::<ListenAddress>().is_ok());
}

#[test]
fn every_value_changes_something() {
    for (name, value) in [
        ("http", ":80"),
        ("fastcgi-stderr", ""),
        ("https", ":443,a.pem,a.key"),
        ("forwarded-allow-ips", "10.0.0.0/8,unix"),
        ("forwarded-fields", "forwarded"),
        ("proxy-protocol", ""),
        ("wsgi-manage-chunked-input", ""),
        ("listen", "5"),
        ("chmod-socket", "0666"),
        ("module", "a"),
        ("wsgi-file", "a.py"),
        ("callable", "app"),
        ("mount", "/a=b"),
        ("static-map", "/a=b"),
        ("static-map2", "/a=b"),
        ("static-check", "a"),
        ("static-index", "a"),
        ("static-safe", "a"),
        ("static-skip-ext", "a"),
        ("static-dotfiles", ""),
        ("mimefile", "a"),
        ("static-expires", "a 1"),
        ("static-expires-mtime", "a 1"),
        ("static-expires-path-info", "a 1"),
        ("static-expires-path-info-mtime", "a 1"),
        ("static-expires-uri", "a 1"),
        ("static-expires-uri-mtime", "a 1"),
        ("static-expires-type", "a/b=1"),
        ("static-expires-type-mtime", "a/b=1"),
        ("chdir", "/"),
        ("home", "/x"),
        ("pythonpath", "lib"),
        ("threads", "8"),
        ("max-connections", "10"),
        ("chown-socket", "www-data"),
        ("workers", "2"),
        ("master", ""),
        ("max-requests", "500"),
        ("max-requests-delta", "50"),
        ("max-worker-lifetime", "3600"),
        ("max-worker-lifetime-delta", "60"),
        ("reload-on-rss", "512"),
        ("reload-on-as", "2048"),
        ("touch-reload", "/run/site/reload"),
        ("py-autoreload", "1"),
        ("py-auto-reload-ignore", "mysite.generated"),
        ("keep-trying", ""),
        ("pidfile", "/run/site.pid"),
        ("pidfile2", "/run/site.pid"),
        ("uid", "www-data"),
        ("gid", "www-data"),
        ("add-gid", "staff"),
        ("no-initgroups", ""),
        ("immediate-uid", "www-data"),
        ("immediate-gid", "www-data"),
        ("procname", "site"),
        ("procname-append", " (site)"),
        ("procname-master", "site"),
        ("procname-prefix", "site "),
        ("procname-prefix-spaced", "site"),
        ("auto-procname", ""),
        ("reload-mercy", "7"),
        ("limit-post", "10"),
        ("buffer-size", "4096"),
        ("limit-request-fields", "10"),
        ("head-timeout", "2.5"),
        ("http-timeout", "7"),
        ("write-timeout", "7"),
        ("keep-alive", "7"),
        ("body-timeout", "7"),
        ("harakiri", "7"),
        ("harakiri-graceful-timeout", "7"),
        ("graceful-timeout", "7"),
        ("shutdown-delay", "7"),
        ("log-level", "debug"),
        ("access-log", "-"),
        ("log-format", "combined"),
        ("logto", "x.log"),
        ("disable-logging", ""),
        ("log-4xx", ""),
        ("log-5xx", ""),
        ("log-slow", "500"),
        ("log-zero", ""),
        ("log-big", "5"),
        ("log-sendfile", "true"),
        ("log-ioerror", "1"),
        ("log-micros", ""),
        ("log-date", "%H"),
        ("log-format-strftime", ""),
        ("logto2", "a"),
        ("logger", "syslog"),
        ("log-syslog", ""),
        ("log-socket", "a"),
        ("log-maxsize", "9"),
        ("log-backupname", "a"),
        ("touch-logrotate", "a"),
        ("touch-logreopen", "a"),
        ("log-reopen", ""),
        ("log-truncate", ""),
        ("logfile-chmod", "640"),
        ("rsyslog-packet-size", "2048"),
        ("rsyslog-split-messages", ""),
        ("log-x-forwarded-for", ""),
        ("stats", ":9191"),
        ("log-req-id", ""),
        ("stats-request-start", ""),
        ("socket", ":1"),
        ("protocol", "http"),
        ("need-app", ""),
        ("env", "A=b"),
        ("unenv", "A"),
        ("pyargv", "a b"),
        ("socket-timeout", "7"),
        ("http-keepalive", "7"),
        ("strict", ""),
        ("check", "x.ini"),
        ("help-all", ""),
        ("help", ""),
        ("version", ""),
    ] {
        let settings = applied(name, value).unwrap();
        assert_ne!(format!("{settings:?}"), format!("{:?}", Settings::default()), "{name}");
    }
    let settings = applied("head-timeout", "2.5").unwrap();
    assert_eq!(settings.timeouts, Timeouts { head: Duration::from_millis(2500), ..Timeouts::default() });
    let https = Speaks::Https { chain: "a.pem".into(), key: "a.key".into() };
    assert_eq!(applied("https", "[::1]:443,a.pem,a.key").unwrap().listen, [(https, "[::1]:443".parse().unwrap())]);
    assert_eq!(applied("chmod-socket", "660").unwrap().socket_mode, Some(0o660));
    for never in ["max-requests", "max-worker-lifetime", "reload-on-rss", "reload-on-as", "py-autoreload"] {
        assert!(!applied(never, "0").unwrap().processes.need_a_master(), "{never}");
    }
    assert_eq!(applied("limit-post", "0").unwrap().limits.body_bytes, None);
    assert_eq!(applied("http", "site.sock").unwrap().listen, [(Speaks::Http, ListenAddress::Unix("site.sock".into()))]);
    assert_eq!(applied("chmod-socket", "").unwrap().socket_mode, Some(0o666));
    for on in ["", "1", "true"] {
        assert_eq!(applied("http-keepalive", on).unwrap().timeouts, Timeouts::default());
    }
    assert_eq!(applied("wsgi-file", "a.py:app").unwrap().wsgi_file, Some(("a.py".into(), Some("app".to_owned()))));
    assert_eq!(applied("wsgi-file", "a:b").unwrap().wsgi_file, Some(("a:b".into(), None)));
}

#[test]
fn sockets_speak_what_the_protocol_says_wherever_it_stands() {
    let mut settings = applied("socket", ":1").unwrap();
    set(&mut settings, find("protocol").unwrap(), "--protocol", OsStr::new("http")).unwrap();
    set(&mut settings, find("uwsgi-socket").unwrap(), "--uwsgi-socket", OsStr::new(":2")).unwrap();
    settings.settle();
    assert_eq!(settings.listen, [(Speaks::Uwsgi, ":2".parse().unwrap()), (Speaks::Http, ":1".parse().unwrap())]);
}

#[test]
fn an_address_that_is_named_twice_is_one_and_speaks_one_protocol() {
    let listening = |given: &[(&str, &str)]| {
        let mut settings = Settings::default();
        let set = given.iter().try_for_each(|(name, value)| set(&mut settings, find(name).unwrap(), name, OsStr::new(value)));
        set.map(|()| {
            settings.settle();
            settings.listen.len()
        })
    };
    assert_eq!(listening(&[("http", ":80"), ("http-socket", ":80"), ("http", "a.sock"), ("http", "a.sock")]), Ok(2));
    assert_eq!(listening(&[("socket", "a.sock"), ("socket", "a.sock"), ("socket", ":1")]), Ok(2));
    // The system chooses two ports.
    assert_eq!(listening(&[("http", ":0"), ("http", ":0")]), Ok(2));
    assert_eq!(
        listening(&[("http", ":80"), ("fastcgi-socket", ":80")]),
        Err("fastcgi-socket \":80\": http is already what is answered there".to_owned())
    );
}

#[test]
fn a_wrong_value_is_told_with_what_was_expected() {
    for (name, value, sentence) in [
        ("threads", "many", "--threads \"many\": expected a number from 1 to 4096"),
        ("threads", "0", "--threads \"0\": expected a number from 1 to 4096"),
        ("threads", "-1", "--threads \"-1\": expected a number from 1 to 4096"),
        ("listen", "70000", "--listen \"70000\": expected a number from 1 to 65535"),
        ("head-timeout", "0", "--head-timeout \"0\": expected seconds from 0.001 to 31536000"),
        ("head-timeout", "nan", "--head-timeout \"nan\": expected seconds from 0.001 to 31536000"),
        ("head-timeout", "inf", "--head-timeout \"inf\": expected seconds from 0.001 to 31536000"),
        ("chmod-socket", "888", "--chmod-socket \"888\": expected octal permissions such as 660"),
        ("chmod-socket", "7777", "--chmod-socket \"7777\": expected octal permissions such as 660"),
        ("mount", "shop=app", "--mount \"shop=app\": expected /PREFIX=MODULE[:CALLABLE] or /PREFIX=FILE.py[:CALLABLE]"),
        ("mount", "/shop", "--mount \"/shop\": expected /PREFIX=MODULE[:CALLABLE] or /PREFIX=FILE.py[:CALLABLE]"),
        ("static-map", "/static", "--static-map \"/static\": expected /PREFIX=DIR, such as /static=/srv/static"),
        ("static-expires-type", "css=1", "--static-expires-type \"css=1\": expected a type, '=' and seconds, such as text/css=3600"),
        ("static-expires", "(a 1", "--static-expires \"(a 1\": the pattern is not understood: unclosed group"),
        ("module", "", "--module \"\": expected a value"),
        ("wsgi-file", "", "--wsgi-file \"\": expected a value"),
        ("protocol", "raw", "--protocol \"raw\": expected uwsgi, http, fastcgi or scgi"),
        ("env", "A", "--env \"A\": expected NAME=VALUE"),
        ("env", "=b", "--env \"=b\": expected NAME=VALUE"),
        ("unenv", "A=b", "--unenv \"A=b\": expected the name of a variable"),
        ("http-keepalive", "0", "--http-keepalive \"0\": connections are always kept, expected for how many seconds"),
        ("http-keepalive", "x", "--http-keepalive \"x\": expected seconds from 0.001 to 31536000"),
        (
            "https",
            ":443,a.pem",
            "--https \":443,a.pem\": expected an address, the file of a certificate and that of its key: ADDR,CERT,KEY",
        ),
        (
            "https",
            ":443,a.pem,",
            "--https \":443,a.pem,\": expected an address, the file of a certificate and that of its key: ADDR,CERT,KEY",
        ),
        (
            "https",
            ":443,a.pem,a.key,HIGH",
            "--https \":443,a.pem,a.key,HIGH\": expected an address, the file of a certificate and that of its key: ADDR,CERT,KEY; \
             ciphers and certificates of clients cannot be set",
        ),
        ("home", "", "--home \"\": expected a value"),
        (
            "forwarded-allow-ips",
            "unix,10.0.0/8",
            "--forwarded-allow-ips \"unix,10.0.0/8\": \"10.0.0/8\" is not a network: expected an IP address, or one with a prefix length, such as 10.0.0.0/8",
        ),
        (
            "forwarded-fields",
            "for,x",
            "--forwarded-fields \"for,x\": \"x\" is not a field of proxies: expected for, proto, host, port, prefix or forwarded",
        ),
        ("log-format", "%(nonsense)", "--log-format \"%(nonsense)\": log format has no variable \"nonsense\""),
        ("log-slow", "x", "--log-slow \"x\": expected a number from 0 to 86400000"),
        ("access-log", "redislog", "--access-log \"redislog\": expected a file, or file:, stdio, fd:, syslog, rsyslog: or socket:"),
        ("log-level", "loud", "--log-level \"loud\": expected off, error, warn, info, debug or trace"),
    ] {
        assert_eq!(applied(name, value).unwrap_err(), sentence);
    }
    assert!(
        applied("http", "8000").unwrap_err().starts_with("--http \"8000\": \"8000\" is not an address to listen on: expected HOST:PORT")
    );
}

#[test]
fn mounts_are_modules_or_files() {
    let module = |name: &str| Target::Module(name.to_owned());
    assert_eq!(mount("/shop/=shop.wsgi:app"), Ok(("/shop".to_owned(), module("shop.wsgi:app"))));
    assert_eq!(mount("/shop = shop.wsgi"), Ok(("/shop".to_owned(), module("shop.wsgi"))));
    assert_eq!(mount("/=a"), Ok(("/".to_owned(), module("a"))));
    assert_eq!(mount("/a/b=c=d"), Ok(("/a/b".to_owned(), module("c=d"))));
    assert_eq!(mount("/x=mysite.wsgi"), Ok(("/x".to_owned(), module("mysite.wsgi"))));
    for file in ["app.py", "./app.wsgi", "./app"] {
        assert_eq!(mount(&format!("/x={file}")), Ok(("/x".to_owned(), Target::File(file.into(), None))));
    }
    for file in ["app.py", "./app.wsgi", "/srv/app.py"] {
        let target = Target::File(file.into(), Some("app".to_owned()));
        assert_eq!(mount(&format!("/x={file}:app")), Ok(("/x".to_owned(), target)));
    }
}

#[test]
fn one_application_for_one_prefix() {
    let settings = |given: &[(&str, &str)]| {
        let mut settings = Settings::default();
        let set = given.iter().try_for_each(|(name, value)| set(&mut settings, find(name).unwrap(), name, OsStr::new(value)));
        set.map(|()| settings.targets())
    };
    assert_eq!(settings(&[]), Ok(Vec::new()));
    let prefixes: Vec<String> =
        settings(&[("mount", "/a=x"), ("module", "m"), ("mount", "/b=y.py")]).unwrap().into_iter().map(|(prefix, _)| prefix).collect();
    assert_eq!(prefixes, ["/", "/a", "/b"]);
    for (given, sentence) in [
        ([("mount", "/a=x"), ("mount", "/a/=y")], "mount \"/a/=y\": another application is served at /a already"),
        ([("mount", "/=x"), ("module", "y")], "module \"y\": mount says too what is served at /: give one of them"),
        ([("module", "x"), ("mount", "/=y")], "mount \"/=y\": module says too what is served at /: give one of them"),
        ([("module", "x"), ("file", "y")], "file \"y\": module says too what is served at /: give one of them"),
        ([("file", "x"), ("module", "y")], "module \"y\": wsgi-file says too what is served at /: give one of them"),
    ] {
        assert_eq!(settings(&given).unwrap_err(), sentence);
    }
    // The last one counts, as everywhere.
    assert_eq!(settings(&[("module", "x"), ("module", "y")]).unwrap(), [("/".to_owned(), Target::Module("y".to_owned()))]);
}
