//! Real frameworks, at the versions of `requirements.txt`, served by the real `serve` program.
//!
//! They are installed into an environment that the first of these tests makes (see `wsgi_tests::venv`). Where that is impossible and this is
//! not CI, the tests pass with a line that says what to install.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use wsgi_tests::browser::Browser;
use wsgi_tests::client::latin1;
use wsgi_tests::column::{Conversation, End, Request, Seen};
use wsgi_tests::fixture::sha256;
use wsgi_tests::process::Process;
use wsgi_tests::venv;

/// A framework's application, served by a process of its own.
struct Served {
    process: Process,
    browser: Browser,
    /// Where a site keeps its data.
    data: tempfile::TempDir,
}

/// Where the applications are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("frameworks")
}

/// Serves an application with the frameworks' environment; `None` if there is none.
fn serve<S: AsRef<OsStr>>(chdir: &Path, arguments: impl IntoIterator<Item = S>) -> Option<Served> {
    let home = venv::frameworks()?;
    let data = tempfile::tempdir().expect("a folder for data");
    Some(serve_with(home, data, chdir, arguments))
}

fn serve_with<S: AsRef<OsStr>>(home: &Path, data: tempfile::TempDir, chdir: &Path, arguments: impl IntoIterator<Item = S>) -> Served {
    let mut command = Process::serve_command(["--http", "127.0.0.1:0"]);
    command.arg("--chdir").arg(chdir).arg("--home").arg(home).args(arguments).env("SITE_DATA", data.path());
    let mut process = Process::start(command);
    let browser = Browser::new(process.address());
    Served { process, browser, data }
}

/// Serves the Django site, whose database is made first if it is wanted.
fn django(database: bool, arguments: &[&str]) -> Option<Served> {
    let home = venv::frameworks()?;
    let data = tempfile::tempdir().expect("a folder for data");
    if database {
        manage(home, &data, &["migrate", "--verbosity", "0"]);
        manage(home, &data, &["createsuperuser", "--noinput", "--username", "admin", "--email", "admin@example.test"]);
    }
    Some(serve_with(home, data, &project(), ["--module", "site_under_test.wsgi"].iter().chain(arguments)))
}

fn project() -> PathBuf {
    folder().join("django_project")
}

/// Runs a command of Django for the site.
fn manage(home: &Path, data: &tempfile::TempDir, arguments: &[&str]) {
    let mut command = Command::new(home.join("bin/python"));
    command.args(["-m", "django"]).args(arguments).current_dir(project());
    command.env("PYTHONPATH", project()).env("DJANGO_SETTINGS_MODULE", "site_under_test.settings").env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("SITE_DATA", data.path()).env("DJANGO_SUPERUSER_PASSWORD", "a long password");
    let output = command.output().expect("Django");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text}")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("no {after:?} in {rest}")).0
}

/// What a form of Django hides in itself against forgery.
fn token(page: &Seen) -> String {
    between(&page.text(), "name=\"csrfmiddlewaretoken\" value=\"", "\"").to_owned()
}

/// Bytes that look random, the same in each run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn django_admin_logs_in_adds_lists_and_logs_out() {
    let Some(mut site) = django(true, &["--threads", "4"]) else { return };
    let seen = site.browser.get("/admin/");
    assert_eq!((seen.code(), seen.field("location")), (302, Some("/admin/login/?next=/admin/")));
    let login = site.browser.get("/admin/login/?next=/admin/");
    assert_eq!(login.code(), 200);

    let wrong = site
        .browser
        .post("/admin/login/?next=/admin/", &[("csrfmiddlewaretoken", &token(&login)), ("username", "admin"), ("password", "no")]);
    assert_eq!(wrong.code(), 200);
    assert!(wrong.text().contains("Please enter the correct"), "{}", wrong.text());
    let token_again = token(&wrong);
    let fields =
        [("csrfmiddlewaretoken", token_again.as_str()), ("username", "admin"), ("password", "a long password"), ("next", "/admin/")];
    let right = site.browser.post("/admin/login/?next=/admin/", &fields);
    assert_eq!((right.code(), right.field("location")), (302, Some("/admin/")));
    assert!(site.browser.get("/admin/").text().contains("Site administration"));

    let form = site.browser.get("/admin/auth/group/add/");
    let fields = [("csrfmiddlewaretoken", &*token(&form)), ("name", "Reviewers \u{e9}\u{2603}"), ("_save", "Save")];
    let added = site.browser.post("/admin/auth/group/add/", &fields);
    assert_eq!((added.code(), added.field("location")), (302, Some("/admin/auth/group/")));
    let list = site.browser.get("/admin/auth/group/");
    assert!(String::from_utf8(list.body()).unwrap().contains("Reviewers \u{e9}\u{2603}"), "{}", list.text());

    let page = site.browser.get("/admin/");
    let out = site.browser.post("/admin/logout/", &[("csrfmiddlewaretoken", &token(&page))]);
    assert_eq!(out.code(), 200, "{}", out.text());
    assert_eq!(site.browser.get("/admin/").code(), 302);
}

