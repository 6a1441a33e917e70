//! Python's start, imports and end, each in a process of its own, since a process has one interpreter.
//!
//! A test writes a script of a few lines and runs this test binary again, where [`probe`] carries it out. So the tests also see what a fatal
//! exit would be: a probe that gives no answers.
#![cfg(feature = "python")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tempfile::TempDir;
use wsgi_core::wsgi::{Interpreter, InterpreterBuilder};

// ---- start: what Python finds

#[test]
fn the_standard_library_is_found_without_any_environment_variable() {
    let answers = Probe::new(["start", "eval len(__import__('json').dumps([1]))", "eval sys.prefix == sys.base_prefix"]).bare().run();
    assert_eq!(answers.lines, ["start: ok", "3", "True"]);
}

#[test]
fn the_executable_is_one_that_starts_the_same_python() {
    let check = "eval __import__('subprocess').check_output([sys.executable, '-c', 'import sys; print(sys.version)'], text=True).strip() == sys.version";
    assert_eq!(Probe::new(["start", check]).run().lines, ["start: ok", "True"]);
}

#[test]
fn sys_argv_is_this_programs_name_unless_given() {
    let answers = Probe::new(["start", "eval sys.argv"]).run();
    assert!(answers.lines[1].contains("interpreter-") && !answers.lines[1].contains("--exact"), "{:?}", answers.lines);
    let answers = Probe::new(["argv manage.py runserver --nö", "start", "eval sys.argv"]).run();
    assert_eq!(answers.lines[1], "['manage.py', 'runserver', '--nö']");
}

#[test]
fn signals_are_left_to_the_program() {
    let answers = Probe::new([
        "start",
        "exec import signal",
        "eval signal.getsignal(signal.SIGINT) == signal.SIG_DFL",
        "eval signal.signal(signal.SIGUSR1, lambda *a: None) == signal.SIG_DFL",
        "eval __import__('threading').current_thread() is __import__('threading').main_thread()",
    ])
    .run();
    assert_eq!(answers.lines, ["start: ok", "True", "True", "True"]);
}

#[test]
fn a_printed_line_is_written_at_once_into_a_pipe() {
    // Nothing flushes at this end.
    let answers = Probe::new(["start", "exec print('first line'); import os; os._exit(0)"]).run();
    let output = String::from_utf8_lossy(&answers.output.stdout).into_owned();
    assert!(output.contains("first line\n"), "{output}");
}

#[test]
fn file_names_are_utf_8_in_the_c_locale_and_in_one_that_is_not_installed() {
    for locale in ["C", "POSIX", "xx_XX.ISO-8859-1"] {
        let answers =
            Probe::new(["start", "eval sys.getfilesystemencoding()", "eval sys.stdout.encoding.lower()"]).env("LC_ALL", locale).run();
        assert_eq!(answers.lines, ["start: ok", "utf-8", "utf-8"], "{locale}");
    }
    let folder = TempDir::new().unwrap();
    let script = [format!("chdir {}", folder.path().display()), "start".into(), "eval open('naïve.txt', 'w').write('é')".into()];
    assert_eq!(Probe::new(script).env("LC_ALL", "C").run().lines, ["start: ok", "1"]);
    assert_eq!(fs::read(folder.path().join("naïve.txt")).unwrap(), "é".as_bytes());
}

#[test]
fn paths_come_first_in_their_order_then_the_working_directory() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for name in ["a", "b", "c"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    // Relative ones count from the new working directory.
    let script = [
        format!("chdir {}", root.display()),
        "path b".to_owned(),
        format!("path {}", root.join("a").display()),
        "path c".to_owned(),
        "start".to_owned(),
        "eval sys.path[:4]".to_owned(),
        "eval __import__('os').getcwd()".to_owned(),
    ];
    let root = root.display();
    assert_eq!(Probe::new(script).run().lines[1..], [format!("['{root}/b', '{root}/a', '{root}/c', '{root}']"), root.to_string()]);
}

#[test]
fn the_working_directory_is_not_searched_unless_asked_for() {
    let here = std::env::current_dir().unwrap();
    let answers = Probe::new(["start".to_owned(), format!("eval {:?} in sys.path or '' in sys.path", here.to_str().unwrap())]).run();
    assert_eq!(answers.lines, ["start: ok", "False"]);
}

#[test]
fn wrong_directories_and_paths_are_told_before_the_start_and_it_may_be_tried_again() {
    let lines = Probe::new(["chdir /nowhere", "start", "chdir /", "path nowhere", "start", "reset", "start"]).run().lines;
    assert_eq!(lines[0], "start: cannot change to the directory \"/nowhere\": No such file or directory (os error 2)");
    assert_eq!(lines[1], "start: cannot search \"/nowhere\" for Python modules: No such file or directory (os error 2)");
    assert_eq!(lines[2], "start: ok");
}

