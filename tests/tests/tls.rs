//! `serve --https` as its users meet it, with a real curl at the other end.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use tempfile::TempDir;
use wsgi_tests::DEADLINE;
use wsgi_tests::certificate::Certificate;
use wsgi_tests::client::Wire;
use wsgi_tests::column::{Conversation, Request};
use wsgi_tests::front::installed;
use wsgi_tests::process::{Ended, Process};

/// Says what it sees, echoes bodies, and breaks off.
const APPLICATION: &str = r#"
NAMES = ["wsgi.url_scheme", "HTTPS", "SERVER_PORT", "SERVER_PROTOCOL", "SSL_PROTOCOL", "SSL_TLS_SNI"]


def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    if path == "/echo":
        return iter(lambda: environ["wsgi.input"].read(50_000), b"")
    if path == "/breaks":
        return breaks()
    return [" ".join(environ.get(name, "-") for name in NAMES).encode()]


def breaks():
    yield b"a part"
    raise RuntimeError("as the test wants")
"#;

/// `serve` with that application, on a port for HTTPS and whatever else is asked for.
struct Secured {
    process: Process,
    certificate: Certificate,
    address: SocketAddr,
    _folder: TempDir,
}

impl Secured {
    fn start(arguments: &[&str]) -> Secured {
        let (certificate, folder) = (Certificate::new(), folder());
        let https = format!("--https=127.0.0.1:0,{},{}", certificate.chain().display(), certificate.key().display());
        let chdir = folder.path().to_str().expect("a path in UTF-8");
        let mut process = Process::serve([&[https.as_str(), "--chdir", chdir, "-w", "seen", "--threads", "2"], arguments].concat());
        let address = process.https_address();
        Secured { process, certificate, address, _folder: folder }
    }

    /// Asks by curl, which has to trust the certificate for the name `localhost`.
    fn curl(&self, target: &str, options: &[&str]) -> Output {
        let port = self.address.port();
        let resolve = format!("localhost:{port}:127.0.0.1");
        self.curl_at(&format!("https://localhost:{port}{target}"), &[&["--resolve", &resolve], options].concat())
    }

    fn curl_at(&self, url: &str, options: &[&str]) -> Output {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]).arg(self.certificate.chain()).args(options).arg(url);
        curl.output().unwrap_or_else(|error| panic!("curl: {error}"))
    }

    fn text(&self, target: &str, options: &[&str]) -> String {
        let said = self.curl(target, options);
        assert!(said.status.success(), "{options:?}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).expect("text")
    }
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("seen.py"), APPLICATION).expect("a file");
    folder
}

#[test]
fn curl_is_served_and_the_application_knows_how() {
    if !installed("curl", "curl") {
        return;
    }
    let secured = Secured::start(&[]);
    let port = secured.address.port();
    for (options, protocol, version) in [
        (&["--tlsv1.3"][..], "HTTP/1.1", "TLSv1.3"),
        (&["--tls-max", "1.2"], "HTTP/1.1", "TLSv1.2"),
        (&["--http1.0"], "HTTP/1.0", "TLSv1.3"),
        (&["--http2"], "HTTP/1.1", "TLSv1.3"),
        (&["--no-alpn"], "HTTP/1.1", "TLSv1.3"),
    ] {
        assert_eq!(secured.text("/", options), format!("https on {port} {protocol} {version} localhost"), "{options:?}");
    }
    let head = secured.text("/", &["--head"]);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    // An address is no name that a client may send (RFC 6066, 3), but the certificate has it.
    let said = secured.curl_at(&format!("https://127.0.0.1:{port}/"), &[]);
    assert_eq!(String::from_utf8_lossy(&said.stdout), format!("https on {port} HTTP/1.1 TLSv1.3 -"));
}

#[test]
fn curl_sends_and_gets_ten_megabytes() {
    if !installed("curl", "curl") {
        return;
    }
    let secured = Secured::start(&[]);
    let content: Vec<u8> = (0..10_000_019_u32).map(|n| (n % 251) as u8).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &content).unwrap();
    let data = format!("@{}", file.path().display());
    for options in [&["--header", "Expect:"][..], &[], &["--header", "Transfer-Encoding: chunked"], &["--tls-max", "1.2"], &["--http1.0"]] {
        let said = secured.curl("/echo", &[&["--data-binary", &data][..], options].concat());
        assert!(said.status.success(), "{options:?}: {}", String::from_utf8_lossy(&said.stderr));
        assert!(said.stdout == content, "{options:?}: {} bytes came back", said.stdout.len());
    }
}