#[test]
fn django_static_files_are_those_of_the_admin() {
    let Some(mut site) = django(false, &[]) else { return };
    let home = venv::frameworks().expect("it was there a moment ago");
    let site_packages = std::fs::read_dir(home.join("lib")).unwrap().flatten().next().expect("lib/pythonX.Y").path().join("site-packages");
    for (file, kind) in
        [("admin/css/base.css", "text/css"), ("admin/js/core.js", "text/javascript"), ("admin/img/search.svg", "image/svg+xml")]
    {
        let seen = site.browser.get(&format!("/static/{file}"));
        let expected = std::fs::read(site_packages.join("django/contrib/admin/static").join(file)).unwrap();
        assert_eq!((seen.code(), seen.end), (200, End::Clean), "{file}");
        assert!(seen.field("content-type").unwrap_or_default().starts_with(kind), "{:?}", seen.field("content-type"));
        assert!(seen.body() == expected, "{file} differs");
        let again =
            site.browser.send(Request::get(&format!("/static/{file}")).field("If-Modified-Since", seen.field("last-modified").unwrap()));
        assert_eq!((again.code(), again.body().len()), (304, 0), "{file}");
    }
    assert_eq!(site.browser.get("/static/no/such/file.css").code(), 404);
}

/// As a site is deployed without a web server in front: the page's links are answered from the folder that `collectstatic` has filled.
#[test]
fn django_static_files_are_served_from_where_they_were_collected() {
    let Some(home) = venv::frameworks() else { return };
    let data = tempfile::tempdir().expect("a folder for data");
    manage(home, &data, &["collectstatic", "--noinput", "--verbosity", "0"]);
    let collected = data.path().join("static");
    let map = format!("/static={}", collected.display());
    let mut site = serve_with(home, data, &project(), ["--module", "site_under_test.wsgi", "--static-map", &map]);
    let page = site.browser.get("/admin/login/");
    let links: Vec<String> =
        page.text().split('"').filter(|text| text.starts_with("/static/")).map(|text| text.trim_start_matches('/').to_owned()).collect();
    assert!(links.len() > 3, "{}", page.text());
    for link in &links {
        let seen = site.browser.get(&format!("/{link}"));
        let file = collected.parent().unwrap().join(link);
        assert_eq!((seen.code(), seen.end), (200, End::Clean), "{link}");
        assert!(seen.body() == std::fs::read(file).unwrap(), "{link} differs");
        // Which Django's own view does not send.
        let tag = seen.field("etag").unwrap_or_else(|| panic!("{link} comes from Django: {:?}", seen.head));
        let again = site.browser.send(Request::get(&format!("/{link}")).field("If-None-Match", tag));
        assert_eq!((again.code(), again.body().len()), (304, 0), "{link}");
    }
    assert_eq!(site.browser.get("/static/no/such/file.css").code(), 404);
}

#[test]
fn django_forms_are_guarded_against_forgery() {
    let Some(mut site) = django(false, &[]) else { return };
    assert_eq!(site.browser.post("/form/", &[("text", "forged")]).code(), 403);
    let form = site.browser.get("/form/");
    assert!(site.browser.cookie("csrftoken").is_some());
    let posted = site.browser.post("/form/", &[("csrfmiddlewaretoken", &token(&form)), ("text", "\u{fc}ber & \u{2603} = +")]);
    assert_eq!(String::from_utf8(posted.body()).unwrap(), "posted \u{fc}ber & \u{2603} = +");
}