#[test]
fn an_interrupt_ends_the_program_as_if_python_were_not_there() {
    let answers = Probe::new(["start", "exec import signal, asyncio, subprocess", "raise INT", "eval 'still here'"]).expect_death().run();
    assert_eq!(answers.lines, ["start: ok"]);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&answers.output.status), Some(2));
}

// ---- start: virtualenvs

#[test]
fn a_virtualenv_is_used_by_home_by_variable_and_by_path() {
    let venv = Venv::make();
    venv.install("only_here.py", "answer = 42\n");
    let script = |first: &str| {
        Probe::new([
            first,
            "start",
            "eval sys.prefix",
            "eval sys.executable",
            "eval __import__('only_here').answer",
            "eval sys.base_prefix",
        ])
    };
    let root = venv.root();
    let expected = ["start: ok".to_owned(), root.clone(), format!("{root}/bin/python"), "42".to_owned(), base().prefix.clone()];
    assert_eq!(script(&format!("home {root}")).run().lines, expected);
    assert_eq!(script("reset").env("VIRTUAL_ENV", &root).run().lines, expected);
    assert_eq!(script("reset").env("PATH", format!("{root}/bin:/usr/bin:/bin")).run().lines, expected);
    // What was asked for comes before what the environment says.
    let other = Venv::make();
    assert_eq!(script(&format!("home {root}")).env("VIRTUAL_ENV", other.root()).run().lines, expected);
    // A home may be relative, to the directory that is changed to.
    let parent = Path::new(&root).parent().unwrap();
    let script = [&format!("chdir {}", parent.display()), "home venv", "start", "eval sys.prefix"];
    assert_eq!(Probe::new(script).run().lines[1], root);
}

#[test]
fn a_process_that_python_starts_is_in_the_same_virtualenv() {
    let venv = Venv::make();
    let check = "eval __import__('subprocess').check_output([sys.executable, '-c', 'import sys; print(sys.prefix)'], text=True).strip()";
    assert_eq!(Probe::new([&format!("home {}", venv.root()), "start", check]).run().lines[1], venv.root());
}

#[test]
fn an_installation_is_used_by_home() {
    let prefix = &base().prefix;
    let script = [&format!("home {prefix}"), "start", "eval sys.prefix", "eval __import__('os').path.exists(sys.executable)"];
    assert_eq!(Probe::new(script).run().lines, ["start: ok", prefix, "True"]);
    // It is stronger than the environment.
    assert_eq!(Probe::new(script).env("PYTHONHOME", "/nowhere").run().lines, ["start: ok", prefix, "True"]);
}

#[test]
fn a_home_that_is_no_home_is_one_sentence() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let name = &base().name;
    fs::write(root.join("file"), "").unwrap();
    fs::create_dir_all(root.join("empty")).unwrap();
    fs::create_dir_all(root.join("old/lib/python3.4")).unwrap();
    let venv = Venv::make();
    let venv = venv.root();
    let root = root.display();
    for (home, sentence) in [
        (format!("{root}/none"), format!("the Python home \"{root}/none\" does not exist")),
        (format!("{root}/file"), format!("the Python home \"{root}/file\" is not a directory")),
        (format!("{venv}/bin/python"), format!("the Python home \"{venv}/bin/python\" is not a directory: did you mean \"{venv}\"?")),
        (
            format!("{root}/empty"),
            format!(
                "the Python home \"{root}/empty\" is neither a virtualenv (no pyvenv.cfg) nor a Python installation (no lib/python{name})"
            ),
        ),
        (
            format!("{venv}/bin"),
            format!(
                "the Python home \"{venv}/bin\" is neither a virtualenv (no pyvenv.cfg) nor a Python installation (no lib/python{name}): \
                 did you mean \"{venv}\"?"
            ),
        ),
        (
            format!("{root}/old"),
            format!(
                "the Python home \"{root}/old\" is of Python 3.4, but this program is linked with Python {}: use one of that version, or \
                 build with the other",
                base().version
            ),
        ),
    ] {
        assert_eq!(Probe::new([format!("home {home}"), "start".to_owned()]).run().lines, [format!("start: {sentence}")]);
    }
}

