//! Options as they are given: on the command line, in ini files as uWSGI reads them, in TOML, and in variables.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use wsgi_tests::browser::Browser;
use wsgi_tests::fixture::apps;
use wsgi_tests::process::{Ended, Process};
use wsgi_tests::venv::PYTHON;

/// A folder with an application that says what it sees, as a project has it.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::write(folder.path().join("config/__init__.py"), "").unwrap();
    fs::write(folder.path().join("config/wsgi.py"), APPLICATION).unwrap();
    fs::write(folder.path().join("test.py"), APPLICATION).unwrap();
    folder
}

const APPLICATION: &str = "\
import os, sys


def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    seen = [__name__, os.getcwd(), sys.prefix, os.environ.get('GREETING'), environ['SCRIPT_NAME'], environ['PATH_INFO'], ' '.join(sys.argv[1:])]
    return ['|'.join(map(str, seen)).encode()]


def other(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'other']
";

fn with_file(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn virtualenv(folder: &Path) -> String {
    let home = folder.join("env");
    let made = Command::new(PYTHON).args(["-m", "venv", "--without-pip"]).arg(&home).output().expect("python");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    home.to_str().unwrap().to_owned()
}

fn text(process: &mut Process, path: &str) -> String {
    Browser::new(process.address()).get(path).text()
}

#[track_caller]
fn one_sentence(ended: &Ended, code: i32, sentence: &str) {
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    assert_eq!(ended.stderr, format!("serve: {sentence}\n"));
}

#[test]
fn the_command_lines_of_the_walk_throughs_work_as_typed() {
    let folder = project();
    let path = folder.path().to_str().unwrap();
    let started = |arguments: &[&str]| {
        let mut command = Process::serve_command(arguments);
        command.current_dir(folder.path());
        Process::start(command)
    };
    let here = folder.path().canonicalize().unwrap();
    let mut process = started(&["--http", "127.0.0.1:0", "--wsgi-file", "test.py"]);
    assert!(text(&mut process, "/").contains(&format!("|{}|", here.display())));
    let home = virtualenv(folder.path());
    let mut process = started(&["--http", "127.0.0.1:0", "--home", &home, "--chdir", path, "-w", "config.wsgi"]);
    let seen = text(&mut process, "/x");
    assert_eq!(seen, format!("config.wsgi|{}|{home}|None||/x|", here.display()));
    let mut process = started(&["--master", "-H", &home, "--http=127.0.0.1:0", "--wsgi-file=test.py:other", "-p1", "--threads", "2"]);
    assert_eq!(text(&mut process, "/"), "other");
}

#[test]
fn an_ini_file_with_chdir_home_module_and_http_is_served() {
    let folder = project();
    let home = virtualenv(folder.path());
    let here = folder.path().canonicalize().unwrap();
    let file = with_file(
        folder.path(),
        "site.ini",
        "# site\n[uwsgi]\nbase = %d\nchdir = %(base)\nhome = %(base)/env\nmodule = config.wsgi:application\nhttp = 127.0.0.1:0\nmaster = true\nvacuum = true\n\
         env = GREETING=$(WORD) %n\npyargv = --a b\nmount = /other=test.py:other\nmanage-script-name = true\nneed-app\n",
    );
    for arguments in [&["--ini", &file][..], &[&file], &["--config", &file], &["--ini", &format!("{file}:uwsgi")]] {
        let mut command = Process::serve_command(arguments);
        command.env("WORD", "hello");
        let mut process = Process::start(command);
        let seen = text(&mut process, "/x");
        let prefix = here.join("env");
        assert_eq!(seen, format!("config.wsgi|{}|{}|hello site||/x|--a b", here.display(), prefix.display()), "{home}");
        assert_eq!(text(&mut process, "/other/x"), "other");
        let said = process.stderr();
        for name in ["vacuum", "manage-script-name"] {
            let lines = said.lines().filter(|line| line.contains(&format!(": {name} is ignored: "))).count();
            assert_eq!(lines, 1, "{said}");
        }
    }
}

/// Workers read the configuration themselves: from the same files, variables and arguments, however their master was told.
#[test]
fn several_processes_have_the_same_settings_by_file_variable_and_argument() {
    let folder = project();
    let here = folder.path().canonicalize().unwrap();
    fs::create_dir(folder.path().join("static")).unwrap();
    fs::write(folder.path().join("static/a.txt"), "a file").unwrap();
    let user = rustix::process::getuid().as_raw();
    let file = format!(
        "[uwsgi]\nchdir = %d\nmodule = config.wsgi\nhttp = 127.0.0.1:0\nprocesses = 4\nmaster = true\nmax-requests = 1000\nuid = {user}\n\
         gid = {}\npidfile = site.pid\ntouch-reload = touched\nvacuum = true\ndie-on-term = true\nstatic-map = /static=static\nenv = GREETING=%n\n\
         emperer = slip\n",
        rustix::process::getgid().as_raw()
    );
    with_file(folder.path(), "site.ini", &file);
    // The name of the file counts from where the server was started, and not from chdir.
    let mut command = Process::serve_command(["--pyargv", "typed", "--mount", "/other=test.py:other"]);
    command.current_dir(folder.path().parent().unwrap());
    command.env("UWSGI_INI", folder.path().file_name().unwrap().to_str().unwrap().to_owned() + "/site.ini").env("WSGI_SERVE_THREADS", "2");
    let mut process = Process::start(command);
    let check = |process: &mut Process, word: &str| {
        // More connections than processes, so that as a rule each has its turn.
        for _ in 0..12 {
            let seen = text(process, "/x");
            let (path, rest) = seen.split_once(&format!("|{}|", here.display())).unwrap_or_else(|| panic!("{seen}"));
            assert_eq!((path, rest.ends_with(&format!("|{word}||/x|typed"))), ("config.wsgi", true), "{seen}");
            assert_eq!(text(process, "/other"), "other");
            assert_eq!(text(process, "/static/a.txt"), "a file");
        }
    };
    check(&mut process, "site");
    process.line_with("4 processes, each with 2 threads");
    assert_eq!(fs::read_to_string(folder.path().join("site.pid")).unwrap().trim(), process.id().to_string());
    // What is to be said of the options is said once, and not by each process.
    assert_eq!(process.stderr().matches("emperer is no option").count(), 1, "{}", process.stderr());
    assert_eq!(process.stderr().matches("vacuum is ignored").count(), 1, "{}", process.stderr());

    // A file that has changed counts from the next reload on.
    with_file(folder.path(), "site.ini", &file.replace("GREETING=%n", "GREETING=again"));
    with_file(folder.path(), "touched", "");
    process.line_with("reloaded: 4 workers ready");
    check(&mut process, "again");
    // One that cannot be served any more leaves those that serve.
    with_file(folder.path(), "site.ini", &file.replace("max-requests = 1000", "max-requests = many"));
    rustix::process::kill_process(rustix::process::Pid::from_raw(process.id().try_into().unwrap()).unwrap(), rustix::process::Signal::HUP)
        .unwrap();
    process.line_with("site.ini:7: max-requests \"many\": expected a number");
    process.line_with("the workers stay as they were");
    check(&mut process, "again");
    process.terminate();
    assert_eq!(process.wait().status.code(), Some(0));
    assert!(!folder.path().join("site.pid").exists());
}

#[test]
fn the_same_with_a_socket_speaks_uwsgi_there() {
    let folder = project();
    let socket = folder.path().join("site.sock");
    let file = with_file(
        folder.path(),
        "site.ini",
        "[uwsgi]\nchdir = %d\nmodule = config.wsgi:application\nsocket = site.sock\nchmod-socket = 660\nvacuum = true\n",
    );
    let mut process = Process::serve([&file]);
    process.line_with("listening on uwsgi+unix:");
    let mut packet = Vec::new();
    for (name, value) in [
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/x"),
        ("PATH_INFO", "/x"),
        ("SCRIPT_NAME", ""),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "a"),
        ("SERVER_PORT", "80"),
        ("QUERY_STRING", ""),
    ] {
        for text in [name, value] {
            packet.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
            packet.extend(text.as_bytes());
        }
    }
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(&[&[0][..], &u16::try_from(packet.len()).unwrap().to_le_bytes(), &[0], &packet].concat()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.contains("config.wsgi|"), "{reply}");
    process.terminate();
    assert_eq!(process.wait().status.code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn toml_variables_and_the_command_line_say_the_same_and_the_stronger_wins() {
    let folder = project();
    let path = folder.path().to_str().unwrap();
    let file = with_file(
        folder.path(),
        "serve.toml",
        &format!(
            "http = [\"127.0.0.1:0\"]\nchdir = {path:?}\nmodule = \"config.wsgi\"\nthreads = 2\n\n[env]\nGREETING = \"from toml\"\n\n[mount]\n\"/o\" = \"test.py:other\"\n"
        ),
    );
    let mut process = Process::serve([&file]);
    assert!(text(&mut process, "/").contains("|from toml|"));
    assert_eq!(text(&mut process, "/o"), "other");
    process.line_with("2 threads");

    let mut command = Process::serve_command([&file]);
    command.env("UWSGI_THREADS", "3").env("UWSGI_ENV", "GREETING=from a variable");
    let mut process = Process::start(command);
    assert!(text(&mut process, "/").contains("|from a variable|"));
    process.line_with("3 threads");

    let mut command = Process::serve_command(["--env", "GREETING=typed", &file]);
    command.env("UWSGI_THREADS", "3").env("WSGI_SERVE_THREADS", "4");
    let mut process = Process::start(command);
    assert!(text(&mut process, "/").contains("|typed|"));
    process.line_with("4 threads");
    let mut command = Process::serve_command(["--http", "127.0.0.1:0", "--chdir", path]);
    command.env("UWSGI_INI", with_file(folder.path(), "v.ini", "[uwsgi]\nwsgi-file = test.py:other\n"));
    assert_eq!(text(&mut Process::start(command), "/"), "other");
}

#[test]
fn a_time_zone_is_one_that_the_application_sees() {
    let folder = tempfile::tempdir().unwrap();
    let code = "import time\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    \
                return [time.tzname[0].encode(), b' ', str(time.localtime(0).tm_hour).encode()]\n";
    fs::write(folder.path().join("zone.py"), code).unwrap();
    let mut process = Process::serve([
        "--http",
        "127.0.0.1:0",
        "--chdir",
        folder.path().to_str().unwrap(),
        "-w",
        "zone",
        "--env",
        "TZ=AAA-7",
        "--unenv",
        "HOME",
    ]);
    assert_eq!(text(&mut process, "/"), "AAA 7");
}

#[test]
fn bad_input_is_one_sentence_with_file_and_line_and_nothing_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let sentence = |text: &str| {
        let file = with_file(folder.path(), "x.ini", text);
        let ended = Process::serve(["--ini", &file]).wait();
        assert_eq!((ended.status.code(), ended.stdout.as_str(), ended.stderr.lines().count()), (Some(2), "", 1), "{ended:?}");
        let said = ended.stderr.trim_end().strip_prefix("serve: ").unwrap().to_owned();
        said.replace(folder.path().to_str().unwrap(), "DIR")
    };
    for (text, expected) in [
        ("[uwsgi]\n\nthreads = many\n", "DIR/x.ini:3: threads \"many\": expected a number from 1 to 4096"),
        ("[uwsgi]\nini = %p\n", "DIR/x.ini:2: files include each other in a loop: x.ini, x.ini"),
        ("[uwsgi]\nini = none.ini\n", "DIR/x.ini:2: cannot read \"none.ini\": No such file or directory (os error 2)"),
        ("[uwsgi]\nchdir = %(bsae)\n", "DIR/x.ini:2: nothing is called \"bsae\", for which chdir has the placeholder %(bsae)"),
        (
            "[uwsgi]\nemperor = /etc/vassals\n",
            "DIR/x.ini:2: emperor is refused: there is no Emperor: let systemd start a server for each application, by a template such as site@.service",
        ),
        (
            "[uwsgi]\nmodule = a\nwsgi-file = b.py\n",
            "DIR/x.ini:3: wsgi-file \"b.py\": module says too what is served at /: give one of them",
        ),
        ("[uwsgi]\nmount = /a=b\n\nmount = /a/=c\n", "DIR/x.ini:4: mount \"/a/=c\": another application is served at /a already"),
        ("[uwsgi]\nneed-app = true\n", "DIR/x.ini:2: need-app: no application is named: give --module, --wsgi-file or --mount"),
        ("[other]\n", "--ini: \"DIR/x.ini\" has no section [uwsgi]"),
        (
            "[uwsgi]\nemperor = a\nroute = b\n",
            "DIR/x.ini:2: emperor is refused: there is no Emperor: let systemd start a server for each application, by a template such as site@.service (serve --check DIR/x.ini shows this and 1 more)",
        ),
    ] {
        assert_eq!(sentence(text), expected);
    }
    // Not that of --check, which is another option.
    one_sentence(&Process::serve(["--check-static", "/", "--modul", "x"]).wait(), 2, "unknown option --modul: did you mean --module?");
    one_sentence(
        &Process::serve(["--emperor", "/etc/x"]).wait(),
        2,
        "--emperor is refused: there is no Emperor: let systemd start a server for each application, by a template such as site@.service",
    );
    one_sentence(
        &Process::serve(["/no/such.ini"]).wait(),
        2,
        "the command line: cannot read \"/no/such.ini\": No such file or directory (os error 2)",
    );
    let mut command = Process::serve_command::<&str>([]);
    command.env("WSGI_SERVE_THREDS", "4");
    one_sentence(&Process::start(command).wait(), 2, "WSGI_SERVE_THREDS is no option: did you mean threads?");
}

/// Nothing is wrong with how these are written: there is no such thing on this machine.
#[test]
fn what_is_not_there_is_one_sentence_with_file_and_line_and_nothing_stays() {
    let folder = project();
    let here = folder.path().to_str().unwrap();
    for (line, expected) in [
        ("chdir = /no/such", "x.ini:6: chdir: cannot change to the directory \"/no/such\": No such file or directory (os error 2)"),
        ("chdir = DIR/test.py", "x.ini:6: chdir: cannot change to the directory \"DIR/test.py\": not a directory"),
        ("virtualenv = /no/such", "x.ini:6: virtualenv: the Python home \"/no/such\" does not exist"),
        (
            "pythonpath = /no/such",
            "x.ini:6: pythonpath: cannot search \"/no/such\" for Python modules: No such file or directory (os error 2)",
        ),
        ("uid = no-such-user", "x.ini:6: uid: there is no user \"no-such-user\""),
        ("gid = no-such-group", "x.ini:6: gid: there is no group \"no-such-group\""),
        ("gid = 0\nadd-gid = 0\nadd-gid = no-such-group\nadd-gid = 1", "x.ini:8: add-gid: there is no group \"no-such-group\""),
        ("immediate-uid = no-such-user", "x.ini:6: immediate-uid: there is no user \"no-such-user\""),
        ("immediate-uid = 65534\nuid = 0", "x.ini:7: uid: immediate-uid says for good whom to run as: give one of them"),
        ("chown-socket = root:no-such-group", "x.ini:6: chown-socket: there is no group \"no-such-group\""),
        (
            "static-map = /a=/\nstatic-map = /b=/no/such\nstatic-map = /c=/",
            "x.ini:7: static-map: cannot serve files from /no/such: No such file or directory (os error 2)",
        ),
        (
            "https = 127.0.0.1:0,/no/such.pem,/no/such.key",
            "x.ini:6: https: cannot read \"/no/such.pem\": No such file or directory (os error 2)",
        ),
    ] {
        for processes in ["1", "2"] {
            let text = format!(
                "[uwsgi]\nmodule = test\nsocket = {here}/a.sock\npidfile = {here}/a.pid\nprocesses = {processes}\n{}\n",
                line.replace("DIR", here)
            );
            let file = with_file(folder.path(), "x.ini", &text);
            let mut command = Process::serve_command([file]);
            command.current_dir(folder.path());
            let ended = Process::start(command).wait();
            assert_eq!(ended.stderr.replace(here, "DIR"), format!("serve: DIR/{expected}\n"));
            assert_eq!(ended.status.code(), Some(2));
            assert!(!folder.path().join("a.sock").exists() && !folder.path().join("a.pid").exists(), "{line}");
        }
    }
    // What the environment says has no line, and what a stronger one says counts.
    let file = with_file(folder.path(), "x.ini", "[uwsgi]\nhome = /no/such\nchdir = /no/such\n");
    one_sentence(
        &Process::serve([&file, "--chdir", "/"]).wait(),
        2,
        &format!("{file}:2: home: the Python home \"/no/such\" does not exist"),
    );
    let mut command = Process::serve_command([&file]);
    command.env("UWSGI_CHDIR", "/nor/this");
    let sentence = "UWSGI_CHDIR: cannot change to the directory \"/nor/this\": No such file or directory (os error 2)";
    one_sentence(&Process::start(command).wait(), 2, sentence);
    let mut command = Process::serve_command(["--http", "127.0.0.1:0"]);
    command.env("VIRTUAL_ENV", "/no/such");
    let sentence = "the virtualenv \"/no/such\" (from the environment variable VIRTUAL_ENV) does not exist";
    one_sentence(&Process::start(command).wait(), 2, sentence);
}

#[test]
fn an_application_that_cannot_be_imported_is_exit_code_1_however_many_processes() {
    let folder = project();
    let here = folder.path().to_str().unwrap();
    fs::write(folder.path().join("broken.py"), "1 / 0\n").unwrap();
    for processes in ["1", "2"] {
        for (module, part) in [("broken", "ZeroDivisionError"), ("missing", "no module named")] {
            let text = format!("[uwsgi]\nchdir = %d\nmodule = {module}\nsocket = a.sock\npidfile = a.pid\nprocesses = {processes}\n");
            let ended = Process::serve([with_file(folder.path(), "x.ini", &text)]).wait();
            assert_eq!(ended.status.code(), Some(1), "{ended:?}");
            assert!(ended.stderr.lines().last().unwrap().contains(part), "{ended:?}");
            assert!(!folder.path().join("a.sock").exists() && !folder.path().join("a.pid").exists(), "{here}");
        }
    }
}

#[test]
fn a_slip_in_a_file_is_told_and_the_server_starts() {
    let folder = project();
    let file =
        with_file(folder.path(), "x.ini", "[uwsgi]\nhttp = 127.0.0.1:0\nthreds = 4\ncolour = red\nused = config\nmodule = %(used).wsgi\n");
    let mut process = Process::serve(["--chdir", folder.path().to_str().unwrap(), &file]);
    assert!(text(&mut process, "/").starts_with("config.wsgi|"));
    let said = process.stderr();
    assert!(said.contains("x.ini:3: threds is no option, and nothing uses it as a variable: did you mean threads?"), "{said}");
    assert!(said.contains("x.ini:4: colour is no option, and nothing uses it as a variable\n"), "{said}");
    assert!(!said.contains("used is no option"), "{said}");
}

#[test]
fn a_dot_instead_of_a_colon_is_seen() {
    let folder = project();
    let path = folder.path().to_str().unwrap();
    let ended = Process::serve(["--http", "127.0.0.1:0", "--chdir", path, "-w", "config.wsgi.application"]).wait();
    let sentence = "cannot import \"config.wsgi.application:application\": no module named \"config.wsgi.application\"; did you mean config.wsgi:application?";
    one_sentence(&ended, 1, sentence);
}

#[test]
fn help_all_lists_what_becomes_of_every_option() {
    let all = Process::serve(["--help", "all"]).wait();
    assert_eq!((all.status.code(), all.stderr.as_str()), (Some(0), ""));
    for part in ["--path-rule", "Accepted and ignored:", "vacuum", "emperor*"] {
        assert!(all.stdout.contains(part), "{part}");
    }
    let short = Process::serve(["--help"]).wait().stdout;
    assert!(short.lines().count() < all.stdout.lines().count() / 2 && !short.contains("emperor"), "{short}");
}

/// What the real uWSGI makes of a file is what is made of it here: `--show-config` prints its settings as they are once all is replaced.
#[test]
fn the_grammar_is_that_of_the_real_uwsgi() {
    let Some(uwsgi) = wsgi_tests::venv::uwsgi() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("conf")).unwrap();
    with_file(folder.path(), "word.txt", "word\n");
    with_file(folder.path(), "conf/other.v2.ini", "[uwsgi]\nv-other = %n|%s|%e|%c|%x|%o\n[more]\nv-more = of the other\n");
    let text = "[ignored]\nv-no = 1\n[uwsgi]\n; comment\n# comment\n  v-space =  a b  \nv-bare\nv-equals = a=b = c ; d\n\
        v-magic = %n|%d|%p|%o|%s|%e|%c|%x|%0|%1|%v|%h|%k|%u|%U|%g|%G|100%%\nv-env = $(WORD)|a$(WORD)b\nv-file = @(word.txt)|x\n\
        v-base = /srv\nv-of = %(v-base)/%(v-base)\nv-sum = %(v-four * 2 + 1)|%(v-four v-four)|%(v-four ++)|%(v-none - 3)\nv-four = 4\n\
        v-twice = 1\nv-twice = 2\nv-first = %(v-twice)\nset-ph = v-set=x\nv-from = %(v-set)%(v-typed)%(v-variable)\n\
        ini = :part\nini = conf/other.v2.ini\nini = :more\n\
        for = x y\nv-a = %(_)\nv-b = <%(_)>\nendfor =\nfor-times = 2\nv-c = %(_)\nend =\n\
        if-env = WORD\nv-if = %(_)\nendif =\nif-env = WORD=other\nv-if = 2\nendif =\nif-not-env = NONE\nv-if = 3\nendif =\n\
        if-exists = word.txt\nv-if = %(_)\nendif =\nif-file = conf\nv-if = 5\nendif =\nif-dir = conf\nv-if = %(_)\nendif =\n\
        if-opt = v-base=/srv\nv-if = %(_)\nendif =\nif-not-opt = v-base\nv-if = 8\nendif =\nif-not-reload =\nv-if = 9\nendif =\n\
        [part]\nv-part = %x\n[more]\nv-more = of the first\n[uwsgi]\r\n\tv-later\t=\t\"a: b\"\t\r\n[ uwsgi]\nv-no = 2\n";
    let file = with_file(folder.path(), "site.ini", text);
    let name = Path::new(&file).file_name().unwrap();
    let run = |mut command: Command, arguments: &[&str]| {
        command.args(arguments).arg(name).current_dir(folder.path());
        command.env("WORD", "hello").env("UWSGI_V_VARIABLE", "z").env_remove("NONE");
        command.output().expect("it runs")
    };
    let theirs = run(Command::new(uwsgi), &["--set-ph", "v-typed=y", "--show-config"]);
    let theirs = String::from_utf8_lossy(&theirs.stderr).into_owned();
    let shown = theirs.lines().filter(|line| line.starts_with("v-")).map(|line| line.trim_end().to_owned());
    let ours = run(Process::serve_command::<&str>([]), &["--set-ph", "v-typed=y", "--check"]);
    let ours = String::from_utf8_lossy(&ours.stdout).into_owned();
    let said = ours.lines().filter_map(|line| line.split_once(": variable: ")).map(|(_, pair)| {
        let pair = pair.split_once(" (nothing uses it").map_or(pair, |(pair, _)| pair);
        if pair.contains(" = ") { pair.to_owned() } else { format!("{pair} =") }
    });
    assert_eq!(said.collect::<Vec<_>>(), shown.collect::<Vec<_>>(), "uWSGI: {theirs}; serve: {ours}");
    assert!(ours.lines().count() > 30);
}

