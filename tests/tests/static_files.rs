//! Static files as clients meet them: `StaticFiles` under the engine, over HTTP.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use tempfile::TempDir;
use wsgi_core::files::StaticFiles;
use wsgi_core::server::{Handle, Listener, Server};
use wsgi_core::wire::{Address, Known, ResponseHead};
use wsgi_core::{Exchange, Handler, Mount};
use wsgi_fastcgi::{FastCgi, client};
use wsgi_http::Http1;
use wsgi_tests::browser::Browser;
use wsgi_tests::client::Wire;
use wsgi_tests::column::{Conversation, End, Request, Seen};
use wsgi_uwsgi_proto::{Scgi, Uwsgi};

/// The application behind the files.
struct Application;

impl Handler for Application {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let path = exchange.head().get(Known::PathInfo).unwrap_or_default();
        let text = [b"application ", path].concat();
        let mut head = ResponseHead::new(b"200 OK").expect("a status");
        head.set_content_length(text.len() as u64);
        exchange.start(&head);
        exchange.data(&text);
        exchange.finish();
    }
}

/// Folders with files that have been there for long.
struct Folders(TempDir);

impl Folders {
    fn new() -> Folders {
        Folders(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn with(self, name: &str, content: impl AsRef<[u8]>) -> Folders {
        self.write(name, content, THEN);
        self
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>, modified: u64) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, content).expect("a file");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(modified);
        File::options().write(true).open(&path).and_then(|file| file.set_modified(time)).expect("a time");
    }
}

struct Site {
    address: SocketAddr,
    handle: Handle,
}

impl Site {
    fn new(handler: impl Handler + 'static) -> Site {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
        let running = Server::new(handler).listen(listener, Http1::new()).threads(2).start().unwrap();
        Site { address, handle: running.handle() }
    }

    fn browser(&self) -> Browser {
        Browser::new(self.address)
    }

    /// Asks with these fields.
    fn get(&self, target: &str, fields: &[(&str, &str)]) -> Seen {
        self.browser().send(with(Request::get(target), fields))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.handle.hurry();
    }
}

fn with(request: Request, fields: &[(&str, &str)]) -> Request {
    fields.iter().fold(request, |request, (name, value)| request.field(name, value))
}

/// A site with `/static` and these files.
fn site(folders: &Folders, configure: impl FnOnce(StaticFiles) -> StaticFiles) -> Site {
    Site::new(configure(StaticFiles::new().map("/static", folders.path("files")).unwrap()).otherwise(Application))
}

#[test]
fn a_file_is_sent_with_all_that_a_client_wants_to_know() {
    let folders = Folders::new().with("files/css/base.css", "body { color: red }\n").with("files/logo.png", [0x89; 100]);
    let site = site(&folders, |files| files);
    let mut browser = site.browser();
    let seen = browser.get("/static/css/base.css?v=1");
    assert_eq!((seen.code(), seen.text().as_str(), seen.end), (200, "body { color: red }\n", End::Clean));
    for (name, value) in [
        ("content-type", Some("text/css; charset=utf-8")),
        ("content-length", Some("20")),
        ("etag", Some(TAG)),
        ("last-modified", Some(WHEN)),
        ("accept-ranges", Some("bytes")),
        ("vary", Some("Accept-Encoding")),
        ("x-content-type-options", Some("nosniff")),
        ("content-encoding", None),
        ("cache-control", None),
        ("expires", None),
    ] {
        assert_eq!(seen.field(name), value, "{name}");
    }
    let head = browser.send(Request::new("HEAD", "/static/css/base.css"));
    assert_eq!((head.code(), head.body().len(), head.end), (200, 0, End::Clean));
    for name in ["content-type", "content-length", "etag", "last-modified", "accept-ranges", "vary"] {
        assert_eq!(head.head.as_ref().unwrap().field(name), seen.field(name), "{name}");
    }
    let picture = browser.get("/static/logo.png");
    assert_eq!((picture.field("content-type"), picture.field("vary"), picture.body().len()), (Some("image/png"), None, 100));
}

