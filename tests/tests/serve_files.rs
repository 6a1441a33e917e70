//! Static files of the `serve` program, asked for by curl as people and scripts do.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use wsgi_tests::browser::Browser;
use wsgi_tests::client::Wire;
use wsgi_tests::column::{Conversation, Request};
use wsgi_tests::fixture::apps;
use wsgi_tests::front::installed;
use wsgi_tests::process::Process;

/// A server with files, and a folder for what is fetched.
struct Site {
    process: Process,
    folder: tempfile::TempDir,
}

impl Site {
    /// Serves `site/` of a folder that `fill` fills, with these options; nothing where there is no curl.
    fn new(fill: impl FnOnce(&Path), options: &[&str]) -> Option<Site> {
        if !installed("curl", "curl") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("site")).expect("a folder");
        fill(&folder.path().join("site"));
        let map = format!("/static={}", folder.path().join("site").display());
        let mut command = Process::serve_command(["--http", "127.0.0.1:0", "--module", "hello", "--threads", "2", "--static-map", &map]);
        command.arg("--chdir").arg(apps()).args(options);
        let mut process = Process::start(command);
        process.address();
        Some(Site { process, folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Asks by curl, and gives the status and what came of the file.
    fn curl(&self, target: &str, options: &[&str]) -> (u16, Vec<u8>) {
        let output = self.path("output");
        let said = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "60", "--write-out", "%{http_code}", "--output"])
            .arg(&output)
            .args(options)
            .arg(format!("http://{}{target}", self.process.address_again()))
            .output()
            .expect("curl");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let code = String::from_utf8_lossy(&said.stdout).parse().expect("a status");
        let body = fs::read(&output).unwrap_or_default();
        let _ = fs::remove_file(output);
        (code, body)
    }
}

/// A file that has been there for long.
fn settled(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).expect("a file");
    File::options().write(true).open(path).and_then(|file| file.set_modified(then())).expect("a time");
}

fn then() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}

#[test]
fn parts_are_fetched_and_downloads_resumed() {
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n / 5) as u8).collect();
    let Some(site) = Site::new(|folder| settled(&folder.join("film.mp4"), &content), &[]) else { return };
    assert!(site.curl("/static/film.mp4", &[]) == (200, content.clone()));
    assert!(site.curl("/static/film.mp4", &["--range", "100-199"]) == (206, content[100..200].to_vec()));
    assert!(site.curl("/static/film.mp4", &["--range", "-7"]) == (206, content[content.len() - 7..].to_vec()));
    let (code, parts) = site.curl("/static/film.mp4", &["--range", "0-3,10-13"]);
    assert!(code == 206 && String::from_utf8_lossy(&parts).contains("Content-Range: bytes 10-13/3000000"));
    assert_eq!(site.curl("/static/film.mp4", &["--range", "3000000-"]).0, 416);
    // A part is there already; curl asks for the rest, and puts it behind.
    fs::write(site.path("output"), &content[..1_234_567]).unwrap();
    assert!(site.curl("/static/film.mp4", &["--continue-at", "-"]) == (206, content));
    // curl knows the size from `HEAD`, and that nothing follows.
    let (code, head) = site.curl("/static/film.mp4", &["--head"]);
    assert!(code == 200 && String::from_utf8_lossy(&head).contains("Content-Length: 3000000\r\n"));
}

#[test]
fn a_copy_is_fetched_again_only_when_the_file_has_changed() {
    let Some(site) = Site::new(|folder| settled(&folder.join("a.css"), "one"), &[]) else { return };
    let tag = site.path("tag");
    let tag = tag.to_str().unwrap();
    assert_eq!(site.curl("/static/a.css", &["--etag-save", tag]), (200, b"one".to_vec()));
    assert_eq!(site.curl("/static/a.css", &["--etag-compare", tag]).0, 304);
    assert_eq!(site.curl("/static/a.css", &["--time-cond", "Sun, 09 Sep 2001 01:46:40 GMT"]).0, 304);
    assert_eq!(site.curl("/static/a.css", &["--time-cond", "Sun, 09 Sep 2001 01:46:39 GMT"]), (200, b"one".to_vec()));
    fs::write(site.path("site/a.css"), "two").unwrap();
    assert_eq!(site.curl("/static/a.css", &["--etag-compare", tag]), (200, b"two".to_vec()));
    assert_eq!(site.curl("/static/a.css", &["--time-cond", "Sun, 09 Sep 2001 01:46:40 GMT"]), (200, b"two".to_vec()));
}

#[test]
fn a_compressed_file_is_undone_by_curl() {
    if !installed("gzip", "gzip") {
        return;
    }
    let text = "a { color: red }\n".repeat(1000);
    let fill = |folder: &Path| {
        settled(&folder.join("a.css"), &text);
        assert!(Command::new("gzip").arg("--keep").arg(folder.join("a.css")).status().expect("gzip").success());
    };
    let Some(site) = Site::new(fill, &[]) else { return };
    assert!(site.curl("/static/a.css", &["--compressed"]) == (200, text.clone().into_bytes()));
    let compressed = fs::read(site.path("site/a.css.gz")).unwrap();
    assert!(site.curl("/static/a.css", &["--header", "Accept-Encoding: gzip"]) == (200, compressed));
    assert!(site.curl("/static/a.css", &[]) == (200, text.into_bytes()));
}

