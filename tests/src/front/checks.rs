//! What every pair of web server and protocol is asked.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::site::{HOST, Place, Setup, Site, can_start, on_site};
use super::table::{Keeps, Pair, Protocol};
use crate::column::{Body, Broken, Conversation, End, Request, Seen, Version};

/// Runs every check through a pair, over a Unix socket and over TCP; a panic that names each check that failed, and how.
pub fn run(pair: &Pair) {
    if !can_start(pair) {
        return;
    }
    let mut failures = Vec::new();
    for place in [Place::Unix, Place::Tcp] {
        let site = Setup::of(pair).at(place).start();
        for &(name, check) in CHECKS {
            let outcome = catch_unwind(AssertUnwindSafe(|| check(&Checked { pair, place, site: &site })));
            if let Err(panic) = outcome {
                failures.push(format!("{name}, {place:?}: {}", reason(&*panic)));
            }
        }
        if !failures.is_empty() {
            failures.push(site.said());
        }
    }
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| connections_to_the_server(pair))) {
        failures.push(format!("connections_to_the_server: {}", reason(&*panic)));
    }
    assert!(failures.is_empty(), "{:?} with {:?}:\n\n{}", pair.front, pair.protocol, failures.join("\n\n"));
}

/// A check, and what it looks at.
struct Checked<'a> {
    pair: &'a Pair,
    place: Place,
    site: &'a Site,
}

type Check = fn(&Checked);

macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        const CHECKS: &[(&str, Check)] = &[$((stringify!($name), $name)),*];
    };
}

checks![
    query_and_method,
    path_in_utf8,
    path_with_an_encoded_slash,
    path_is_decoded_once,
    path_with_dots,
    names_of_the_mounted_application,
    reconstructed_url,
    static_file,
    upload_of_ten_megabytes,
    upload_of_nothing,
    upload_of_unknown_length,
    upload_that_waits_to_be_asked_for,
    upload_that_nobody_reads,
    upload_that_breaks_off,
    download_in_part,
    streaming_before_the_end,
    early_hints_do_no_harm,
    client_of_http_10,
    head_has_no_body,
    not_modified,
    no_content,
    not_found,
    odd_status,
    redirects,
    cookies,
    large_headers,
    client_that_leaves,
    failure_before_the_reply,
    failure_in_a_reply_of_declared_length,
    failure_in_a_reply_of_undeclared_length,
    client_as_the_application_sees_it,
    scheme_as_the_application_sees_it,
    authorization,
    forged_headers,
];

fn query_and_method(on: &Checked) {
    let seen = on.environ(Request::new("DELETE", "/environ?a=1&b=%20%C3%A9&c=+").field("X-Custom-Name", "a, b"));
    assert_eq!(&seen["REQUEST_METHOD"], "DELETE");
    assert_eq!(&seen["QUERY_STRING"], "a=1&b=%20%C3%A9&c=+");
    assert_eq!(&seen["PATH_INFO"], "/environ");
    assert_eq!(&seen["SCRIPT_NAME"], "");
    assert_eq!(&seen["HTTP_X_CUSTOM_NAME"], "a, b");
    assert_eq!(&on.environ(Request::get("/environ"))["QUERY_STRING"], "");
}

fn path_in_utf8(on: &Checked) {
    // PEP 3333, "Unicode Issues": the bytes, each as one character.
    let seen = on.environ(Request::get("/environ/caf%C3%A9/%E2%82%AC"));
    assert_eq!(&seen["PATH_INFO"], "/environ/caf\u{c3}\u{a9}/\u{e2}\u{82}\u{ac}");
}

fn path_with_an_encoded_slash(on: &Checked) {
    assert_eq!(&on.environ(Request::get("/environ/a%2Fb%20c"))["PATH_INFO"], on.pair.expect.slash);
}

fn path_is_decoded_once(on: &Checked) {
    assert_eq!(&on.environ(Request::get("/environ/a%252Fb"))["PATH_INFO"], on.pair.expect.percent);
}

fn path_with_dots(on: &Checked) {
    assert_eq!(&on.environ(Request::get("/environ//a/./b"))["PATH_INFO"], on.pair.expect.dots);
}