/// Files in the spirit of well-known projects, and what `--check` says of each, in a file beside it.
#[test]
fn check_says_of_each_option_what_becomes_of_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ini");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|end| end != "ini") {
            continue;
        }
        count += 1;
        let name = file.file_name().unwrap().to_str().unwrap();
        let mut command = Process::serve_command(["--check", name]);
        command.current_dir(&folder).env_remove("STAGE").env_remove("BIND_ADDRESS").env_remove("DEBUG");
        let ended = Process::start(command).wait();
        assert_eq!(ended.stderr, "", "{name}");
        let starts = ended.stdout.ends_with(": the server would start\n");
        assert_eq!(ended.status.code(), Some(if starts { 0 } else { 1 }), "{ended:?}");
        let said = ended.stdout.replace(folder.to_str().unwrap(), "DIR");
        let expected = file.with_extension("txt");
        if std::env::var_os("UPDATE_OPTIONS").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        let stands = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(said, stands, "{name} is judged otherwise: UPDATE_OPTIONS=1 cargo test -p wsgi-tests --test options check");
    }
    assert!(count >= 7, "{count}");
}

#[test]
fn the_files_in_the_guides_would_start() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let guides = ["docs/from-uwsgi.md", "docs/from-gunicorn.md", "docs/from-nginx-unit.md", "README.md"];
    let text = |guides: &[&str]| -> String { guides.iter().map(|guide| fs::read_to_string(root.join(guide)).unwrap()).collect() };
    let folder = tempfile::tempdir().unwrap();
    // That of the README is Cargo's.
    for (end, guides) in [("ini", &guides[..]), ("toml", &guides[..3])] {
        let mut count = 0;
        for block in text(guides).split(&format!("```{end}\n")).skip(1) {
            count += 1;
            let file = with_file(folder.path(), &format!("x.{end}"), block.split("```").next().unwrap());
            let ended = Process::serve(["--check", &file]).wait();
            assert!(ended.stdout.ends_with(": the server would start\n") && !ended.stdout.contains("nothing uses it"), "{ended:?}");
        }
        assert!(count >= 2, "{count} {end}");
    }
}

#[test]
fn what_check_says_would_start_starts() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("ini/served.ini");
    let mut process = Process::serve([file]);
    assert_eq!(Browser::new(process.address()).get("/").code(), 200);
    process.line_with("2 threads");
    assert!(apps().is_dir());
}

#[test]
fn check_tells_what_cannot_be_read_with_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = with_file(folder.path(), "x.ini", "[uwsgi]\nini = %p\n");
    for file in [file.as_str(), "/no/such.ini"] {
        let ended = Process::serve(["--check", file]).wait();
        assert_eq!((ended.status.code(), ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
    }
}