#[test]
fn curl_notices_a_reply_that_breaks_off_in_every_framing() {
    if !installed("curl", "curl") {
        return;
    }
    let secured = Secured::start(&[]);
    for options in [&[][..], &["--http1.0"], &["--tls-max", "1.2"], &["--tls-max", "1.2", "--http1.0"]] {
        let said = secured.curl("/breaks", options);
        assert!(!said.status.success(), "{options:?}: the reply looks whole: {:?}", String::from_utf8_lossy(&said.stdout));
    }
}

#[test]
fn plain_http_is_told_where_to_go_and_a_distrustful_client_is_logged_in_words() {
    if !installed("curl", "curl") {
        return;
    }
    let mut secured = Secured::start(&[]);
    let mut plain = Wire::tcp(secured.address).unwrap();
    plain.send(&Request::get("/")).unwrap();
    let seen = plain.reply();
    assert_eq!((seen.code(), seen.reusable), (400, false));
    assert!(seen.text().contains("https://"), "{}", seen.text());
    secured.process.line_with("plain HTTP came to a port that expects TLS");

    let port = secured.address.port();
    let said = Command::new("curl").args(["--silent", &format!("https://127.0.0.1:{port}/")]).output().unwrap();
    assert!(!said.status.success());
    secured.process.line_with("the client does not accept the certificate");
    assert!(secured.text("/", &[]).starts_with("https on "));
    secured.process.terminate();
    let ended = secured.process.wait();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(ended.stderr.lines().filter(|line| line.contains("refused")).count(), 2, "each is logged once: {}", ended.stderr);
}

#[test]
fn http_and_several_ports_of_https_are_served_at_once() {
    let other = Certificate::new();
    let https = format!("127.0.0.1:0,{},{}", other.chain().display(), other.key().display());
    let mut secured = Secured::start(&["--https-socket", &https, "--http", "127.0.0.1:0"]);
    let plain = secured.process.address();
    let said = secured.process.stderr();
    let addresses: Vec<SocketAddr> =
        said.lines().filter_map(|line| line.strip_prefix("listening on https://")?.strip_suffix('/')?.parse().ok()).collect();
    assert_eq!(addresses.len(), 2, "{said}");
    for (mut client, scheme) in [
        (Wire::tcp(plain).unwrap(), "http -"),
        (Wire::tls(addresses[0], secured.certificate.client()).unwrap(), "https on"),
        (Wire::tls(addresses[1], other.client()).unwrap(), "https on"),
    ] {
        client.send(&Request::get("/")).unwrap();
        let text = client.reply().text();
        assert!(text.starts_with(scheme), "{text}");
    }
}

#[test]
fn a_renewed_certificate_is_taken_up_without_a_restart_and_said_once() {
    let mut secured = Secured::start(&[]);
    let old = secured.certificate.client();
    let mut before = Wire::tls(secured.address, old).unwrap();
    secured.certificate.renew();
    let new = secured.certificate.client();
    let end = Instant::now() + DEADLINE;
    let mut after = loop {
        // It looks every few seconds, at a handshake.
        match Wire::tls(secured.address, new.clone()) {
            Ok(wire) => break wire,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    for client in [&mut before, &mut after] {
        client.send(&Request::get("/")).unwrap();
        assert!(client.reply().text().starts_with("https on "));
    }
    let said = secured.process.line_with("has changed and is in use now");
    assert!(said.contains(secured.certificate.chain().to_str().unwrap()), "{said}");
    assert_eq!(secured.process.stderr().matches("has changed").count(), 1);
}

#[test]
fn a_certificate_that_cannot_be_used_is_a_sentence_and_exit_code_2() {
    let (certificate, other, folder) = (Certificate::new(), Certificate::new(), folder());
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let ended = |value: &str| Process::serve(["--https", value]).wait();
    let at = |chain: &Path, key: &Path| ended(&format!("127.0.0.1:0,{},{}", chain.display(), key.display()));
    for (ended, parts) in [
        (ended(":8443"), &[":8443", "ADDR,CERT,KEY"][..]),
        (ended(":8443,a.pem,a.key,HIGH"), &["ADDR,CERT,KEY", "ciphers"]),
        (ended("nowhere,a.pem,a.key"), &["nowhere", "HOST:PORT"]),
        (at(Path::new("/no/such.pem"), &certificate.key()), &["/no/such.pem", "No such file"]),
        (at(&empty, &certificate.key()), &["empty.pem", "no certificate"]),
        (at(&certificate.chain(), &certificate.chain()), &["chain.pem", "no private key"]),
        (at(&certificate.chain(), &other.key()), &["does not fit"]),
    ] {
        only_a_sentence(&ended, parts);
    }
}

fn only_a_sentence(ended: &Ended, parts: &[&str]) {
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    for part in parts.iter().chain(&["--https"]) {
        assert!(ended.stderr.contains(part), "{part:?} is not in {}", ended.stderr);
    }
}