#[test]
fn a_range_is_a_part_of_the_file() {
    let content: Vec<u8> = (0..200_000u32).map(|n| (n / 7) as u8).collect();
    let folders = Folders::new().with("files/film.mp4", &content).with("files/short.txt", "0123456789");
    let site = site(&folders, |files| files);
    // Small, and large enough to be left to the engine.
    for (range, part, field) in [
        ("bytes=0-0", 0..1, "bytes 0-0/200000"),
        ("bytes=100-", 100..200_000, "bytes 100-199999/200000"),
        ("bytes=-5", 199_995..200_000, "bytes 199995-199999/200000"),
        ("bytes=5-900000", 5..200_000, "bytes 5-199999/200000"),
    ] {
        let seen = site.get("/static/film.mp4", &[("Range", range)]);
        assert_eq!((seen.code(), seen.field("content-range")), (206, Some(field)));
        assert_eq!(seen.field("content-length"), Some(part.len().to_string().as_str()));
        assert!(seen.body() == content[part], "{range}");
    }
    for range in ["bytes=3-2", "lines=1-2", "bytes=0-199999,0-1"] {
        let seen = site.get("/static/film.mp4", &[("Range", range)]);
        assert_eq!((seen.code(), seen.field("content-range"), seen.body() == content), (200, None, true), "{range}");
    }
    let beyond = site.get("/static/film.mp4", &[("Range", "bytes=200000-")]);
    assert_eq!((beyond.code(), beyond.field("content-range")), (416, Some("bytes */200000")));
    let head = site.browser().send(Request::new("HEAD", "/static/film.mp4").field("Range", "bytes=0-0"));
    assert_eq!((head.code(), head.field("content-length"), head.field("content-range")), (200, Some("200000"), None));
}

#[test]
fn several_ranges_are_one_multipart_body() {
    let content: Vec<u8> = (0..300_000u32).map(|n| (n / 7) as u8).collect();
    let folders = Folders::new().with("files/text.txt", "0123456789").with("files/large.bin", &content);
    let site = site(&folders, |files| files);
    let seen = site.get("/static/text.txt", &[("Range", "bytes=0-1, 20-30, -2")]);
    assert_eq!((seen.code(), seen.field("content-range")), (206, None));
    let boundary = seen.field("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
    assert_eq!(
        seen.text(),
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
             \r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
             \r\n--{boundary}--\r\n"
        )
    );
    // Of several of which one is there, that one.
    let seen = site.get("/static/text.txt", &[("Range", "bytes=2-3,20-")]);
    assert_eq!((seen.code(), seen.field("content-range"), seen.text().as_str()), (206, Some("bytes 2-3/10"), "23"));
    // What the coding is of would be the whole body, with what separates the parts.
    folders.write("files/text.txt.gz", "compressed", THEN);
    let seen = site.get("/static/text.txt", &[("Range", "bytes=0-1,-2"), ("Accept-Encoding", "gzip")]);
    assert_eq!((seen.code(), seen.field("content-encoding"), seen.text().as_str()), (200, Some("gzip"), "compressed"));
    let seen = site.get("/static/text.txt", &[("Range", "bytes=-2"), ("Accept-Encoding", "gzip")]);
    assert_eq!((seen.code(), seen.field("content-encoding"), seen.text().as_str()), (206, Some("gzip"), "ed"));
    // Parts that are left to the engine.
    let seen = site.get("/static/large.bin", &[("Range", "bytes=200000-299999,0-99999")]);
    let body = seen.body();
    let starts = |at: usize, text: &[u8]| body[at..].starts_with(text);
    let first = body.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    assert!(starts(first, &content[200_000..]));
    let second = first + 100_000 + body[first + 100_000..].windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    assert!(starts(second, &content[..100_000]) && starts(second + 100_000, b"\r\n--"));
    assert_eq!(seen.field("content-length"), Some(body.len().to_string().as_str()));
}

