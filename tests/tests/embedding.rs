//! The programs of `examples/embedding`: Django inside an axum program, and an application that moves to Rust route by route.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;
use wsgi_tests::browser::Browser;
use wsgi_tests::column::{Request, Seen};
use wsgi_tests::process::{Process, build};
use wsgi_tests::{DEADLINE, venv};

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/embedding")
}

/// A program of the package, in an environment without what the developer's own could change.
fn program(name: &str) -> Command {
    let mut command = Command::new(build("wsgi-embedding", name));
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env_remove("VIRTUAL_ENV").env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The Django site in its axum program, with a user `admin` and one `robot` that comes by token.
struct Site {
    process: Process,
    address: SocketAddr,
    _data: TempDir,
}

impl Site {
    fn start() -> Option<Site> {
        let home = venv::frameworks()?;
        let data = tempfile::tempdir().unwrap();
        let manage = |arguments: &[&str]| {
            let mut command = Command::new(home.join("bin/python"));
            command.arg("manage.py").args(arguments).current_dir(package().join("site"));
            command.env("SITE_DATA", data.path()).env("PYTHONDONTWRITEBYTECODE", "1").env("DJANGO_SUPERUSER_PASSWORD", "a long password");
            let output = command.output().expect("Django");
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        manage(&["migrate", "--verbosity", "0"]);
        manage(&["collectstatic", "--noinput", "--verbosity", "0"]);
        for name in ["admin", "robot"] {
            manage(&["createsuperuser", "--noinput", "--username", name, "--email", "a@example.test"]);
        }
        let tokens = data.path().join("tokens");
        std::fs::write(&tokens, "token-of-robot robot\ntoken-of-nobody nobody\n").unwrap();
        let mut command = program("axum_mount");
        command.args(["--listen", "127.0.0.1:0", "--threads", "4", "--home"]).arg(home).arg("--tokens").arg(tokens);
        let mut process = Process::start({
            command.env("SITE_DATA", data.path());
            command
        });
        let address = process.address();
        Some(Site { process, address, _data: data })
    }

    fn browser(&self) -> Browser {
        Browser::new(self.address)
    }

    /// A browser that has logged in by Django's form.
    fn admin(&self) -> Browser {
        let mut browser = self.browser();
        let form = browser.get("/admin/login/?next=/admin/");
        let token = form.text().split_once("name=\"csrfmiddlewaretoken\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
        let fields = [("csrfmiddlewaretoken", token.as_str()), ("username", "admin"), ("password", "a long password"), ("next", "/admin/")];
        let answer = browser.post("/admin/login/?next=/admin/", &fields);
        assert_eq!((answer.code(), answer.field("location")), (302, Some("/admin/")), "{}", answer.text());
        browser
    }

    /// Asks for a WebSocket, and gives the stream behind the head of the answer.
    fn websocket(&self, fields: &str) -> (String, TcpStream) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let upgrade =
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        write!(stream, "GET /ws HTTP/1.1\r\nHost: {}\r\n{upgrade}\r\n{fields}\r\n", self.address).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        (String::from_utf8(head).unwrap(), stream)
    }
}

/// A short text as a frame of a client's (RFC 6455, 5.2), which is masked.
fn masked(text: &str) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 1, 2, 3, 4];
    frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The next short frame of a server's.
fn text_frame(stream: &mut TcpStream) -> String {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert_eq!((head[0], head[1] & 0x80), (0x81, 0), "a text that is not masked");
    let mut text = vec![0; usize::from(head[1])];
    stream.read_exact(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn code_and_text(seen: &Seen) -> (u16, String) {
    (seen.code(), seen.text())
}

#[test]
fn rust_and_django_share_a_site_and_its_sessions() {
    let Some(site) = Site::start() else { return };
    let mut stranger = site.browser();
    assert_eq!(code_and_text(&stranger.get("/api/fast")), (200, "hello from Rust\n".to_owned()));
    assert_eq!(code_and_text(&stranger.get("/")), (200, "Hello from Django\n".to_owned()));
    assert_eq!(code_and_text(&stranger.get("/api/me")), (401, "log in at /admin/\n".to_owned()));
    let forged = stranger.send(Request::get("/api/me").field("Cookie", "sessionid=made-up"));
    assert_eq!(forged.code(), 401);
    assert_eq!(stranger.get("/admin/").code(), 302);
    let style = stranger.get("/static/admin/css/base.css");
    assert_eq!((style.code(), style.field("content-type")), (200, Some("text/css")));
    assert_eq!(stranger.get("/static/../db.sqlite3").code(), 404);

    let mut admin = site.admin();
    assert_eq!(admin.get("/admin/").code(), 200);
    assert_eq!(code_and_text(&admin.get("/api/me")), (200, "admin\n".to_owned()));
    let token = admin.cookie("csrftoken").unwrap().to_owned();
    assert_eq!(admin.post("/admin/logout/", &[("csrfmiddlewaretoken", &token)]).code(), 200);
    assert_eq!(admin.get("/api/me").code(), 401, "a logout counts at once");
    site.process.terminate();
    let ended = site.process.wait();
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn a_websocket_knows_who_is_logged_in_to_django() {
    let Some(site) = Site::start() else { return };
    let (refused, _) = site.websocket("");
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let session = site.admin().cookie("sessionid").unwrap().to_owned();
    let (refused, _) = site.websocket(&format!("Cookie: sessionid={session}\r\nOrigin: https://elsewhere.test\r\n"));
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    let (head, mut stream) = site.websocket(&format!("Cookie: sessionid={session}\r\nOrigin: http://{}\r\n", site.address));
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    assert_eq!(text_frame(&mut stream), "hello admin");
    for text in ["one", "", "grüße"] {
        stream.write_all(&masked(text)).unwrap();
        assert_eq!(text_frame(&mut stream), text);
    }
}

#[test]
fn whom_a_layer_knows_django_knows_and_nobody_can_say_so_himself() {
    let Some(site) = Site::start() else { return };
    let ask = |fields: &[(&str, &str)]| {
        let request = fields.iter().fold(Request::get("/reports/may"), |request, (name, value)| request.field(name, value));
        site.browser().send(request)
    };
    assert_eq!(code_and_text(&ask(&[("Authorization", "Bearer token-of-robot")])), (200, "report may for robot\n".to_owned()));
    for fields in [&[][..], &[("Authorization", "Bearer wrong")], &[("REMOTE_USER", "admin"), ("Remote-User", "admin")]] {
        assert_eq!(ask(fields).code(), 401, "{fields:?}");
    }
    // A token for somebody that Django does not know makes nobody of him.
    let unknown = ask(&[("Authorization", "Bearer token-of-nobody")]);
    assert_eq!((unknown.code(), unknown.field("location")), (302, Some("/admin/login/?next=/reports/may")));
    // Beside the protected route a client's words change nothing either.
    assert_eq!(site.browser().send(Request::get("/whoami").field("REMOTE_USER", "admin").field("Remote-User", "admin")).code(), 401);
}

#[test]
fn a_mistake_at_the_start_is_a_sentence() {
    let here = std::env::current_dir().unwrap();
    for (arguments, part) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["--tokens", "/no/such/file"], "/no/such/file"),
        (&["--home", "/no/such/home"], "/no/such/home"),
        // Counted from where the program was started, and not from the folder of the site.
        (&["--home", "no/such/home"], here.join("no/such/home").to_str().unwrap()),
    ] {
        let mut command = program("axum_mount");
        command.args(arguments);
        let ended = Process::start(command).wait();
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.stderr.starts_with("axum_mount: ") && ended.stderr.contains(part), "{}", ended.stderr);
    }
}

#[test]
fn routes_move_from_python_to_rust_while_the_program_runs() {
    let mut command = program("strangler");
    command.args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    let mut process = Process::start(command);
    let control = process.line_with("control on http://");
    let control: SocketAddr = control.trim_start_matches("control on http://").trim_end_matches('/').parse().unwrap();
    let (mut client, mut control) = (Browser::new(process.address()), Browser::new(control));
    let mut set =
        |route: &str, mode: &str| control.send(Request::new("PUT", route).body(wsgi_tests::column::Body::Whole(mode.into()))).code();
    let python = Some("text/plain; charset=utf-8");
    let stock = |client: &mut Browser| client.get("/stock?item=pear");

    assert_eq!((stock(&mut client).text().as_str(), stock(&mut client).field("content-type")), ("0\n", python));
    assert_eq!((set("/stock", "shadow"), set("/price", "shadow")), (200, 200));
    assert_eq!(client.get("/price?item=apple").text(), "30\n");
    assert_eq!(client.get("/price?item=plum").code(), 404);
    assert_eq!(stock(&mut client).text(), "0\n", "what Python says counts");
    let difference = process.line_with("/stock?item=pear differs");
    assert!(difference.contains(r#"b"0\n""#) && difference.contains(r#"b"1\n""#), "{difference}");
    // What changes something is asked once, of Python.
    assert_eq!(client.send(Request::post("/stock?item=apple", "11")).text(), "11\n");
    assert_eq!(client.send(Request::new("HEAD", "/stock?item=apple")).field("content-length"), Some("3"));

    assert_eq!(set("/stock", "rust"), 200);
    assert_eq!((stock(&mut client).text().as_str(), client.send(Request::post("/stock?item=apple", "11")).code()), ("1\n", 405));
    assert_eq!(client.get("/elsewhere").code(), 404);
    assert_eq!((set("/stock", "cobol"), set("/elsewhere", "rust")), (400, 404));
    assert_eq!(set("/stock", "python"), 200);
    assert_eq!(stock(&mut client).text(), "0\n");
    // The comparison goes on behind the client's back.
    let end = Instant::now() + DEADLINE;
    let wanted = "/price shadow, 2 answers were the same, 0 differed\n/stock python, ";
    while !control.get("/").text().contains(wanted) {
        assert!(Instant::now() < end, "{}", control.get("/").text());
    }
    process.terminate();
    assert!(process.wait().status.success());
}
