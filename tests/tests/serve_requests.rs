//! What `serve` does with requests before an application has them: who the client is, how much it may send, and how long all of it may take.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use socket2::{Domain, Socket, Type};
use wsgi_tests::DEADLINE;
use wsgi_tests::front::{installed, ports};
use wsgi_tests::process::Process;

/// Says what it sees, and does not end where it is told so.
const APPLICATION: &str = r#"
import ctypes
import time

NAMES = ("REMOTE_ADDR", "REMOTE_PORT", "wsgi.url_scheme", "HTTP_HOST", "SERVER_PORT", "SCRIPT_NAME", "CONTENT_LENGTH", "HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")


def dawdle():
    while True:
        pass


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/check":
        print("check from", environ["REMOTE_ADDR"], file=environ["wsgi.errors"])
    if path == "/loop":
        dawdle()
    if path == "/sleep":
        time.sleep(3600)
    if path == "/begun":
        start_response("200 OK", [("Content-Type", "text/plain")])(b"begun")
        time.sleep(3600)
    if path == "/blocked":
        ctypes.PyDLL(None).sleep(3600)
    body = environ["wsgi.input"].read() if environ["REQUEST_METHOD"] == "POST" else b""
    lines = [f"{name}={environ.get(name, '-')}" for name in NAMES] + [f"body={len(body)}"]
    text = "\n".join(lines).encode() + b"\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]
"#;

/// A chunked upload of one chunk.
fn chunked(length: usize) -> Vec<u8> {
    let text = "x".repeat(length);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    format!("{head}{length:x}\r\n{text}\r\n0\r\n\r\n").into_bytes()
}