fn names_of_the_mounted_application(on: &Checked) {
    let seen = on.environ(Request::get("/mounted/environ/x?y"));
    assert_eq!((&seen["SCRIPT_NAME"], &seen["PATH_INFO"]), ("/mounted", "/environ/x"));
    assert_eq!(seen["base"], format!("http://{HOST}/mounted"));
}

fn reconstructed_url(on: &Checked) {
    let seen = on.environ(Request::get("/environ/caf%C3%A9?a=1"));
    assert_eq!(seen["url"], format!("http://{HOST}/environ/caf%C3%A9?a=1"));
    assert_eq!(seen["base"], format!("http://{HOST}/"));
}

fn static_file(on: &Checked) {
    let seen = on.site.ask(Request::get("/static/file.txt"));
    if on.pair.serves_files() {
        assert_eq!((seen.code(), seen.text().as_str()), (200, "from the web server itself\n"));
    } else {
        assert_eq!(seen.code(), 404, "the application has no such file");
    }
}

fn upload_of_ten_megabytes(on: &Checked) {
    let body: Vec<u8> = (0..10 * 1024 * 1024_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let length = body.len();
    let expected = checksum(&body);
    let seen = on.values(Request::post("/upload", body).field("Content-Type", "application/octet-stream"));
    assert_eq!(seen["length"], length.to_string());
    assert_eq!(seen["declared"], length.to_string());
    assert_eq!(seen["checksum"], expected);
}

fn upload_of_nothing(on: &Checked) {
    let seen = on.values(Request::post("/upload", Vec::new()));
    assert_eq!(&seen["length"], "0");
    assert!(["", "0"].contains(&&seen["declared"]), "{seen:?}");
}

fn upload_of_unknown_length(on: &Checked) {
    let request = Request::new("POST", "/upload").body(Body::Chunked(vec![b"one ".to_vec(), b"two ".to_vec(), b"three".to_vec()]));
    if !on.pair.expect.unknown_length {
        assert_eq!(on.site.ask(request).code(), 411);
        return;
    }
    let seen = on.values(request);
    assert_eq!(&seen["length"], "13", "{seen:?}");
    assert_eq!(seen["checksum"], checksum(b"one two three"));
    // Django reads no body that has no length.
    assert_eq!((&seen["declared"], &seen["coding"]), ("13", ""));
}

fn upload_that_waits_to_be_asked_for(on: &Checked) {
    let body = vec![b'e'; 100_000];
    let mut client = on.site.client();
    let request = Request::new("POST", "/upload").field("Expect", "100-continue").body(Body::Later(Some(body.len() as u64)));
    client.send(&on_site(request)).unwrap();
    assert_eq!(client.head().unwrap().code, 100);
    client.send_body(&body).unwrap();
    let seen = values(&client.reply());
    assert_eq!(seen["checksum"], checksum(&body));
}

fn upload_that_nobody_reads(on: &Checked) {
    // A reply to a request whose body was not read must not be lost when the connection is closed.
    for _ in 0..5 {
        let seen = on.site.ask(Request::post("/", vec![b'u'; 3_000_000]));
        assert_eq!((seen.code(), seen.text().as_str()), (200, "the fixture\n"));
    }
}

fn upload_that_breaks_off(on: &Checked) {
    if !on.pair.expect.passes_uploads_on {
        return;
    }
    let (name, half) = (on.name(), vec![b'b'; 300_000]);
    let mut client = on.site.client();
    // Less than the client sends, for some of that may still be in the web server's buffers.
    let target = format!("/upload-in-halves?name={name}&half={}", half.len() / 3);
    client.send(&on_site(Request::new("POST", &target).body(Body::Later(Some(2 * half.len() as u64))))).unwrap();
    client.send_body(&half).unwrap();
    assert_eq!(on.site.ask(Request::get(&format!("/half?name={name}"))).text(), "it came\n");
    Box::new(client).leave();
    let outcome = on.site.ask(Request::get(&format!("/outcome?name={name}"))).text();
    assert!(outcome.ends_with("Error\n"), "half an upload passes for the whole: {outcome:?}");
}

fn download_in_part(on: &Checked) {
    let whole = on.site.ask(Request::get("/file"));
    assert_eq!((whole.code(), whole.body().len(), &whole.end), (200, 1 << 20, &End::Clean));
    assert_eq!(whole.field("accept-ranges"), Some("bytes"));
    let part = on.site.ask(Request::get("/file").field("Range", "bytes=1000-1999"));
    assert_eq!(part.code(), 206);
    assert_eq!(part.field("content-range"), Some("bytes 1000-1999/1048576"));
    assert_eq!(part.body(), whole.body()[1000..2000]);
}

fn streaming_before_the_end(on: &Checked) {
    let name = on.name();
    let mut client = on.site.client();
    client.send(&on_site(Request::get(&format!("/stream?name={name}")))).unwrap();
    assert_eq!(client.head().unwrap().code, 200);
    assert_eq!(read(&mut client, "first\n".len()), "first\n");
    // The application goes on only now.
    assert_eq!(on.site.ask(Request::get(&format!("/open?name={name}"))).text(), "opened\n");
    assert_eq!(read(&mut client, "second\n".len()), "second\n");
    assert_eq!(client.block(), Ok(None));
    assert_eq!(on.site.ask(Request::get(&format!("/closed?name={name}"))).text(), "closed\n");
}

fn early_hints_do_no_harm(on: &Checked) {
    if !on.pair.expect.early_hints {
        return;
    }
    let seen = on.site.ask(Request::get("/hints"));
    assert_eq!((seen.code(), seen.text().as_str()), (200, "hinted\n"));
}

fn client_of_http_10(on: &Checked) {
    let seen = on.site.ask(Request::get("/file").version(Version::Http10));
    assert_eq!((seen.code(), seen.body().len(), seen.end), (200, 1 << 20, End::Clean));
    assert_eq!(seen.head.as_ref().and_then(|head| head.field("transfer-encoding")), None);
}

fn head_has_no_body(on: &Checked) {
    let seen = on.site.ask(Request::new("HEAD", "/file"));
    let length = on.pair.expect.believes_length.then_some("1048576");
    assert_eq!((seen.code(), seen.field("content-length")), (200, length));
    assert!(seen.body().is_empty());
    assert!(seen.reusable, "the connection is not good for another request: {seen:?}");
}

fn not_modified(on: &Checked) {
    let seen = on.site.ask(Request::get("/cached"));
    assert_eq!((seen.code(), seen.field("etag"), seen.text().as_str()), (200, Some("\"v1\""), "fresh\n"));
    let seen = on.site.ask(Request::get("/cached").field("If-None-Match", "\"v1\""));
    assert_eq!((seen.code(), seen.field("etag")), (304, Some("\"v1\"")));
    assert!(seen.body().is_empty());
}

fn no_content(on: &Checked) {
    let seen = on.site.ask(Request::get("/nothing"));
    assert_eq!((seen.code(), &seen.end), (204, &End::Clean));
}

fn not_found(on: &Checked) {
    let seen = on.site.ask(Request::get("/no-such-page"));
    assert_eq!((seen.code(), seen.text().as_str()), (404, "there is nothing here\n"));
}

fn odd_status(on: &Checked) {
    let seen = on.site.ask(Request::get("/odd-status"));
    assert_eq!((seen.code(), seen.text().as_str()), (418, "short and stout\n"));
}

fn redirects(on: &Checked) {
    for target in ["/elsewhere?x=1", "elsewhere", &format!("http://{HOST}/a%20b"), "https://other.example/"] {
        let seen = on.site.ask(Request::get(&format!("/redirect?to={}", target.replace('%', "%25"))));
        assert_eq!((seen.code(), seen.field("location")), (302, Some(target)));
        assert_eq!(seen.text(), "elsewhere\n");
    }
}

fn cookies(on: &Checked) {
    let seen = on.site.ask(Request::get("/cookies"));
    assert_eq!(seen.fields("set-cookie"), ["a=1; Path=/", "b=2, 3; HttpOnly", "c=3; Secure"]);
    let seen = on.environ(Request::get("/environ").field("Cookie", "a=1; b=2"));
    assert_eq!(&seen["HTTP_COOKIE"], "a=1; b=2");
}

fn large_headers(on: &Checked) {
    let cookie = format!("large={}", "y".repeat(7900));
    let seen = on.site.ask(Request::get("/large-header").field("Cookie", &cookie));
    assert_eq!(seen.code(), 200);
    assert_eq!(seen.text(), cookie);
    assert_eq!(seen.field("x-large").map(str::len), Some(8000));
}

fn client_that_leaves(on: &Checked) {
    let name = on.name();
    let mut client = on.site.client();
    client.send(&on_site(Request::get(&format!("/endless?name={name}")))).unwrap();
    assert_eq!(client.head().unwrap().code, 200);
    assert!(client.block().unwrap().is_some());
    Box::new(client).leave();
    // PEP 3333: close() is called "whether the request completed normally, or terminated early".
    assert_eq!(on.site.ask(Request::get(&format!("/closed?name={name}"))).text(), "closed\n");
}

fn failure_before_the_reply(on: &Checked) {
    let seen = on.site.ask(Request::get("/fails-before"));
    assert_eq!((seen.code(), &seen.end), (500, &End::Clean));
    assert!(!seen.text().contains("RuntimeError"), "the traceback is not the client's business");
    assert_eq!(on.site.ask(Request::get("/")).code(), 200, "and it goes on");
}

fn failure_in_a_reply_of_declared_length(on: &Checked) {
    on.broken_off("&declared", on.pair.expect.believes_length || on.undeclared_truncation());
}

fn failure_in_a_reply_of_undeclared_length(on: &Checked) {
    on.broken_off("", on.undeclared_truncation());
}

fn client_as_the_application_sees_it(on: &Checked) {
    let mut client = on.site.client();
    let from = client.local().expect("TCP");
    client.send(&on_site(Request::get("/environ"))).unwrap();
    let seen = values(&client.reply());
    if on.pair.protocol == Protocol::Http {
        assert_eq!(seen["HTTP_X_FORWARDED_FOR"], from.ip().to_string());
        assert_eq!(&seen["REMOTE_ADDR"], if on.place == Place::Tcp { "127.0.0.1" } else { "" });
    } else {
        assert_eq!(seen["REMOTE_ADDR"], from.ip().to_string());
        assert_eq!(seen["REMOTE_PORT"], from.port().to_string());
        let port = if on.pair.expect.port_of_host { "80".to_owned() } else { on.site.address().port().to_string() };
        assert_eq!(seen["SERVER_PORT"], port);
    }
    assert_eq!(&seen["HTTP_HOST"], HOST);
    assert_eq!(&seen["SERVER_PROTOCOL"], "HTTP/1.1");
}

fn scheme_as_the_application_sees_it(on: &Checked) {
    let seen = on.environ(Request::get("/environ"));
    assert_eq!(&seen["wsgi.url_scheme"], "http");
    assert_ne!(&seen["HTTPS"], "on");
    let seen = lines(&on.site.curl("/environ", &["--http1.1"]));
    if on.pair.protocol == Protocol::Http {
        assert_eq!(&seen["HTTP_X_FORWARDED_PROTO"], "https");
    } else {
        assert_eq!(&seen["wsgi.url_scheme"], "https");
        assert_eq!(&seen["HTTPS"], "on");
        assert_eq!(seen["url"], format!("https://{HOST}/environ"));
    }
}

fn authorization(on: &Checked) {
    let seen = on.environ(Request::get("/environ").field("Authorization", "Bearer abc"));
    assert_eq!(&seen["HTTP_AUTHORIZATION"], "Bearer abc");
}

fn forged_headers(on: &Checked) {
    let request = Request::get("/environ")
        .field("X-Forwarded-For", "192.0.2.1")
        .field("X-Forwarded-Proto", "https")
        .field("X_Forwarded_Proto", "https")
        .field("Proxy", "http://192.0.2.1/")
        .field("Content_Length", "5")
        .field("Remote-User", "root")
        .field("Https", "on");
    let seen = on.environ(request);
    if on.pair.protocol == Protocol::Http {
        assert_eq!(seen["HTTP_X_FORWARDED_FOR"].rsplit(", ").next(), Some("127.0.0.1"));
        assert_eq!(&seen["HTTP_X_FORWARDED_PROTO"], "http");
    }
    assert_eq!(&seen["HTTP_PROXY"], ABSENT, "httpoxy");
    assert_eq!(&seen["wsgi.url_scheme"], "http");
    assert!(["", ABSENT].contains(&&seen["REMOTE_USER"]), "{seen:?}");
    assert!(["", "0", ABSENT].contains(&&seen["CONTENT_LENGTH"]), "{seen:?}");
}

/// How many connections the server sees for requests that follow one another.
fn connections_to_the_server(pair: &Pair) {
    let site = Setup::of(pair).relayed().start();
    assert_eq!(site.ask(Request::get("/")).code(), 200);
    let begin = site.connections();
    for _ in 0..ROUNDS {
        // Each with a connection of its own to the web server.
        assert_eq!(site.ask(Request::get("/environ")).code(), 200);
        assert_eq!(site.ask(Request::post("/upload", "body")).code(), 200);
    }
    let several = site.connections() - begin;
    let mut client = site.client();
    for _ in 0..ROUNDS {
        for request in [Request::get("/environ"), Request::post("/upload", "body")] {
            client.send(&on_site(request)).unwrap();
            assert_eq!(client.reply().code(), 200);
        }
    }
    let one = site.connections() - begin - several;
    // Of those that are kept, one may be given up now and then, and checks of the server's health have their own.
    let (few, all) = (ROUNDS / 2, 2 * ROUNDS);
    match pair.expect.keeps_connections {
        Keeps::ForAll => assert!(several <= few && one <= few, "{several} and {one} connections for {all} requests each"),
        Keeps::ForOneClient => assert!(several >= all && one <= few, "{several} and {one} connections for {all} requests each"),
        Keeps::No => assert!(several >= all && one >= all, "{several} and {one} connections for {all} requests each"),
    }
}

const ROUNDS: usize = 10;

impl Checked<'_> {
    /// The environ that a request makes.
    fn environ(&self, request: Request) -> Values {
        self.values(request)
    }

    fn values(&self, request: Request) -> Values {
        values(&self.site.ask(request))
    }

    /// Whether the client can tell that a reply of undeclared length broke off.
    fn undeclared_truncation(&self) -> bool {
        match self.place {
            Place::Unix => self.pair.expect.truncation_over_unix,
            Place::Tcp => self.pair.expect.truncation_over_tcp,
        }
    }

    /// A name that no other check uses.
    fn name(&self) -> String {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        format!("n{}", COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// A reply that the application breaks off when the client has seen its first block.
    fn broken_off(&self, query: &str, visible: bool) {
        let name = self.name();
        let mut client = self.site.client();
        // With a connection that is to be kept, Apache lets the client wait for the end until it would have given up the next request.
        let request = Request::get(&format!("/fails-in-body?name={name}{query}")).field("Connection", "close");
        client.send(&on_site(request)).unwrap();
        assert_eq!(client.head().unwrap().code, 200);
        assert_eq!(read(&mut client, "part of it\n".len()), "part of it\n");
        assert_eq!(self.site.ask(Request::get(&format!("/open?name={name}"))).code(), 200);
        let end = client.block();
        assert_ne!(end, Err(Broken::Silent), "nothing says that it is over");
        assert_eq!(end.is_err(), visible, "{end:?}");
    }
}

/// What the application said in lines of `NAME=value`. A name that is not among them reads as `ABSENT`.
#[derive(Debug)]
/// Read it by index.
pub struct Values(BTreeMap<String, String>);

const ABSENT: &str = "(absent)";

impl std::ops::Index<&str> for Values {
    type Output = str;

    fn index(&self, name: &str) -> &str {
        self.0.get(name).map_or(ABSENT, String::as_str)
    }
}

fn values(seen: &Seen) -> Values {
    assert_eq!((seen.code(), &seen.end), (200, &End::Clean), "{}", seen.text());
    lines(&seen.text())
}

/// Reads such lines.
pub fn lines(text: &str) -> Values {
    Values(text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Adler-32 (RFC 1950), as Python's `zlib.adler32`.
fn checksum(bytes: &[u8]) -> String {
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (b + a) % 65521)
    });
    (b << 16 | a).to_string()
}

/// Reads exactly so much of a body.
fn read(client: &mut dyn Conversation, length: usize) -> String {
    let mut text = Vec::new();
    while text.len() < length {
        match client.block() {
            Ok(Some(block)) => text.extend(block),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&text)),
        }
    }
    String::from_utf8(text).expect("text")
}

/// What a panic said.
pub fn reason(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}