#[test]
fn a_virtualenv_of_another_version_is_one_sentence() {
    let version = &base().version;
    for key in ["version", "version_info"] {
        let venv = Venv::make();
        venv.configure(|line| if line.starts_with("version") { format!("{key} = 3.4.1.final.0") } else { line.to_owned() });
        let tail =
            format!("is of Python 3.4, but this program is linked with Python {version}: use one of that version, or build with the other");
        let lines = Probe::new([format!("home {}", venv.root()), "start".to_owned()]).run().lines;
        assert_eq!(lines, [format!("start: the Python home {:?} {tail}", venv.root())]);
        let lines = Probe::new(["start"]).env("VIRTUAL_ENV", venv.root()).run().lines;
        assert_eq!(lines, [format!("start: the virtualenv {:?} (from the environment variable VIRTUAL_ENV) {tail}", venv.root())]);
        // Nobody asked for the one on the PATH.
        let lines = Probe::new(["start"]).env("PATH", format!("{}/bin", venv.root())).run().lines;
        assert_eq!(lines, ["start: ok"]);
    }
    // Neither key: the folders tell.
    let venv = Venv::make();
    venv.configure(|line| if line.starts_with("version") { String::new() } else { line.to_owned() });
    let lib = Path::new(&venv.root()).join("lib");
    fs::rename(lib.join(format!("python{}", base().name)), lib.join("python3.4")).unwrap();
    let lines = Probe::new([format!("home {}", venv.root()), "start".to_owned()]).run().lines;
    assert!(lines[0].contains("is of Python 3.4, but"), "{lines:?}");
}

#[test]
fn a_virtualenv_whose_python_is_gone_is_one_sentence() {
    let venv = Venv::make();
    venv.configure(|line| if line.starts_with("home") { "home = /nowhere/bin".to_owned() } else { line.to_owned() });
    let lines = Probe::new([format!("home {}", venv.root()), "start".to_owned()]).run().lines;
    let sentence = format!(
        "start: the Python home {:?} is broken: it was made with the Python {} in \"/nowhere/bin\", which is gone: make it anew",
        venv.root(),
        base().name
    );
    assert_eq!(lines, [sentence]);

    // What cannot be looked at need not be gone. For root that is a link to itself, for others a folder of somebody else's.
    let circle = Path::new(&venv.root()).join("circle");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    venv.configure(|line| if line.starts_with("home") { format!("home = {}", circle.display()) } else { line.to_owned() });
    let lines = Probe::new([format!("home {}", venv.root()), "start".to_owned()]).run().lines;
    assert_eq!(
        lines,
        [format!("start: the Python home {:?} cannot be used: {circle:?}: Too many levels of symbolic links (os error 40)", venv.root())]
    );

    venv.configure(|line| if line.starts_with("home") { String::new() } else { line.to_owned() });
    let lines = Probe::new([format!("home {}", venv.root()), "start".to_owned()]).run().lines;
    assert!(lines[0].ends_with("is broken: its pyvenv.cfg has no line \"home = DIRECTORY\": make it anew"), "{lines:?}");

    let venv = Venv::make();
    fs::remove_dir_all(Path::new(&venv.root()).join("lib")).unwrap();
    fs::remove_file(Path::new(&venv.root()).join("lib64")).ok();
    let lines = Probe::new([format!("home {}", venv.root()), "start".to_owned()]).run().lines;
    assert!(lines[0].ends_with(&format!("is broken: it has no lib/python{}: make it anew", base().name)), "{lines:?}");
}

#[test]
fn a_wrong_pythonhome_is_an_error_and_no_abort() {
    let lines = Probe::new(["start"]).env("PYTHONHOME", "/nowhere").run().lines;
    assert_eq!(lines, ["start: the Python home \"/nowhere\" (from the environment variable PYTHONHOME) does not exist"]);
    let empty = TempDir::new().unwrap();
    let lines = Probe::new(["start"]).env("PYTHONHOME", empty.path()).run().lines;
    assert!(lines[0].contains("(from the environment variable PYTHONHOME) is neither a virtualenv"), "{lines:?}");
    // A right one works as ever.
    let lines = Probe::new(["start", "eval sys.prefix", "eval sys.executable"]).env("PYTHONHOME", &base().prefix).run().lines;
    assert_eq!(lines, ["start: ok", &base().prefix, &format!("{}/bin/python{}", base().prefix, base().name)]);
    // But not together with a virtualenv, which Python would ignore.
    let venv = Venv::make();
    let lines = Probe::new([format!("home {}", venv.root()), "start".to_owned()]).env("PYTHONHOME", &base().prefix).run().lines;
    let sentence = format!(
        "start: the Python home {:?} cannot be used while the environment variable PYTHONHOME is set (to {:?}), which overrides it: unset \
         PYTHONHOME",
        venv.root(),
        base().prefix
    );
    assert_eq!(lines, [sentence]);
}