/// `serve` with the application above.
struct Site {
    process: Process,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

fn site(arguments: &[&str]) -> Site {
    site_with(arguments, |command| command)
}

fn site_with(arguments: &[&str], change: impl FnOnce(&mut Command) -> &mut Command) -> Site {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.py"), APPLICATION).unwrap();
    let chdir = folder.path().to_str().unwrap();
    let fixed = ["--http", "127.0.0.1:0", "--chdir", chdir, "--wsgi-file", "app.py"];
    let mut command = Process::serve_command(fixed.iter().chain(arguments));
    change(&mut command);
    let mut process = Process::start(command);
    let address = process.address();
    Site { process, address, folder }
}

/// A client at another address of this machine than the proxies.
fn outsider(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.2:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// Sends these bytes, and gives what comes until the end.
fn ask(mut stream: TcpStream, bytes: &[u8]) -> String {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut reply = Vec::new();
    // A reset is an end as well: what came before it counts.
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).into_owned()
}

fn get(target: &str, fields: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n{fields}\r\n").into_bytes()
}

/// A request on a connection that goes on.
fn lasting(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: example.org\r\n\r\n").into_bytes()
}

/// The reply has each of these lines.
#[track_caller]
fn says(reply: &str, lines: &[&str]) {
    for line in lines {
        assert!(reply.lines().any(|other| other == *line), "no {line:?} in {reply}");
    }
}

/// The reply to a request whose thread does not come back.
#[track_caller]
fn whole_504(reply: &str) {
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {reply:?}"));
    assert!(head.starts_with("HTTP/1.1 504 Gateway Timeout\r\n") && head.contains("\r\nConnection: close"), "{reply}");
    assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{reply}");
}

/// Starts a proxy with a configuration, and waits until it listens.
fn proxy(program: &str, arguments: &[&str], listens: SocketAddr) -> Process {
    let mut command = Command::new(program);
    command.args(arguments);
    let mut process = Process::start(command);
    let end = Instant::now() + DEADLINE;
    while TcpStream::connect(listens).is_err() {
        assert!(process.ended().is_none() && Instant::now() < end, "{program}: {}{}", process.stdout(), process.stderr());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    process
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn only_a_trusted_proxy_says_who_the_client_is() {
    let mut site = site(&["--forwarded-allow-ips", "127.0.0.1,10.0.0.0/8", "--forwarded-fields", "for,proto,host,prefix,forwarded"]);
    let fields = "X-Forwarded-For: 6.6.6.6, 198.51.100.7:4711, 10.1.2.3\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nX-Forwarded-Prefix: /shop\r\n";
    let reply = ask(TcpStream::connect(site.address).unwrap(), &get("/", fields));
    says(
        &reply,
        &[
            "REMOTE_ADDR=198.51.100.7",
            "REMOTE_PORT=4711",
            "wsgi.url_scheme=https",
            "HTTP_HOST=shop.example",
            "SERVER_PORT=443",
            "SCRIPT_NAME=/shop",
        ],
    );
    let reply = ask(
        TcpStream::connect(site.address).unwrap(),
        &get("/", "Forwarded: for=\"[2001:db8::7]\";proto=https;host=\"a.example:8443\"\r\n"),
    );
    says(&reply, &["REMOTE_ADDR=2001:db8::7", "REMOTE_PORT=-", "wsgi.url_scheme=https", "HTTP_HOST=a.example:8443", "SERVER_PORT=8443"]);
    let forged = ask(outsider(site.address), &get("/", &format!("{fields}Forwarded: for=\"\r\n")));
    says(
        &forged,
        &[
            "REMOTE_ADDR=127.0.0.2",
            "wsgi.url_scheme=http",
            "HTTP_HOST=example.org",
            "SCRIPT_NAME=",
            "HTTP_X_FORWARDED_FOR=-",
            "HTTP_FORWARDED=-",
        ],
    );
    for bad in ["X-Forwarded-For: 1.2.3.4\r\nForwarded: for=127.0.0.1\r\n", "X-Forwarded-For: evil\r\n"] {
        let reply = ask(TcpStream::connect(site.address).unwrap(), &get("/", bad));
        assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    }
    site.process.line_with("127.0.0.2 sends fields of a proxy and is not trusted as one");
    site.process.line_with("Forwarded and X-Forwarded-* contradict each other about the client");
}

#[test]
fn behind_nginx_a_client_cannot_choose_its_address() {
    if !installed("nginx", "nginx") {
        return;
    }
    let site = site(&["--forwarded-allow-ips", "127.0.0.1", "--forwarded-fields", "for,proto,host,port,prefix"]);
    let listens = ports::free();
    let folder = site.folder.path().display();
    let upstream = site.address;
    let configuration = format!(
        "daemon off; master_process off; error_log stderr; pid {folder}/nginx.pid;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
            server {{
                listen {listens};
                location / {{
                    proxy_pass http://{upstream};
                    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                    proxy_set_header X-Forwarded-Proto $scheme;
                    proxy_set_header X-Forwarded-Host $host;
                    proxy_set_header X-Forwarded-Port $server_port;
                    proxy_set_header X-Forwarded-Prefix /app;
                }}
            }}
        }}"
    );
    let file = write(site.folder.path(), "nginx.conf", &configuration);
    let _nginx = proxy("nginx", &["-c", &file, "-e", "stderr"], listens);
    let forged =
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /evil\r\nForwarded: for=6.6.6.6;proto=https\r\n";
    let reply = ask(outsider(listens), &get("/", forged));
    let port = format!("SERVER_PORT={}", listens.port());
    says(
        &reply,
        &["REMOTE_ADDR=127.0.0.2", "wsgi.url_scheme=http", "HTTP_HOST=example.org", &port, "SCRIPT_NAME=/app", "HTTP_FORWARDED=-"],
    );
}

#[test]
fn haproxy_says_by_the_proxy_protocol_who_the_client_is() {
    if !installed("haproxy", "haproxy") {
        return;
    }
    for how in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options ssl,cert-cn,authority,unique-id,crc32c"] {
        // HAProxy connects from 127.0.0.1.
        let mut site = site(&["--proxy-protocol"]);
        let listens = ports::free();
        let upstream = site.address;
        let configuration = format!(
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
             listen site\n  bind {listens}\n  unique-id-format id\n  option httpchk GET /check\n  server s {upstream} {how} check inter 100ms\n"
        );
        let file = write(site.folder.path(), "haproxy.cfg", &configuration);
        let _haproxy = proxy("haproxy", &["-db", "-f", &file], listens);
        let client = outsider(listens);
        let (port, server) = (format!("REMOTE_PORT={}", client.local_addr().unwrap().port()), format!("SERVER_PORT={}", listens.port()));
        let both = [lasting("/"), get("/", "X-Forwarded-For: 6.6.6.6\r\n")].concat();
        let reply = ask(client, &both);
        assert_eq!(reply.matches("REMOTE_ADDR=127.0.0.2").count(), 2, "{how}: {reply}");
        says(&reply, &[&port, &server]);
        // Its own checks it makes as itself.
        site.process.line_with("check from 127.0.0.1");
    }
}