#[test]
fn conditions_save_the_body_or_stop_the_request() {
    let folders = Folders::new().with("files/css/base.css", "body { color: red }\n");
    let site = site(&folders, |files| files.fresh_for(|_| Some(Duration::from_secs(60))));
    let target = "/static/css/base.css";
    for (fields, code) in [
        (&[("If-None-Match", TAG)][..], 304),
        (&[("If-None-Match", "W/\"x\", *")], 200),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", "\"x\""), ("If-Modified-Since", WHEN)], 200),
        (&[("If-Modified-Since", WHEN)], 304),
        (&[("If-Modified-Since", "Sunday, 09-Sep-01 01:46:40 GMT")], 304),
        (&[("If-Modified-Since", "Sun, 09 Sep 2001 01:46:39 GMT")], 200),
        (&[("If-Match", TAG)], 200),
        (&[("If-Match", "\"x\"")], 412),
        (&[("If-Unmodified-Since", "Sun, 09 Sep 2001 01:46:39 GMT")], 412),
        (&[("Range", "bytes=0-3"), ("If-Range", TAG)], 206),
        (&[("Range", "bytes=0-3"), ("If-Range", WHEN)], 206),
        (&[("Range", "bytes=0-3"), ("If-Range", "\"x\"")], 200),
        (&[("Range", "bytes=99-"), ("If-Range", "\"x\"")], 200),
        (&[("Range", "bytes=99-"), ("If-None-Match", TAG)], 304),
    ] {
        for method in ["GET", "HEAD"] {
            // HEAD has no ranges.
            let code = if method == "HEAD" && code == 206 { 200 } else { code };
            let mut browser = site.browser();
            let seen = browser.send(with(Request::new(method, target), fields));
            assert_eq!(seen.code(), code, "{method} {fields:?}");
            if code == 304 {
                assert_eq!((seen.body().len(), seen.field("content-length"), seen.field("content-type")), (0, None, None));
                assert_eq!((seen.field("etag"), seen.field("cache-control")), (Some(TAG), Some("max-age=60")));
                assert!(seen.field("expires").is_some() && seen.field("vary").is_some());
                // Nothing of a body has come in between.
                assert_eq!(browser.get("/static/none").text(), "application /static/none");
            }
        }
    }
}

