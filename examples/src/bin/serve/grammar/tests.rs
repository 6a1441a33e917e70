//! The grammar as its users meet it: files in, settings or one sentence out.

use std::fs;

use super::reader::Vocabulary;
use super::*;

/// A folder with files in it, and a world that stands there.
struct Folder(std::path::PathBuf);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Folder {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("serve-grammar-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            fs::write(folder.join(name), text).unwrap();
        }
        Folder(folder)
    }

    fn reader(&self, variables: &[(&str, &str)]) -> Reader {
        let mut world = World::here();
        world.directory = self.0.clone();
        world.variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Reader::new(world, VOCABULARY)
    }

    fn read(&self, file: &str) -> Result<Vec<Setting>, String> {
        let mut reader = self.reader(&[("HOME", "/root"), ("EMPTY", ""), ("NESTED", "%(base)/x")]);
        let read = reader.load(file, &Origin::Argument("--ini".to_owned()));
        read.and_then(|()| reader.finish()).map(|(settings, _)| settings).map_err(|fault| fault.to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const VOCABULARY: Vocabulary =
    Vocabulary { is_option: |key| ["http", "threads", "chdir"].contains(&key), has_own_placeholders: |key| key == "log-format" };

/// What is given, without what is only grammar.
fn given(settings: &[Setting]) -> Vec<(&str, &str)> {
    let given = settings.iter().filter(|setting| setting.kind == Kind::Given);
    given.map(|setting| (setting.key.as_str(), setting.value.to_str().unwrap())).collect()
}

#[track_caller]
fn reads(text: &str, expected: &[(&str, &str)]) {
    let settings = Folder::with(&[("x.ini", &format!("[uwsgi]\n{text}"))]).read("x.ini").unwrap();
    assert_eq!(given(&settings), expected);
}

#[track_caller]
fn fails(text: &str, sentence: &str) {
    let folder = Folder::with(&[("x.ini", &format!("[uwsgi]\n{text}"))]);
    assert_eq!(folder.read("x.ini").unwrap_err().replace(folder.0.to_str().unwrap(), "DIR"), sentence);
}

#[test]
fn keys_accumulate_and_each_knows_its_line() {
    let settings = Folder::with(&[("x.ini", "[uwsgi]\nhttp = :1\n\nhttp = :2\nmaster\n[other]\nhttp = :3\n")]).read("x.ini").unwrap();
    assert_eq!(given(&settings), [("http", ":1"), ("http", ":2"), ("master", "")]);
    let places: Vec<String> = settings.iter().map(|setting| setting.origin.shown(&setting.key)).collect();
    assert_eq!(places, ["x.ini:2: http", "x.ini:4: http", "x.ini:5: master"]);
}

#[test]
fn sections_are_chosen_and_included() {
    let folder = Folder::with(&[
        ("x.ini", "[uwsgi]\nini = :app\nthreads = 1\nini = conf/y.ini\nini = :more\n[app]\nhttp = :1\n[more]\nhttp = :wrong\n"),
        ("conf/y.ini", "[uwsgi]\nhttp = %n\n[more]\nhttp = :%x\n"),
    ]);
    // A section without a file is of the file that was named last, as uWSGI has it.
    assert_eq!(given(&folder.read("x.ini").unwrap()), [("http", ":1"), ("threads", "1"), ("http", "y"), ("http", ":more")]);
    assert_eq!(given(&folder.read("x.ini:app").unwrap()), [("http", ":1")]);
    // Heads of sections have magic variables too.
    let by_name = Folder::with(&[("x.ini", "[%n]\nhttp = :1\n[uwsgi]\nini = :x\n")]);
    assert_eq!(given(&by_name.read("x.ini").unwrap()), [("http", ":1")]);
    assert_eq!(folder.read("x.ini:none").unwrap_err(), "--ini: \"x.ini\" has no section [none]");
    assert_eq!(folder.read(":app").unwrap_err(), "--ini: \":app\" is a section of the ini file that was named before, and there is none");
}

#[test]
fn placeholders_are_of_any_key_from_anywhere() {
    reads("base = /srv\nchdir = %(base)/%(name)\nname = shop", &[("base", "/srv"), ("chdir", "/srv/shop"), ("name", "shop")]);
    reads("a = %(b)\nb = %(c)x\nc = 1", &[("a", "1x"), ("b", "1x"), ("c", "1")]);
    reads("set-ph = base = /srv\nset-placeholder=x=y\nchdir = %(base)/%(x)", &[("chdir", "/srv/y")]);
    reads("set = threads=4\nset = n=5\nhttp = :%(n)", &[("threads", "4"), ("http", ":5")]);
    reads("a = 1\na = 2\nb = %(a)", &[("a", "1"), ("a", "2"), ("b", "1")]);
    reads("n = 2\nthreads = %(n * 4)", &[("n", "2"), ("threads", "8")]);
    reads("base = /srv\nchdir = $(NESTED)", &[("base", "/srv"), ("chdir", "/srv/x")]);
    reads("log-format = %(addr) %(method)", &[("log-format", "%(addr) %(method)")]);
    fails("\nchdir = %(bsae)/x", "x.ini:3: nothing is called \"bsae\", for which chdir has the placeholder %(bsae)");
    fails("a = %(b)\nb = %(a)", "x.ini:2: the placeholder %(a) stands for itself");
    fails("a = %(b)\nb = %(b)", "x.ini:3: the placeholder %(b) stands for itself");
    fails("set-ph = threads=1", "x.ini:2: threads is an option, and cannot be a placeholder");
    fails("set-ph = threads", "x.ini:2: set-ph \"threads\": expected NAME=VALUE");
    fails("chdir = %z", "x.ini:2: %z stands for nothing: write %% for a percent sign");
    fails("n = x\nthreads = %(n + 1)", "x.ini:3: \"x\" is not a number that can be counted with");
}

#[test]
fn environment_variables_and_files_are_put_in() {
    reads("chdir = $(HOME)/x", &[("chdir", "/root/x")]);
    reads("a = $(NONE:-b)|$(NONE-c)|$(EMPTY:-d)|$(EMPTY-e)|$(EMPTY)|$(HOME:-f)", &[("a", "b|c|d|||/root")]);
    reads("log-format = $(NONE) $(HOME)", &[("log-format", "$(NONE) /root")]);
    fails("a = $(NONE)", "x.ini:2: the variable NONE is not set, for which a has the placeholder $(NONE): $(NONE:-x) is x then");
    let folder = Folder::with(&[("x.ini", "[uwsgi]\nname = @(name.txt)\nother = @($(HOME).none)\n"), ("name.txt", "shop\n")]);
    assert_eq!(folder.read("x.ini").unwrap_err(), "x.ini:3: cannot read @(/root.none): No such file or directory (os error 2)");
    fs::write(folder.0.join("x.ini"), "[uwsgi]\nname = <@(name.txt)>\n").unwrap();
    assert_eq!(given(&folder.read("x.ini").unwrap()), [("name", "<shop>")]);
    fails("a = @(exec://id)", "x.ini:2: cannot read @(exec://id): expected the name of a file, for nothing else is read");
}

#[test]
fn variables_of_the_environment_are_settings() {
    let folder = Folder::with(&[("x.ini", "[uwsgi]\nthreads = 1\nhttp = :%(port)\n")]);
    let variables = [
        ("UWSGI_INI", "x.ini"),
        ("UWSGI_PORT", "80"),
        ("UWSGI_RELOADS", "3"),
        ("WSGI_SERVE_HEAD_TIMEOUT", "2"),
        ("OTHER", "1"),
        ("UWSGI_PROCESSES", "4"),
    ];
    let mut reader = folder.reader(&variables);
    reader.environment().unwrap();
    let (settings, used) = reader.finish().unwrap();
    assert_eq!(used.into_iter().collect::<Vec<_>>(), ["port"]);
    assert_eq!(given(&settings), [("threads", "1"), ("http", ":80"), ("port", "80"), ("processes", "4"), ("head-timeout", "2")]);
    let places: Vec<String> =
        settings.iter().filter(|setting| setting.kind == Kind::Given).map(|setting| setting.origin.shown(&setting.key)).collect();
    assert_eq!(places, ["x.ini:2: threads", "x.ini:3: http", "UWSGI_PORT", "UWSGI_PROCESSES", "WSGI_SERVE_HEAD_TIMEOUT"]);
    let ranks: Vec<u8> = settings.iter().map(|setting| setting.origin.rank()).collect();
    assert_eq!(ranks, [1, 0, 0, 1, 1, 2]);
}

#[test]
fn logic_repeats_and_decides() {
    reads("for = 1 2\nhttp = :%(_)\nb = %(_)\nendfor =\nc", &[("http", ":1"), ("http", ":2"), ("b", "1"), ("b", "2"), ("c", "")]);
    reads("if-env = HOME\na = %(_)\nelse\na = no\nendif\nb", &[("a", "/root"), ("b", "")]);
    reads("if-env = NONE\na = %(_)\nelse =\na = no\nendif\nb", &[("a", "no"), ("b", "")]);
    reads("base = x\nif-file = %(base).ini\na = 1\nendif", &[("base", "x"), ("a", "1")]);
    reads("threads = 4\nif-opt = threads=4\na = 1\nend", &[("threads", "4"), ("a", "1")]);
    let settings = Folder::with(&[("x.ini", "[uwsgi]\nif-env = NONE\na = %(nothing)\nendif\n")]).read("x.ini").unwrap();
    assert_eq!(settings[1].kind, Kind::Skipped(2));
    fails("for = a\nif-env = b", "x.ini:3: if-env is inside what begins at x.ini:2, and logic cannot be nested");
    fails("\nfor = a\nhttp = :1", "x.ini:3: what begins here has no end: write endif or endfor");
    fails("for-glob = *", "x.ini:2: for-glob is not supported: write the items out with for");
}

#[test]
fn an_included_file_stands_apart_from_the_block_around_it() {
    let folder = Folder::with(&[
        ("x.ini", "[uwsgi]\nif-env = HOME\nini = y.ini\na = %(_)\nendif\nif-env = NONE\nini = none.ini\nendif\n"),
        ("y.ini", "[uwsgi]\nfor = 1 2\nb = %(_)\nendfor\n"),
    ]);
    assert_eq!(given(&folder.read("x.ini").unwrap()), [("b", "1"), ("b", "2"), ("a", "/root")]);
}

#[test]
fn loops_of_includes_and_missing_files_are_told_with_their_line() {
    let folder = Folder::with(&[
        ("x.ini", "[uwsgi]\n\nini = y.ini\n"),
        ("y.ini", "[uwsgi]\ninclude = x.ini\n"),
        ("s.ini", "[uwsgi]\nini = :a\n[a]\nini = :b\n[b]\nini = :a\n"),
        ("m.ini", "[uwsgi]\nini = none.ini\n"),
        ("d/z.ini", "[uwsgi]\nini = w.ini\n"),
        ("d/w.ini", "[uwsgi]\n"),
        ("folder.ini/x", ""),
        ("broken.ini", "[uwsgi]\n[open\n"),
        ("other.ini", "threads = 4\n"),
        ("x.yaml", ""),
    ]);
    for (file, sentence) in [
        ("x.ini", "y.ini:2: files include each other in a loop: x.ini, y.ini, x.ini"),
        ("s.ini", "s.ini:6: files include each other in a loop: s.ini, s.ini:a, s.ini:b, s.ini:a"),
        ("m.ini", "m.ini:2: cannot read \"none.ini\": No such file or directory (os error 2)"),
        ("d/z.ini", "d/z.ini:2: cannot read \"w.ini\": No such file or directory (os error 2); there is \"d/w.ini\", which %dw.ini names"),
        ("none.ini", "--ini: cannot read \"none.ini\": No such file or directory (os error 2)"),
        ("folder.ini", "--ini: cannot read \"folder.ini\": it is a folder"),
        ("broken.ini", "broken.ini:2: a section begins with [ and ends with ]"),
        ("other.ini", "--ini: \"other.ini\" has no section [uwsgi]"),
        ("x.yaml", "--ini: cannot read \"x.yaml\": only ini and TOML files are understood"),
        ("-", "--ini: cannot read \"-\": expected the name of a file, for nothing else is read"),
        ("http://x/y.ini", "--ini: cannot read \"http://x/y.ini\": expected the name of a file, for nothing else is read"),
        ("", "--ini: expected the name of a file"),
    ] {
        assert_eq!(folder.read(file).unwrap_err(), sentence);
    }
    fs::write(folder.0.join("bytes.ini"), b"[uwsgi]\n\na = \xff\n").unwrap();
    assert_eq!(folder.read("bytes.ini").unwrap_err(), "bytes.ini:3: expected UTF-8");
    fs::write(folder.0.join("nul.ini"), b"[uwsgi]\na = \0\n").unwrap();
    assert_eq!(folder.read("nul.ini").unwrap_err(), "nul.ini:2: the value of a has a NUL byte");
    fs::write(folder.0.join("nul.toml"), "a = 1\nb = \"\\u0000\"\n").unwrap();
    assert_eq!(folder.read("nul.toml").unwrap_err(), "nul.toml:2: the value of b has a NUL byte");
}

/// uWSGI reads bytes: what an old editor wrote into a comment is no reason to refuse the file.
#[test]
fn comments_and_other_sections_need_not_be_utf_8() {
    let folder = Folder::with(&[]);
    fs::write(folder.0.join("x.ini"), b"; caf\xe9\n[uwsgi]\n# \xff\na = \xef\xbf\xbd\n[other \xe9]\nb = \xe9\n").unwrap();
    assert_eq!(given(&folder.read("x.ini").unwrap()), [("a", "\u{fffd}")]);
}

#[test]
fn toml_has_no_placeholders_and_may_include() {
    let folder = Folder::with(&[
        ("x.toml", "module = \"a%n$(HOME)\"\nhttp = [\":1\", \":2\"]\nini = \"y.ini\"\n[env]\nA = 1\n"),
        ("y.ini", "[uwsgi]\nb = $(HOME)\n"),
        ("bad.toml", "module = 1\nmodule = 2\n"),
        ("loop.toml", "config = 'loop.toml'\n"),
    ]);
    let expected = [("module", "a%n$(HOME)"), ("http", ":1"), ("http", ":2"), ("b", "/root"), ("env", "A=1")];
    assert_eq!(given(&folder.read("x.toml").unwrap()), expected);
    assert!(folder.read("bad.toml").unwrap_err().starts_with("bad.toml:2: duplicate key"), "{}", folder.read("bad.toml").unwrap_err());
    assert!(folder.read("loop.toml").unwrap_err().starts_with("loop.toml:1: files include each other in a loop"));
}

#[test]
fn growth_is_bounded() {
    let laughs: String = (0..30).map(|n| format!("a{n} = %(a{})%(a{})\n", n + 1, n + 1)).collect();
    let folder = Folder::with(&[("x.ini", &format!("[uwsgi]\n{laughs}a30 = ha\n"))]);
    assert!(folder.read("x.ini").unwrap_err().contains("the value becomes longer than 65536 bytes"));
    let chain: String = (0..60).map(|n| format!("a{n} = %(a{})\n", n + 1)).collect();
    let folder = Folder::with(&[("x.ini", &format!("[uwsgi]\n{chain}a60 = end\n"))]);
    assert!(folder.read("x.ini").unwrap_err().contains("more than 50 placeholders stand for each other"));
    let times: String = (0..20).map(|_| "for-times = 1000\nx = 1\nend\n").collect();
    let folder = Folder::with(&[("x.ini", &format!("[uwsgi]\n{times}"))]);
    assert!(folder.read("x.ini").unwrap_err().contains("more than 10000 settings"));
}

/// Any bytes give settings or a sentence, and end.
#[test]
fn no_bytes_bring_it_down() {
    const PIECES: &[&str] = &[
        "[uwsgi]",
        "\n",
        "\n",
        "\n",
        " = ",
        "=",
        "%",
        "%(",
        "$(",
        "@(",
        ")",
        "(",
        "a",
        "b",
        "ini",
        "x.ini",
        ":s",
        "[s]",
        "for",
        "endfor",
        "if-env",
        "if-not-opt",
        "else",
        "endif",
        "%n",
        "%p",
        "%[",
        "%%",
        "_",
        " ",
        "+",
        "++",
        "9",
        "/",
        "-",
        ":-",
        "\r",
        "#",
        ";",
        "ü",
        "\0",
        "set-ph",
        "set",
        "include",
        "for-times",
        "http",
        "log-format",
        "%(_)",
        "%(a)",
        "%(b)",
        "\u{feff}",
    ];
    let folder = Folder::with(&[]);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let (mut good, mut bad) = (0, 0);
    for round in 0..4000 {
        let mut bytes: Vec<u8> = b"[uwsgi]\n".to_vec();
        for _ in 0..next(40) {
            bytes.extend(PIECES[next(PIECES.len())].as_bytes());
        }
        if round % 4 == 0 {
            bytes.extend((0..next(30)).map(|_| u8::try_from(next(256)).unwrap()));
        }
        for file in ["x.ini", "x.toml"] {
            // To write over a file waits for the disk.
            let _ = fs::remove_file(folder.0.join(file));
            fs::write(folder.0.join(file), &bytes).unwrap();
            match folder.read(file) {
                Ok(_) => good += 1,
                Err(sentence) => {
                    assert!(!sentence.is_empty(), "{bytes:?}");
                    bad += 1;
                }
            }
        }
    }
    assert!(good > 100 && bad > 100, "{good} {bad}");
}