#[test]
fn what_cpython_itself_refuses_is_an_error_and_no_abort() {
    for (name, value, reason) in [
        ("PYTHONHASHSEED", "many", "PYTHONHASHSEED must be"),
        ("PYTHONMALLOC", "fast", "PYTHONMALLOC"),
        ("PYTHONPLATLIBDIR", "nowhere", "library was not found"),
    ] {
        let lines = Probe::new(["start", "start"]).env(name, value).run().lines;
        assert!(lines[0].starts_with("start: Python did not start: ") && lines[0].contains(reason), "{name}: {lines:?}");
        assert_eq!(lines[0], lines[1], "{name}: the reason must be kept");
    }
}

#[test]
fn a_python_that_runs_already_is_respected() {
    let venv = Venv::make();
    let prefix = &base().prefix;
    let lines = Probe::new([
        "initialise",
        "path /usr",
        "start",
        "eval sys.path[0]",
        "eval sys.argv",
        &format!("home {}", venv.root()),
        "start",
        "reset",
        &format!("home {prefix}"),
        "start",
        "exec import atexit; atexit.register(print, 'too early')",
        "stop 1000",
    ])
    .run();
    let refused =
        format!("start: Python already runs in this process with the prefix {prefix:?}: it cannot be given the home {:?}", venv.root());
    assert_eq!(lines.lines, ["start: ok", "/usr", "['']", &refused, "start: ok", "stop: []"]);
    assert!(!String::from_utf8_lossy(&lines.output.stdout).contains("too early"));
}

#[test]
fn a_second_start_gives_the_same_python() {
    let lines = Probe::new(["start", "path /usr", "start", "eval sys.path[0]", "home /usr/share", "start"]).run().lines;
    assert_eq!(lines[..3], ["start: ok", "start: ok", "/usr"]);
    assert!(lines[3].starts_with("start: Python already runs in this process"), "{lines:?}");
}

#[test]
fn information_for_the_start_up_line() {
    let venv = Venv::make();
    let lines =
        Probe::new([&format!("home {}", venv.root()), "start", "about", "eval '.'.join(map(str, sys.version_info[:3]))"]).run().lines;
    let expected = format!("{0} {1}/bin/python {1} {2}", lines[2], venv.root(), base().prefix);
    assert_eq!(lines[1], expected);
}

// ---- load

#[test]
fn applications_are_found_in_modules_and_files() {
    let site = Site::new(&[
        ("mysite/__init__.py", ""),
        ("mysite/wsgi.py", "def application(environ, start_response): pass\nclass Site:\n    app = application\n"),
        ("factories.py", "def make_app(): return lambda environ, start_response: []\n"),
        (
            "plain/app.wsgi",
            "import sys\nassert sys.modules[__name__].__file__ == __file__\ndef application(e, s): pass\nother = application\n",
        ),
        ("plain-2/app.wsgi", "count = 0\ndef application(e, s): pass\n"),
    ]);
    let lines = site.probe(&[
        "load mysite.wsgi",
        "load mysite.wsgi:application",
        "load mysite.wsgi:Site.app",
        "load factories:make_app()",
        "file plain/app.wsgi application",
        "file plain/app.wsgi other",
        "file plain-2/app.wsgi application",
        "eval ' '.join(sorted(name for name in sys.modules if name.startswith('wsgi_file_')))",
        "eval [name for name in __import__('os').listdir('plain')]",
    ]);
    assert_eq!(lines[..7], ["ok"; 7]);
    let root = site.root().replace(|character: char| !character.is_ascii_alphanumeric(), "_");
    assert_eq!(lines[7], format!("wsgi_file_{root}_plain_2_app_wsgi wsgi_file_{root}_plain_app_wsgi"));
    // No compiled code is left where that of app.py belongs.
    assert_eq!(lines[8], "['app.wsgi']");
}

#[test]
fn a_module_that_is_not_there_is_told_with_what_was_searched() {
    let site = Site::new(&[("mysite/__init__.py", ""), ("single.py", "")]);
    let lines = site.probe(&["load nosite.wsgi:app", "load mysite.wsgi", "load single.wsgi"]);
    let root = site.root();
    assert!(
        lines[0].starts_with(&format!("cannot import \"nosite.wsgi:app\": no module named \"nosite\" (searched: {root}")),
        "{}",
        lines[0]
    );
    assert!(!lines[0].contains("lib-dynload") && !lines[0].contains(".zip"), "{}", lines[0]);
    assert!(lines[1].starts_with("cannot import \"mysite.wsgi\": no module named \"mysite.wsgi\" (searched: "), "{}", lines[1]);
    assert!(lines[2].starts_with("cannot import \"single.wsgi\": no module named \"single.wsgi\""), "{}", lines[2]);
    assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
}