/// What was changed just now may change again within the same tick of the clock.
#[test]
fn a_file_that_was_just_changed_has_a_weak_tag() {
    let folders = Folders::new();
    fs::create_dir(folders.path("files")).unwrap();
    fs::write(folders.path("files/new.txt"), "new").unwrap();
    let site = site(&folders, |files| files);
    let tag = site.get("/static/new.txt", &[]).field("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(site.get("/static/new.txt", &[("If-None-Match", &tag)]).code(), 304);
    assert_eq!(site.get("/static/new.txt", &[("Range", "bytes=0-0"), ("If-Range", &tag)]).code(), 200);
}

#[test]
fn a_compressed_file_stands_in_for_its_original() {
    let folders = Folders::new()
        .with("files/a.js", "plain")
        .with("files/a.js.gz", "gzip!")
        .with("files/a.js.br", "brotl")
        .with("files/b.js", "plain");
    folders.write("files/b.js.gz", "stale", THEN - 1);
    folders.write("files/a.png", "plain", THEN);
    folders.write("files/a.png.gz", "never", THEN);
    let handler = |files: StaticFiles| files;
    let site = site(&folders, handler);
    let mut tags = Vec::new();
    for (target, accepted, coding, text) in [
        ("/static/a.js", "gzip, deflate, br", Some("br"), "brotl"),
        ("/static/a.js", "gzip;q=1, br;q=0.5", Some("gzip"), "gzip!"),
        ("/static/a.js", "zstd, gzip", Some("gzip"), "gzip!"),
        ("/static/a.js", "zstd", None, "plain"),
        ("/static/a.js", "br;q=0, *", Some("gzip"), "gzip!"),
        ("/static/a.js", "identity", None, "plain"),
        ("/static/b.js", "gzip", None, "plain"),
        ("/static/a.png", "gzip", None, "plain"),
    ] {
        let seen = site.get(target, &[("Accept-Encoding", accepted)]);
        assert_eq!((seen.code(), seen.field("content-encoding"), seen.text().as_str()), (200, coding, text), "{target} {accepted}");
        if target.ends_with(".js") {
            assert_eq!((seen.field("vary"), seen.field("content-type")), (Some("Accept-Encoding"), Some("text/javascript; charset=utf-8")));
        }
        if target == "/static/a.js" {
            tags.push((coding, seen.field("etag").unwrap().to_owned()));
        }
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3, "{tags:?}");
    // A copy in one coding is no copy in another.
    let (_, gzip) = tags.iter().find(|(coding, _)| *coding == Some("gzip")).unwrap();
    assert_eq!(site.get("/static/a.js", &[("Accept-Encoding", "gzip"), ("If-None-Match", gzip)]).code(), 304);
    assert_eq!(site.get("/static/a.js", &[("Accept-Encoding", "br"), ("If-None-Match", gzip)]).code(), 200);
    assert_eq!(site.get("/static/a.js", &[("If-None-Match", gzip)]).code(), 200);
    // By its own name it is a file like any other.
    let itself = site.get("/static/a.js.gz", &[("Accept-Encoding", "gzip")]);
    assert_eq!((itself.field("content-type"), itself.field("content-encoding")), (Some("application/gzip"), None));
    let plain = StaticFiles::new().check(folders.path("files")).unwrap().precompressed(false);
    let seen = Site::new(plain).get("/a.js", &[("Accept-Encoding", "gzip")]);
    assert_eq!((seen.text().as_str(), seen.field("vary")), ("plain", None));
}

#[test]
fn what_is_not_there_is_the_applications() {
    let folders = Folders::new().with("files/a.css", "css").with("public/robots.txt", "robots").with("public/x.php", "source");
    let files = StaticFiles::new().map("/static", folders.path("files")).unwrap().check(folders.path("public")).unwrap().skip(".php");
    let site = Site::new(files.otherwise(Application));
    let mut browser = site.browser();
    for (target, text) in [
        ("/static/a.css", "css"),
        ("//static/a.css", "application //static/a.css"),
        ("/static//a.css", "css"),
        ("/static/none.css", "application /static/none.css"),
        ("/static/a.css/", "application /static/a.css/"),
        ("/static/a.css/b", "application /static/a.css/b"),
        ("/staticfiles", "application /staticfiles"),
        ("/static", "application /static"),
        ("/static/", "application /static/"),
        ("/robots.txt", "robots"),
        ("/x.php", "application /x.php"),
        ("/", "application /"),
    ] {
        assert_eq!(browser.get(target).text(), text, "{target}");
    }
    // A file has no other methods; what is only looked for first, has them all.
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = browser.send(Request::new(method, "/static/a.css"));
        assert_eq!((refused.code(), refused.field("allow")), (405, Some("GET, HEAD")), "{method}");
        assert_eq!(browser.send(Request::new(method, "/static/none")).text(), "application /static/none");
        assert_eq!(browser.send(Request::new(method, "/robots.txt")).text(), "application /robots.txt");
    }
    // With nobody behind it, there is nobody to leave it to.
    let alone = Site::new(Mount::new().at("/files", StaticFiles::new().check(folders.path("public")).unwrap()));
    let mut browser = alone.browser();
    assert_eq!(browser.get("/files/robots.txt").text(), "robots");
    assert_eq!(browser.get("/files/none").code(), 404);
    assert_eq!(browser.send(Request::new("POST", "/files/robots.txt")).code(), 405);
    assert_eq!(browser.send(Request::new("POST", "/files/none")).code(), 404);
}