#[test]
fn nothing_but_files_of_the_folder_is_fetched() {
    let fill = |folder: &Path| {
        settled(&folder.join("a"), "inner");
        fs::create_dir(folder.join("docs")).unwrap();
        settled(&folder.join("docs/index.html"), "index");
        settled(&folder.parent().unwrap().join("secret"), "outer");
        std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
    };
    let Some(mut site) = Site::new(fill, &["--static-index", "index.html"]) else { return };
    let application = (200, b"Hello, world!\n".to_vec());
    for target in ["/static/../secret", "/static/%2e%2e/secret", "/static/%2e%2e%2fsecret", "/static/link", "/static/none", "/"] {
        assert_eq!(site.curl(target, &["--path-as-is"]), application, "{target}");
    }
    // Why it is not there is told to the operator, once.
    site.process.line_with("a symbolic link leads to");
    assert_eq!(site.process.stderr().matches("a symbolic link leads to").count(), 1);
    assert_eq!(site.curl("/static/docs", &["--location"]), (200, b"index".to_vec()));
    assert_eq!(site.curl("/static/a", &["--request", "POST", "--data", "x"]).0, 405);
}

#[test]
fn more_slow_readers_than_threads_keep_no_application_from_answering() {
    let fill = |folder: &Path| File::create(folder.join("large")).and_then(|file| file.set_len(64 << 20)).unwrap();
    let Some(site) = Site::new(fill, &[]) else { return };
    let address = site.process.address_again();
    let slow: Vec<Wire> = (0..10)
        .map(|_| {
            let mut wire = Wire::tcp(address).unwrap();
            wire.send(&Request::get("/static/large").field("Host", "x")).unwrap();
            assert_eq!(wire.head().unwrap().code, 200);
            wire
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(Browser::new(address).get("/").text(), "Hello, world!\n");
    }
    drop(slow);
}

#[test]
fn options_say_where_files_are_and_how_long_they_keep() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["public/robots.txt", "whole/media/a.foo", "public/.env", "public/x.php", "linked/b.css", "public/c.js"] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        settled(&path, name);
    }
    std::os::unix::fs::symlink("../linked/b.css", folder.path().join("public/b.css")).unwrap();
    fs::write(folder.path().join("types"), "# types\ntext/x-foo foo bar\n").unwrap();
    let mut command = Process::serve_command(["--http", "127.0.0.1:0", "--module", "hello", "--pythonpath"]);
    command.arg(apps()).arg("--chdir");
    // Relative paths count from --chdir.
    command.arg(folder.path()).args(["--check-static", "public", "--static-map2", "/media=whole", "--static-safe", "linked"]);
    command.args(["--static-dotfiles", "--static-skip-ext", "php", "--mimefile", "types"]);
    command.args(["--static-expires", r"public/.*\.css$ 10", "--static-expires-uri", r"\?long$ 20"]);
    command.args(["--static-expires-type", "application/javascript=30", "--static-expires-mtime", r"\.foo$ 3000000000"]);
    command.args(["--static-expires-path-info-mtime", "^/robots 1"]);
    let mut process = Process::start(command);
    let mut browser = Browser::new(process.address());
    for (target, text, age) in [
        ("/robots.txt", "public/robots.txt", Some("max-age=0")),
        ("/robots.txt?long", "public/robots.txt", Some("max-age=20")),
        ("/.env", "public/.env", None),
        ("/b.css", "linked/b.css", Some("max-age=10")),
        ("/c.js", "public/c.js", Some("max-age=30")),
        ("/x.php", "Hello, world!\n", None),
        ("/none", "Hello, world!\n", None),
    ] {
        let seen = browser.get(target);
        assert_eq!((seen.text().as_str(), seen.field("cache-control")), (text, age), "{target}");
    }
    let seen = browser.get("/media/a.foo");
    assert_eq!((seen.text().as_str(), seen.field("content-type")), ("whole/media/a.foo", Some("text/x-foo; charset=utf-8")));
    for line in ["files from public", "files at /media from whole/media"] {
        process.line_with(line);
    }
    fs::write(folder.path().join("types"), "text/css css\nnonsense foo\n").unwrap();
    let mut command = Process::serve_command(["--check-static", "public", "--mime-file", "types", "--chdir"]);
    command.arg(folder.path());
    let ended = Process::start(command).wait();
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("types, line 2: \"nonsense\" is not a type"), "{}", ended.stderr);
    // Text is given one, and there would be two.
    fs::write(folder.path().join("types"), "text/html;charset=koi8-r html\n").unwrap();
    let mut command = Process::serve_command(["--check-static", "public", "--mime-file", "types", "--chdir"]);
    command.arg(folder.path());
    let ended = Process::start(command).wait();
    assert!(ended.stderr.contains("types, line 1: \"text/html;charset=koi8-r\" is not a type"), "{}", ended.stderr);
}