#[test]
fn a_missing_module_of_the_applications_own_is_the_applications_mistake() {
    let site = Site::new(&[
        ("mysite/__init__.py", ""),
        ("mysite/wsgi.py", "import mysite.settings\n"),
        ("plain.py", "import neighbour\n"),
        ("sub/app.py", "import helper\n"),
        ("sub/helper.py", ""),
    ]);
    let lines = site.probe(&["load mysite.wsgi", "load plain", "file sub/app.py application"]);
    let (sentence, traceback) = lines[0].split_once('\n').unwrap();
    let expected = "cannot import \"mysite.wsgi\": it raised ModuleNotFoundError: No module named 'mysite.settings' (searched: ";
    assert!(sentence.starts_with(&format!("{expected}{}", site.root())), "{sentence}");
    assert!(traceback.starts_with("Traceback (most recent call last):\n"), "{traceback}");
    assert!(traceback.contains("mysite/wsgi.py\", line 1"), "{traceback}");
    assert!(!traceback.contains("importlib"), "{traceback}");
    assert!(lines[1].contains("No module named 'neighbour' (searched: "), "{}", lines[1]);
    let hint =
        format!(": \"helper\" lies beside the file, in a folder that is not searched: add \"{}/sub\" to the Python path\n", site.root());
    assert!(lines[2].contains(&hint), "{}", lines[2]);
}

#[test]
fn a_missing_callable_is_told_with_those_that_are_there() {
    let site = Site::new(&[
        (
            "web.py",
            "from os.path import join\nfrom collections import OrderedDict\nclass App:\n    def __call__(self, environ, start_response): pass\n\
         def one(a): pass\ndef site(environ, start_response): pass\napp = App()\ndef create_app(): return app\nnumber = 3\nsecond = App()\n",
        ),
        ("empty.py", ""),
    ]);
    let lines = site.probe(&[
        "load web",
        "load web:app.nothing",
        "load empty",
        "load web:number",
        "load web:one()",
        "load web:number()",
        "file web.py application",
    ]);
    let mean = "did you mean app, create_app(), site, second?";
    assert_eq!(lines[0], format!("cannot import \"web\": module \"web\" has no attribute \"application\": {mean}"));
    assert_eq!(lines[1], "cannot import \"web:app.nothing\": \"app\" has no attribute \"nothing\"");
    assert_eq!(lines[2], "cannot import \"empty\": module \"empty\" has no attribute \"application\"");
    assert_eq!(lines[3], "cannot use \"web:number\": \"number\" is an int and cannot be called");
    assert!(lines[4].starts_with("cannot import \"web:one()\": it raised TypeError: one() missing 1 required"), "{}", lines[4]);
    assert_eq!(lines[5], "cannot use \"web:number()\": \"number\" is an int and cannot be called");
    assert_eq!(lines[6], format!("cannot import \"web.py\": the file has no attribute \"application\": {mean}"));
}

#[test]
fn what_is_no_wsgi_application_is_told() {
    let site = Site::new(&[(
        "web.py",
        "async def application(scope, receive, send): pass\nclass Fast:\n    async def __call__(self, scope, receive, send): pass\napp = Fast()\n\
         def make(): return None\n",
    )]);
    let lines = site.probe(&["load web", "load web:app", "load web:make()"]);
    assert_eq!(lines[0], "cannot use \"web\": \"application\" is an asynchronous (ASGI) application, expected a WSGI application");
    assert_eq!(lines[1], "cannot use \"web:app\": \"app\" is an asynchronous (ASGI) application, expected a WSGI application");
    assert_eq!(lines[2], "cannot use \"web:make()\": what make() returned is None and cannot be called");
}