#[test]
fn maps_are_tried_from_the_longest_prefix_on() {
    let folders = Folders::new()
        .with("one/a", "one a")
        .with("one/b", "one b")
        .with("one/deep/c", "one c")
        .with("two/a", "two a")
        .with("two/d", "two d")
        .with("three/c", "three c")
        .with("whole/media/e", "whole e")
        .with("icons/favicon.ico", "icon");
    let files = StaticFiles::new()
        .check(folders.path("one"))
        .unwrap()
        .map("/x", folders.path("one"))
        .unwrap()
        .map("x/", folders.path("two"))
        .unwrap()
        .map("/x/deep", folders.path("three"))
        .unwrap()
        .map_whole("/media", folders.path("whole"))
        .unwrap()
        .map("/favicon.ico", folders.path("icons/favicon.ico"))
        .unwrap();
    let site = Site::new(files.otherwise(Application));
    let mut browser = site.browser();
    for (target, text) in [
        ("/x/a", "one a"),
        ("/x/b", "one b"),
        ("/x/d", "two d"),
        ("/x/deep/c", "three c"),
        ("/x/deep/a", "application /x/deep/a"),
        ("/deep/c", "one c"),
        ("/media/e", "whole e"),
        ("/e", "application /e"),
        ("/favicon.ico", "icon"),
        ("/favicon.ico/", "application /favicon.ico/"),
        ("/favicon.ico/favicon.ico", "application /favicon.ico/favicon.ico"),
    ] {
        assert_eq!(browser.get(target).text(), text, "{target}");
    }
    let error = StaticFiles::new().map("/x", folders.path("none")).unwrap_err().to_string();
    assert!(error.starts_with("cannot serve files from /") && error.contains("/none: No such file"), "{error}");
    assert!(StaticFiles::new().check(folders.path("one/a")).unwrap_err().to_string().contains("not a directory"));
}

#[test]
fn a_folder_is_its_index_under_a_path_that_ends_in_a_slash() {
    let folders = Folders::new()
        .with("files/index.html", "top")
        .with("files/docs/index.htm", "docs")
        .with("files/both/index.htm", "htm")
        .with("files/both/index.html", "html")
        .with("files/empty/x", "x")
        .with("files/a:b/index.html", "colon");
    let site = site(&folders, |files| files.index("index.html").index("index.htm"));
    let mut browser = site.browser();
    for (target, text) in [
        ("/static/", "top"),
        ("/static/docs/", "docs"),
        ("/static/both/", "html"),
        ("/static/empty/", "application /static/empty/"),
        ("/static/empty", "application /static/empty"),
        ("/static/a:b/", "colon"),
    ] {
        assert_eq!(browser.get(target).text(), text, "{target}");
    }
    assert_eq!(browser.get("/static/docs/").field("content-type"), Some("text/html; charset=utf-8"));
    for (target, location) in [
        ("/static", "./static/"),
        ("/static/docs", "./docs/"),
        ("/static/docs?a=%20b", "./docs/?a=%20b"),
        ("/static//docs", "./docs/"),
        // What is not separated for the client begins where it begins for the client.
        ("/static%2Fdocs?x", "./static%2Fdocs/?x"),
        ("http://x/static/d%6Fcs", "./d%6Fcs/"),
        ("/static/a:b", "./a:b/"),
    ] {
        let seen = browser.get(target);
        assert_eq!((seen.code(), seen.field("location")), (301, Some(location)), "{target}");
    }
    assert_eq!(browser.send(Request::new("POST", "/static/docs")).code(), 405);
    // At the root a path may look like another host.
    let root = Site::new(StaticFiles::new().map("/", folders.path("files")).unwrap().index("index.htm").otherwise(Application));
    let seen = root.get("//docs", &[]);
    assert_eq!((seen.code(), seen.field("location")), (301, Some("./docs/")));
    // The mount's own name is the last of the path.
    let mounted = Site::new(Mount::new().at("/m", StaticFiles::new().check(folders.path("files/docs")).unwrap().index("index.htm")));
    assert_eq!(mounted.get("/m", &[]).field("location"), Some("./m/"));
    assert_eq!(mounted.get("/m/", &[]).text(), "docs");
}