// clauses: D20
#[test]
fn django_takes_a_file_of_50_mb_and_gives_it_back() {
    let Some(mut site) = django(false, &["--threads", "2"]) else { return };
    let content = noise(50 * 1024 * 1024);
    let form = site.browser.get("/form/");
    let seen = site.browser.upload("/upload/", &[("csrfmiddlewaretoken", &token(&form)), ("note", "a note")], "big.bin", &content);
    assert_eq!(seen.text(), format!("{} {} a note", content.len(), sha256(&content)));
    assert_eq!(std::fs::metadata(site.data.path().join("uploaded")).unwrap().len(), content.len() as u64);

    let back = site.browser.get("/download/");
    assert_eq!((back.code(), back.end), (200, End::Clean));
    assert_eq!(back.field("content-length"), Some(content.len().to_string().as_str()));
    assert_eq!(back.field("content-disposition"), Some("attachment; filename*=utf-8''h%C3%A9llo.bin"));
    assert!(back.body() == content, "the file came back changed");
    let head = site.browser.send(Request::new("HEAD", "/download/"));
    assert_eq!((head.code(), head.body().len(), head.field("content-length")), (200, 0, Some(content.len().to_string().as_str())));
    assert_eq!(site.browser.get("/").text(), "Hello from Django\n");
}

// clauses: D3
#[test]
fn django_reads_an_upload_of_unknown_length() {
    let Some(mut site) = django(false, &[]) else { return };
    assert_eq!(site.browser.chunked("/length/", &[b"hello ", b"chunked ", b"world"]).text(), "19 19");
    assert_eq!(site.browser.send(Request::post("/length/", "hello")).text(), "5 5");
    assert_eq!(site.browser.send(Request::new("POST", "/length/")).text(), "0 None");
    let large = noise(2_000_000);
    assert_eq!(site.browser.chunked("/length/", &[&large]).text(), "2000000 2000000");
}

#[test]
fn django_streams_while_others_are_served() {
    let Some(mut site) = django(false, &["--threads", "2"]) else { return };
    let mut client = wsgi_tests::client::Wire::tcp(site.process.address_again()).unwrap();
    client.send(&Request::get("/stream/").field("Host", "localhost")).unwrap();
    assert_eq!(client.head().unwrap().code, 200);
    assert_eq!(client.block().unwrap().as_deref(), Some(&b"first\n"[..]));
    // The second block is made only after this.
    assert_eq!(site.browser.get("/release/").text(), "released");
    assert_eq!(client.block().unwrap().as_deref(), Some(&b"second\n"[..]));
    assert_eq!(client.block(), Ok(None));
}

// clauses: 81, D19
#[test]
fn django_ends_each_request_and_keeps_its_database_connection() {
    let Some(mut site) = django(true, &["--threads", "1"]) else { return };
    for n in 0..5 {
        assert_eq!(site.browser.get("/finished/").text(), n.to_string(), "request_finished was not sent for each");
    }
    // From connection to connection it is one thread, so one threading.local, so one connection to the database.
    for _ in 0..3 {
        assert_eq!(Browser::new(site.process.address_again()).get("/connections/").text(), "1");
    }
    for n in 1..=3 {
        assert_eq!(site.browser.get("/session/").text(), format!("visit {n}"));
    }
    assert!(site.browser.cookie("sessionid").is_some());
}

// clauses: 93, D17, D23
#[test]
fn django_knows_where_it_is() {
    let Some(mut site) = django(false, &["--mount", "/mounted=site_under_test.wsgi"]) else { return };
    let host = site.process.address_again();
    let seen = site.browser.get("/where/caf%C3%A9/a%20b?x=%2F");
    assert_eq!(String::from_utf8(seen.body()).unwrap(), format!("caf\u{e9}/a b|http://{host}/where/caf%C3%A9/a%20b?x=%2F|False"));
    let seen = site.browser.get("/mounted/where/b");
    assert_eq!(seen.text(), format!("b|http://{host}/mounted/where/b|False"));
    // Django adds the slash, below the mount as well.
    assert_eq!(site.browser.get("/mounted/form").field("location"), Some("/mounted/form/"));
    assert_eq!(site.browser.send(Request::get("/").field("Host", "evil.test")).code(), 400);
}