#[test]
fn what_the_application_raises_is_in_the_error_with_its_traceback() {
    let site = Site::new(&[
        ("broken.py", "def inner():\n    raise ValueError('no\\nmore')\ninner()\n"),
        ("syntax.py", "def application(:\n"),
        ("leaves.py", "import sys\nsys.exit('not today')\n"),
        ("leaves_quietly.py", "raise SystemExit\n"),
        ("interrupted.py", "raise KeyboardInterrupt\n"),
        ("surrogate.py", "raise ValueError('\\udc80')\n"),
        ("chained.py", "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise LookupError('second')\n"),
    ]);
    let lines = site.probe(&[
        "load broken",
        "load syntax",
        "load leaves",
        "load leaves_quietly",
        "load interrupted",
        "load surrogate",
        "load chained",
        "file broken.py application",
        "eval [name for name in sys.modules if 'broken' in name]",
        "load broken",
    ]);
    assert!(lines[0].starts_with("cannot import \"broken\": it raised ValueError: no\nTraceback"), "{}", lines[0]);
    assert!(lines[0].contains("broken.py\", line 2, in inner\n"), "{}", lines[0]);
    assert!(
        lines[1].starts_with("cannot import \"syntax\": it raised SyntaxError: ") && lines[1].contains("syntax.py\", line 1"),
        "{}",
        lines[1]
    );
    assert!(lines[2].starts_with("cannot import \"leaves\": it ended with SystemExit (not today)\nTraceback"), "{}", lines[2]);
    assert!(lines[3].starts_with("cannot import \"leaves_quietly\": it ended with SystemExit\nTraceback"), "{}", lines[3]);
    assert!(lines[4].starts_with("cannot import \"interrupted\": it raised KeyboardInterrupt\nTraceback"), "{}", lines[4]);
    assert!(lines[5].starts_with("cannot import \"surrogate\": it raised ValueError"), "{}", lines[5]);
    assert!(lines[6].contains("ZeroDivisionError") && lines[6].contains("LookupError: second"), "{}", lines[6]);
    assert!(lines[7].starts_with("cannot import \"broken.py\": it raised ValueError: no\nTraceback"), "{}", lines[7]);
    assert_eq!(lines[8], "[]");
    assert_eq!(lines[9], lines[0]);
}