#[test]
fn nothing_outside_a_folder_is_served() {
    let folders =
        Folders::new().with("secret", "outer").with("files/.env", "dot").with("files/.well-known/x", "known").with("files/a", "inner");
    symlink(folders.path("secret"), folders.path("files/link")).unwrap();
    symlink("a", folders.path("files/inner")).unwrap();
    symlink("/", folders.path("files/root")).unwrap();
    let site = site(&folders, |files| files);
    let root = format!("/static/root{}", folders.path("secret").display());
    for target in [
        "/static/../secret",
        "/static/%2e%2e/secret",
        "/static/%2E%2E%2Fsecret",
        "/static/..%2fsecret",
        "/static/./a",
        "/static/a%00.css",
        "/static/%00",
        "/static/..%5csecret",
        "/static/link",
        "/static/.env",
        "/static/%2eenv",
        "/static//.env",
        &root,
    ] {
        let seen = site.get(target, &[]);
        assert!(seen.text().starts_with("application /static"), "{target}: {}", seen.text());
    }
    for (target, text) in [("/static/inner", "inner"), ("/static/.well-known/x", "known"), ("/static%2Fa", "inner")] {
        assert_eq!(site.get(target, &[]).text(), text, "{target}");
    }
    let open = StaticFiles::new().check(folders.path("files")).unwrap().dotfiles(true).safe(folders.path("")).unwrap();
    let open = Site::new(open);
    for (target, text) in [("/.env", "dot"), ("/link", "outer"), ("/../secret", "Not Found\n")] {
        assert_eq!(open.get(target, &[]).text(), text, "{target}");
    }
}

#[test]
fn how_long_a_copy_is_fresh_is_said_for_each_file() {
    let folders = Folders::new().with("files/a.css", "css").with("files/b.foo", "foo");
    let base = folders.path("files");
    let site = site(&folders, |files| {
        files.content_type("foo", "text/x-foo").unwrap().fresh_for(move |file| {
            assert_eq!(file.modified, SystemTime::UNIX_EPOCH + Duration::from_secs(THEN));
            assert!(file.path.starts_with(&base) && file.path_info.starts_with(b"/static/") && file.request_uri.ends_with(b"?q"));
            (file.content_type == "text/x-foo").then_some(Duration::from_secs(3600))
        })
    });
    let foo = site.get("/static/b.foo?q", &[]);
    assert_eq!((foo.field("content-type"), foo.field("cache-control")), (Some("text/x-foo; charset=utf-8"), Some("max-age=3600")));
    let (date, expires) = (foo.field("date").unwrap(), foo.field("expires").unwrap());
    let seconds = |text: &str| wsgi_core::wire::HttpDate::parse(text.as_bytes()).unwrap().unix_seconds();
    assert!((3599..=3601).contains(&(seconds(expires) - seconds(date))), "{date} {expires}");
    assert_eq!(site.get("/static/a.css?q", &[]).field("cache-control"), None);
}

/// More slow readers than threads, and the application goes on answering.
#[test]
fn slow_readers_of_large_files_hold_no_thread() {
    let folders = Folders::new().with("files/small", "small");
    let large = File::create(folders.path("files/large")).unwrap();
    large.set_len(64 << 20).unwrap();
    let site = site(&folders, |files| files);
    let mut slow: Vec<Wire> = (0..12)
        .map(|_| {
            let mut wire = Wire::tcp(site.address).unwrap();
            wire.send(&Request::get("/static/large").field("Host", "x")).unwrap();
            assert_eq!(wire.head().unwrap().code, 200);
            wire
        })
        .collect();
    for _ in 0..50 {
        assert_eq!(site.browser().get("/page").text(), "application /page");
        assert_eq!(site.browser().get("/static/small").text(), "small");
    }
    // Each still gets all of it, and its connection is good for more.
    for wire in slow.iter_mut().take(2) {
        let mut bytes = 0;
        while let Some(block) = wire.block().unwrap() {
            bytes += block.len();
        }
        assert_eq!(bytes, 64 << 20);
        wire.send(&Request::get("/static/small").field("Host", "x")).unwrap();
        assert_eq!(wire.reply().text(), "small");
    }
    // A download that is broken off harms nobody.
    drop(slow);
    assert_eq!(site.browser().get("/page").text(), "application /page");
}