#[test]
fn django_logs_an_error_and_goes_on() {
    let Some(mut site) = django(false, &[]) else { return };
    assert_eq!(site.browser.get("/error/").code(), 500);
    site.process.line_with("RuntimeError: a view that fails");
    assert_eq!(site.browser.get("/").text(), "Hello from Django\n");
}

#[test]
fn flask_has_what_it_needs() {
    let Some(mut site) = serve(&folder(), ["--module", "flask_app:app", "--threads", "2"]) else { return };
    let host = site.process.address_again();
    assert_eq!(site.browser.get("/").text(), "Hello from Flask\n");

    let json = site.browser.send(Request::post("/json", r#"{"number": 21}"#).field("Content-Type", "application/json"));
    assert_eq!((json.code(), json.field("content-type")), (200, Some("application/json")));
    assert_eq!(json.text().split_whitespace().collect::<String>(), r#"{"got":{"number":21},"twice":42}"#);
    let broken = site.browser.send(Request::post("/json", "{").field("Content-Type", "application/json"));
    assert_eq!(broken.code(), 400);

    let first = site.browser.get("/cookie");
    assert_eq!((first.fields("set-cookie").len(), first.text().contains("null")), (2, true));
    assert!(site.browser.get("/cookie").text().contains("chocolate"));
    assert_eq!((site.browser.get("/session").text(), site.browser.get("/session").text()), ("1".into(), "2".into()));

    let stream = site.browser.get("/stream?lines=1000");
    assert_eq!((stream.text().lines().count(), stream.end), (1000, End::Clean));
    assert!(stream.text().ends_with("/stream 999\n"));

    let content = noise(3_000_000);
    assert_eq!(site.browser.upload("/upload", &[], "some.bin", &content).text(), format!("some.bin {}", sha256(&content)));
    // Werkzeug trusts wsgi.input_terminated and CONTENT_LENGTH.
    assert_eq!(site.browser.chunked("/raw", &[b"some ", b"chunks"]).text(), "11 11");
    assert_eq!(site.browser.send(Request::new("POST", "/raw")).text(), "0 None");

    let file = site.browser.get("/file");
    assert!(file.body() == std::fs::read(folder().join("flask_app.py")).unwrap());
    let tag = file.field("etag").expect("Flask sends one").to_owned();
    assert_eq!(site.browser.send(Request::get("/file").field("If-None-Match", tag)).code(), 304);
    let part = site.browser.send(Request::get("/file").field("Range", "bytes=10-19"));
    assert_eq!((part.code(), part.body().len()), (206, 10));

    assert_eq!(site.browser.get("/url/caf%C3%A9").text(), format!("http://{host}/url/caf%C3%A9"));
    assert_eq!((site.browser.get("/teapot").code(), site.browser.get("/none").code()), (418, 404));
    assert_eq!(site.browser.get("/error").code(), 500);
    // Flask's logger writes to wsgi.errors while it answers a request.
    site.process.line_with("RuntimeError: a view that fails");
}

#[test]
fn flask_is_served_at_a_mount() {
    let Some(mut site) = serve(&folder(), ["--mount", "/flask=flask_app:app"]) else { return };
    assert_eq!(site.browser.get("/flask/").text(), "Hello from Flask\n");
    assert_eq!(site.browser.get("/flask/url/a").text(), format!("http://{}/flask/url/a", site.process.address_again()));
    assert_eq!(site.browser.get("/flasks/").code(), 404);
}

#[test]
fn falcon_has_what_it_needs() {
    let Some(mut site) = serve(&folder(), ["--module", "falcon_app"]) else { return };
    assert_eq!(site.browser.get("/things/7?q=a%20b").text(), r#"{"number": 7, "query": "a b"}"#);
    let made = site.browser.send(Request::post("/things/7", r#"{"a": [1]}"#).field("Content-Type", "application/json"));
    assert_eq!((made.code(), made.text().as_str()), (201, r#"{"got": {"a": [1]}}"#));
    assert_eq!(site.browser.send(Request::new("PUT", "/body").body(wsgi_tests::column::Body::Whole(noise(100_000)))).text(), "100000");
    let stream = site.browser.get("/stream");
    assert_eq!((stream.text().split_whitespace().count(), stream.end), (1000, End::Clean));
    let gone = site.browser.send(Request::new("DELETE", "/nothing"));
    assert_eq!((gone.code(), gone.body().len(), gone.reusable), (204, 0, true));
    assert_eq!((site.browser.get("/none").code(), site.browser.send(Request::new("PUT", "/things/7")).code()), (404, 405));
}

#[test]
fn bottle_has_what_it_needs() {
    let Some(mut site) = serve(&folder(), ["--module", "bottle_app"]) else { return };
    assert_eq!(site.browser.get("/hello/caf%C3%A9").body(), "Hello caf\u{e9}".as_bytes());
    let posted = site.browser.upload("/form", &[("text", "\u{fc}ber")], "a.bin", &noise(200_000));
    assert_eq!(posted.body(), "\u{fc}ber a.bin 200000".as_bytes());
    assert!(site.browser.get("/file").body() == std::fs::read(folder().join("bottle_app.py")).unwrap());
    assert_eq!(site.browser.get("/stream").text(), "one two");
    let away = site.browser.get("/away");
    assert!((302..=303).contains(&away.code()) && away.field("location").is_some_and(|to| to.ends_with("/hello/you")), "{away:?}");
    assert_eq!((site.browser.get("/error").code(), site.browser.get("/none").code()), (409, 404));
}

#[test]
fn pyramid_has_what_it_needs() {
    let Some(mut site) = serve(&folder(), ["--module", "pyramid_app", "--threads", "1"]) else { return };
    let host = site.process.address_again();
    assert_eq!(site.browser.get("/hello/you?a=b").text(), format!(r#"{{"name": "you", "url": "http://{host}/hello/you?a=b"}}"#));
    assert_eq!(site.browser.post("/post", &[("text", "a b")]).text(), r#"{"length": 10, "text": "a b"}"#);
    assert!(site.browser.get("/file").body() == std::fs::read(folder().join("pyramid_app.py")).unwrap());
    for n in 0..3 {
        assert_eq!((site.browser.get("/closed").text(), site.browser.get("/blocks").text()), (n.to_string(), "one two".into()));
    }
    assert_eq!(site.browser.get("/none").code(), 404);
}

// clauses: D1, D2, D23
#[test]
fn werkzeugs_test_application_shows_a_sound_environ() {
    let Some(mut site) = serve(&folder(), ["--module", "werkzeug.testapp:test_app"]) else { return };
    let page = site.browser.get("/some/path?a=b");
    assert_eq!((page.code(), page.end), (200, End::Clean));
    let text = latin1(&page.body());
    for part in ["wsgi.url_scheme", "SERVER_SOFTWARE", "/some/path", "wsgi.input_terminated", "wsgi.file_wrapper"] {
        assert!(text.contains(part), "{part} is not on the page");
    }
}

// clauses: 60, 64
#[test]
fn werkzeugs_debugger_shows_what_failed() {
    let Some(mut site) = serve(&folder(), ["--module", "debugged_app"]) else { return };
    assert_eq!(site.browser.get("/").text(), "first second");
    let page = site.browser.get("/before");
    assert_eq!((page.code(), page.end), (500, End::Clean));
    assert!(page.text().contains("fails before its head") && page.text().contains("Traceback"), "{}", page.text());
    let style = site.browser.get("/?__debugger__=yes&cmd=resource&f=style.css");
    assert_eq!((style.code(), style.field("content-type")), (200, Some("text/css; charset=utf-8")));
    // Too late for a page; the debugger says so on wsgi.errors and ends the blocks.
    assert!(site.browser.get("/after").text().starts_with("first"));
    site.process.line_with("fails after its first block");
}