#[test]
fn text_that_names_no_application_is_told() {
    let site = Site::new(&[("web.py", "")]);
    let lines =
        site.probe(&["load web.py", "load ./web.py:app", "load web:", "load :app", "load web:app(1)", "load my-site", "load web:a:b"]);
    assert_eq!(
        lines[0],
        "\"web.py\" does not name an application: \"web.py\" is a file, expected the name of a module such as mysite.wsgi"
    );
    assert_eq!(
        lines[1],
        "\"./web.py:app\" does not name an application: \"./web.py\" is a file, expected the name of a module such as mysite.wsgi"
    );
    assert_eq!(
        lines[2],
        "\"web:\" does not name an application: \"\" is not a callable: expected NAME, NAME.NAME or FACTORY() without arguments"
    );
    for (line, bad) in
        lines[3..].iter().zip(["\"\" is not the name", "\"app(1)\" is not a callable", "\"my-site\" is not the", "\"a:b\" is not a"])
    {
        assert!(line.contains(bad), "{line}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let site = Site::new(&[("secret.py", "")]);
    let lines = site.probe(&["file none.py application", "file . application"]);
    assert_eq!(lines[0], "cannot read \"none.py\": No such file or directory (os error 2)");
    assert_eq!(lines[1], "cannot read \".\": Is a directory (os error 21)");
    let secret = Path::new(&site.root()).join("secret.py");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    // The super-user reads everything.
    if fs::read(&secret).is_err() {
        assert_eq!(site.probe(&["file secret.py application"]), ["cannot read \"secret.py\": Permission denied (os error 13)"]);
    }
}

// ---- stop

#[test]
fn the_end_waits_for_threads_then_runs_atexit_then_flushes() {
    let code = r#"exec
import atexit, threading, sys, concurrent.futures
sys.stdout.reconfigure(line_buffering=False)
print()
def work():
    threading.main_thread().join()
    print('thread ended')
threading.Thread(target=work).start()
pool = concurrent.futures.ThreadPoolExecutor(2)
pool.submit(print, 'pool used').result()
atexit.register(print, 'first registered')
atexit.register(print, 'last registered')
"#;
    let answers = Probe::new(["start", &code.replace('\n', "\x1f"), "stop 20000", "stop 20000", "crash"]).expect_death().run();
    assert_eq!(answers.lines, ["start: ok", "stop: []", "stop: []"]);
    let output = String::from_utf8_lossy(&answers.output.stdout).into_owned();
    let printed: Vec<&str> =
        output.lines().filter(|line| ["pool", "thread", "first", "last"].iter().any(|word| line.starts_with(word))).collect();
    assert_eq!(printed, ["pool used", "thread ended", "last registered", "first registered"]);
}

#[test]
fn threads_that_do_not_end_are_named_and_do_not_hold_the_end_up() {
    let code = r#"exec
import atexit, threading
forever = threading.Event()
threading.Thread(target=forever.wait, name='stuck-1').start()
threading.Thread(target=forever.wait, name='stuck-2').start()
threading.Thread(target=forever.wait, name='a daemon', daemon=True).start()
atexit.register(print, 'still called', flush=True)
"#;
    let started = Instant::now();
    let answers = Probe::new(["start", &code.replace('\n', "\x1f"), "stop 200"]).run();
    assert_eq!(answers.lines, ["start: ok", "stop: [\"stuck-1\", \"stuck-2\"]"]);
    assert!(String::from_utf8_lossy(&answers.output.stdout).contains("still called"));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn signal_handlers_and_failing_callbacks_do_not_disturb_the_end() {
    let code = r#"exec
import atexit, os, signal, threading
told = threading.Event()
def handler(*a):
    told.set()
    raise SystemExit(3)
signal.signal(signal.SIGUSR1, handler)
threading.Thread(target=told.wait).start()
atexit.register(print, 'reached', flush=True)
atexit.register(lambda: 1 / 0)
"#;
    let answers = Probe::new(["start", &code.replace('\n', "\x1f"), "raise USR1", "stop 20000"]).run();
    assert_eq!(answers.lines, ["start: ok", "stop: []"]);
    assert!(String::from_utf8_lossy(&answers.output.stdout).contains("reached"));
    assert!(String::from_utf8_lossy(&answers.output.stderr).contains("ZeroDivisionError"));
}

// ---- the probe

/// Not a test by itself: carries out a script in a process of its own.
#[test]
fn probe() {
    let (Ok(script), Some(answers)) = (std::env::var("WSGI_PROBE_SCRIPT"), std::env::var_os("WSGI_PROBE_ANSWERS")) else { return };
    let mut text = String::new();
    let mut builder = Interpreter::builder();
    let mut interpreter = None;
    for line in script.lines() {
        let (verb, rest) = line.split_once([' ', '\x1f']).unwrap_or((line, ""));
        let answer = match verb {
            "reset" => {
                builder = Interpreter::builder();
                None
            }
            "home" | "path" | "chdir" | "argv" => {
                builder = configure(builder, verb, rest);
                None
            }
            "initialise" => {
                Python::initialize();
                None
            }
            "start" => Some(match builder.clone().start() {
                Ok(started) => {
                    interpreter.get_or_insert(started);
                    "start: ok".to_owned()
                }
                Err(error) => format!("start: {error:?}"),
            }),
            "exec" => {
                run(rest);
                None
            }
            "eval" => Some(evaluate(rest)),
            "raise" => {
                let status = Command::new("kill").args(["-s", rest, &std::process::id().to_string()]).status().unwrap();
                assert!(status.success());
                None
            }
            // Ends without any clean-up of ours or the C library's.
            "crash" => {
                fs::write(&answers, &text).unwrap();
                std::process::abort();
            }
            _ => Some(ask(interpreter.as_ref().unwrap(), verb, rest)),
        };
        if let Some(answer) = answer {
            text += &answer;
            text.push('\x1e');
            fs::write(&answers, &text).unwrap();
        }
    }
    // As a program that has nothing left to do: threads that still run go with it.
    std::process::exit(0);
}

fn configure(builder: InterpreterBuilder, verb: &str, rest: &str) -> InterpreterBuilder {
    match verb {
        "home" => builder.home(rest),
        "path" => builder.python_path(rest),
        "chdir" => builder.chdir(rest),
        _ => builder.argv(rest.split(' ')),
    }
}

fn ask(interpreter: &Interpreter, verb: &str, rest: &str) -> String {
    match verb {
        "load" => interpreter.load(rest).map_or_else(|error| format!("{error:?}"), |_| "ok".to_owned()),
        "file" => {
            let (path, callable) = rest.rsplit_once(' ').unwrap();
            interpreter.load_file(path, callable).map_or_else(|error| format!("{error:?}"), |_| "ok".to_owned())
        }
        "stop" => format!("stop: {:?}", interpreter.stop(Duration::from_millis(rest.parse().unwrap()))),
        "about" => {
            let executable = interpreter.executable().unwrap_or(Path::new("-")).display();
            format!("{} {executable} {} {}", interpreter.version(), interpreter.prefix().display(), interpreter.base_prefix().display())
        }
        other => panic!("unknown verb {other}"),
    }
}

fn run(code: &str) {
    let code = std::ffi::CString::new(code.replace('\x1f', "\n")).unwrap();
    Python::attach(|py| py.run(&code, None, None).inspect_err(|error| error.print(py)).unwrap());
}

fn evaluate(expression: &str) -> String {
    let expression = std::ffi::CString::new(expression).unwrap();
    Python::attach(|py| {
        let globals = py.import("__main__").unwrap().dict();
        globals.set_item("sys", py.import("sys").unwrap()).unwrap();
        let value = py.eval(&expression, Some(&globals), None::<&Bound<'_, PyDict>>).inspect_err(|error| error.print(py)).unwrap();
        value.str().unwrap().to_string()
    })
}

struct Probe {
    script: String,
    environment: BTreeMap<String, OsString>,
    bare: bool,
    dies: bool,
}

struct Answers {
    lines: Vec<String>,
    output: Output,
}

impl Probe {
    fn new<S: AsRef<str>>(script: impl IntoIterator<Item = S>) -> Probe {
        let script = script.into_iter().map(|line| line.as_ref().to_owned()).collect::<Vec<_>>().join("\n");
        Probe { script, environment: BTreeMap::new(), bare: false, dies: false }
    }

    fn env(mut self, name: &str, value: impl Into<OsString>) -> Probe {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// With an environment that holds nothing but what this probe needs.
    fn bare(mut self) -> Probe {
        self.bare = true;
        self
    }

    fn expect_death(mut self) -> Probe {
        self.dies = true;
        self
    }

    fn run(self) -> Answers {
        let folder = TempDir::new().unwrap();
        let answers = folder.path().join("answers");
        // A test run in the background of a shell ignores SIGINT, and its children would too.
        let mut command = Command::new("/usr/bin/env");
        command.arg("--default-signal=INT").arg(std::env::current_exe().unwrap());
        command.args(["probe", "--exact", "--nocapture", "--test-threads=1"]);
        if self.bare {
            command.env_clear();
        }
        // Cargo's own LD_LIBRARY_PATH would hide a program that does not find libpython by itself.
        for name in ["LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONUTF8", "LC_ALL"] {
            command.env_remove(name);
        }
        command.env("WSGI_PROBE_SCRIPT", &self.script).env("WSGI_PROBE_ANSWERS", &answers).envs(&self.environment);
        let output = command.output().unwrap();
        let lines: Vec<String> = fs::read_to_string(&answers).unwrap_or_default().split_terminator('\x1e').map(ToOwned::to_owned).collect();
        let shown = || format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() != self.dies, "the probe ended with {}: {lines:?}\n{}", output.status, shown());
        Answers { lines, output }
    }
}

/// The Python that this test is linked with.
struct Base {
    prefix: String,
    /// `3.11`.
    name: String,
    version: String,
}

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let lines = Probe::new(["start", "eval sys.base_prefix", "eval '%d.%d' % sys.version_info[:2]", "about"]).bare().run().lines;
        let version = lines[3].split(' ').next().unwrap().to_owned();
        Base { prefix: lines[1].clone(), name: lines[2].clone(), version }
    })
}

/// A virtualenv in a temporary folder.
struct Venv {
    folder: TempDir,
}

impl Venv {
    fn make() -> Venv {
        let venv = Venv { folder: TempDir::new().unwrap() };
        let python = format!("{}/bin/python{}", base().prefix, base().name);
        let output = Command::new(&python).args(["-m", "venv", "--without-pip", &venv.root()]).output().unwrap();
        assert!(output.status.success(), "{python} makes no virtualenv: {}", String::from_utf8_lossy(&output.stderr));
        // Some distributions leave it out.
        let plain = Path::new(&venv.root()).join("bin/python");
        if !plain.exists() {
            symlink(&python, plain).unwrap();
        }
        venv
    }

    fn root(&self) -> String {
        self.folder.path().canonicalize().unwrap().join("venv").to_str().unwrap().to_owned()
    }

    fn install(&self, name: &str, source: &str) {
        fs::write(format!("{}/lib/python{}/site-packages/{name}", self.root(), base().name), source).unwrap();
    }

    fn configure(&self, change: impl Fn(&str) -> String) {
        let path = PathBuf::from(self.root()).join("pyvenv.cfg");
        let text: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(change).collect();
        fs::write(path, text.join("\n")).unwrap();
    }
}

/// A folder of Python files.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new(files: &[(&str, &str)]) -> Site {
        let folder = TempDir::new().unwrap();
        for (name, source) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, source).unwrap();
        }
        Site { folder }
    }

    fn root(&self) -> String {
        self.folder.path().canonicalize().unwrap().to_str().unwrap().to_owned()
    }

    /// The answers to a script that is carried out in this folder.
    fn probe(&self, script: &[&str]) -> Vec<String> {
        let first = [format!("chdir {}", self.root()), "start".to_owned()];
        let script = first.iter().map(String::as_str).chain(script.iter().copied());
        let lines = Probe::new(script).run().lines;
        assert_eq!(lines[0], "start: ok");
        lines[1..].to_vec()
    }
}