#[test]
fn the_proxy_protocol_is_required_and_only_of_peers_that_are_allowed() {
    let mut site = site(&["--http-enable-proxy-protocol"]);
    assert_eq!(ask(TcpStream::connect(site.address).unwrap(), &get("/", "")), "");
    site.process.line_with("connection begins with \"G\", expected the header of the PROXY protocol");
    let with_header = [b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n", &get("/", "")[..]].concat();
    says(
        &ask(TcpStream::connect(site.address).unwrap(), &with_header),
        &["REMOTE_ADDR=2001:db8::1", "REMOTE_PORT=4711", "SERVER_PORT=443"],
    );
    // Every address of 127.0.0.0/8 is this machine, so that nobody here is a stranger; `AllowFrom` has tests of its own.
    says(&ask(outsider(site.address), &with_header), &["REMOTE_ADDR=2001:db8::1"]);
}

#[test]
fn a_request_that_takes_too_long_is_interrupted_and_the_server_serves_on() {
    let mut site = site(&["--harakiri", "0.5", "--log-req-id", "--access-log", "-", "--log-format", "%(id)"]);
    for _ in 0..2 {
        let request = b"GET /loop?a=b HTTP/1.1\r\nHost: example.org\r\nX-Request-ID: given-1\r\n\r\n";
        let reply = ask(TcpStream::connect(site.address).unwrap(), request);
        assert!(
            reply.starts_with("HTTP/1.1 504 Gateway Timeout\r\n") && reply.to_lowercase().contains("\r\nconnection: close\r\n"),
            "{reply}"
        );
    }
    let line = site.process.line_with("GET /loop?a=b takes longer than 500ms; its thread is in");
    assert!(line.contains("request{id=given-1}"), "{line}");
    site.process.line_with("in dawdle");
    assert!(ask(TcpStream::connect(site.address).unwrap(), &get("/", "")).starts_with("HTTP/1.1 200 "));
    site.process.terminate();
    assert_eq!(site.process.wait().status.code(), Some(0));
}

#[test]
fn a_request_that_waits_for_its_client_is_answered_and_its_thread_comes_back() {
    // Nobody is cut off.
    let mut site = site(&["--harakiri", "0.5", "--harakiri-graceful-timeout", "3600"]);
    // Too long to be read before the application is called.
    let begun = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nab";
    let reply = ask(TcpStream::connect(site.address).unwrap(), begun);
    assert!(reply.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{reply}");
    // A body of unknown length is waited for before the application is called.
    let begun = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab";
    let reply = ask(TcpStream::connect(site.address).unwrap(), begun);
    assert!(reply.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{reply}");
    site.process.line_with("thread came back from its request");
    assert!(ask(TcpStream::connect(site.address).unwrap(), &get("/", "")).starts_with("HTTP/1.1 200 "));
    site.process.terminate();
    let ended = site.process.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn a_thread_that_does_not_come_back_ends_the_process_with_a_status_of_its_own() {
    let mut site = site(&["--harakiri", "0.5", "--harakiri-graceful-timeout", "0.5", "--threads", "3"]);
    let address = site.address;
    let ask = |request: Vec<u8>| std::thread::spawn(move || ask(TcpStream::connect(address).unwrap(), &request));
    let [sleep, begun, head] = [get("/sleep", ""), get("/begun", ""), b"HEAD /sleep HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()]
        .map(ask)
        .map(|asked| asked.join().unwrap());
    whole_504(&sleep);
    // What was begun is not gone on with by anybody else.
    assert!(begun.starts_with("HTTP/1.1 200 OK\r\n") && begun.ends_with("\r\nbegun\r\n"), "{begun}");
    assert!(head.starts_with("HTTP/1.1 504 ") && head.ends_with("\r\n\r\n"), "{head}");
    site.process.line_with("in application");
    let ended = site.process.wait();
    assert_eq!(ended.status.code(), Some(70), "{}", ended.stderr);
    assert!(ended.stderr.contains("thread does not come back from its request"), "{}", ended.stderr);
}

#[test]
fn a_call_that_keeps_everybody_from_running_python_is_shown_and_ends_the_process() {
    let site = site(&["--harakiri", "0.5", "--harakiri-graceful-timeout", "0.5", "--threads", "2"]);
    whole_504(&ask(TcpStream::connect(site.address).unwrap(), &get("/blocked", "")));
    let ended = site.process.wait();
    assert_eq!(ended.status.code(), Some(70), "{}", ended.stderr);
    assert!(ended.stderr.contains("no thread can run Python") && ended.stderr.contains(" in application"), "{}", ended.stderr);
}

#[test]
fn a_request_that_is_too_large_is_refused_with_its_status() {
    let site = site(&["--limit-post", "1000", "--buffer-size", "2000", "--limit-request-fields", "10"]);
    let status = |bytes: &[u8]| ask(TcpStream::connect(site.address).unwrap(), bytes).split(' ').nth(1).unwrap_or_default().to_owned();
    let declared = |length: usize| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length)).into_bytes()
    };
    assert_eq!((status(&declared(1000)), status(&declared(1001))), ("200".to_owned(), "413".to_owned()));
    assert_eq!((status(&chunked(1000)), status(&chunked(1001))), ("200".to_owned(), "413".to_owned()));
    let long = |length: usize| get("/", &format!("X-Long: {}\r\n", "x".repeat(length)));
    assert_eq!((status(&long(1800)), status(&long(2000))), ("200".to_owned(), "431".to_owned()));
    assert_eq!(
        (status(&get("/", &"X-A: b\r\n".repeat(8))), status(&get("/", &"X-A: b\r\n".repeat(9)))),
        ("200".to_owned(), "431".to_owned())
    );
    assert_eq!(status(&get(&format!("/{}", "x".repeat(3000)), "")), "414");
}

#[test]
fn a_client_that_takes_too_long_is_refused_with_408() {
    let site = site(&["--head-timeout", "0.3", "--socket-timeout", "0.3", "--keep-alive", "0.3"]);
    let ask = |bytes: &[u8]| ask(TcpStream::connect(site.address).unwrap(), bytes);
    assert!(ask(b"GET / HTTP/1.1\r\nHost:").starts_with("HTTP/1.1 408 "));
    assert!(ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab").starts_with("HTTP/1.1 408 "));
    // Too long to be read before the application is called, which waits for it then.
    assert!(ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nab").starts_with("HTTP/1.1 408 "));
    // Between two requests there is nothing to say.
    assert_eq!(ask(b""), "");
    let reply = ask(&lasting("/"));
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("body=0\n"), "{reply}");
}

#[test]
fn a_body_of_unknown_length_has_a_length_or_is_streamed_as_the_operator_likes() {
    let upload = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for (arguments, length) in [(&[][..], "CONTENT_LENGTH=5"), (&["--wsgi-manage-chunked-input"], "CONTENT_LENGTH=-")] {
        let site = site(arguments);
        says(&ask(TcpStream::connect(site.address).unwrap(), upload), &[length, "body=5"]);
    }
}

#[test]
fn where_there_is_no_room_for_a_large_body_of_unknown_length_the_operator_hears_of_it() {
    let mut site = site_with(&[], |command| command.env("TMPDIR", "/no/such/folder"));
    let ask = |bytes: &[u8]| ask(TcpStream::connect(site.address).unwrap(), bytes);
    let reply = ask(&chunked(1 << 20));
    assert!(reply.starts_with("HTTP/1.1 500 "), "{reply}");
    says(&ask(&chunked(1000)), &["CONTENT_LENGTH=1000", "body=1000"]);
    let line = site.process.line_with("request bodies cannot be kept in temporary files in /no/such/folder: ");
    assert!(line.contains("ERROR ") && line.contains("POST /"), "{line}");
}