/// The protocols of web servers: a reply to the connection's end, and records of 64 KiB.
#[test]
fn a_large_file_goes_through_every_protocol_and_holds_no_thread() {
    let content: Vec<u8> = (0..24_000_000u32).map(|n| (n / 13) as u8).collect();
    let folders = Folders::new().with("files/large", &content).with("files/small", "small");
    let handler = StaticFiles::new().map("/static", folders.path("files")).unwrap().otherwise(Application);
    let bind = || Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let (uwsgi, fastcgi, scgi) = (bind(), bind(), bind());
    let [to_uwsgi, to_fastcgi, to_scgi] = [&uwsgi, &fastcgi, &scgi].map(|listener| match listener.local_address() {
        Address::Tcp(address) => *address,
        other => panic!("bound to {other:?}"),
    });
    let server = Server::new(handler).threads(2).listen(uwsgi, Uwsgi::new()).listen(fastcgi, FastCgi::new()).listen(scgi, Scgi::new());
    let running = server.start().unwrap();

    let variables =
        |path: &'static str| [("REQUEST_METHOD", "GET"), ("REQUEST_URI", path), ("PATH_INFO", path), ("HTTP_RANGE", "bytes=1-")];
    let ask = |address: SocketAddr, path: &'static str| {
        let mut packet = Vec::new();
        let request = client::Request::new(1);
        if address == to_uwsgi {
            wsgi_uwsgi_proto::client::encode(0, variables(path), &mut packet).unwrap();
        } else if address == to_fastcgi {
            request.begin(variables(path), &mut packet).unwrap();
            request.end_body(&mut packet);
        } else {
            let fields = [("CONTENT_LENGTH", "0"), ("SCGI", "1")].into_iter().chain(variables(path));
            let text: String = fields.map(|(name, value)| format!("{name}\0{value}\0")).collect();
            packet = format!("{}:{text},", text.len()).into_bytes();
        }
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&packet).unwrap();
        stream
    };
    let body = |address: SocketAddr, mut stream: TcpStream| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        if address != to_fastcgi {
            let end = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
            assert!(bytes.starts_with(b"HTTP/1.1 206 ") || bytes.starts_with(b"Status: 206 "), "{:?}", &bytes[..end]);
            return bytes.split_off(end + 4);
        }
        let (mut reply, mut head) = (client::Reply::to(client::Request::new(1), b"GET"), ResponseHead::default());
        let (mut input, mut body) = (BytesMut::from(&bytes[..]), Vec::new());
        loop {
            match reply.poll(&mut input, &mut head).unwrap() {
                client::Event::Head => assert_eq!(head.code(), 206),
                client::Event::Body(piece) => body.extend_from_slice(&piece),
                client::Event::End(end) => {
                    assert!(end.is_complete());
                    return body;
                }
                other => panic!("{other:?} after {} bytes", body.len()),
            }
        }
    };
    let addresses = [to_uwsgi, to_fastcgi, to_scgi];
    let slow: Vec<_> = addresses.iter().cycle().take(9).map(|address| (*address, ask(*address, "/static/large"))).collect();
    for (_, stream) in &slow {
        // Its reply has begun, so its file is being sent.
        stream.peek(&mut [0]).unwrap();
    }
    for address in addresses {
        assert_eq!(body(address, ask(address, "/static/small")), b"mall");
    }
    for (address, stream) in slow {
        assert!(body(address, stream) == content[1..], "{address} of {addresses:?}");
    }
    running.handle().hurry();
}

/// The second in which all files of these tests were modified, as a number, a date and a part of a tag for 20 bytes.
const THEN: u64 = 1_000_000_000;
const WHEN: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
const TAG: &str = "\"de0b6b3a7640000-14\"";
