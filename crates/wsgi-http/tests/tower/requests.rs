//! What a handler sees of a request.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{Empty, Full};
use tower::ServiceExt;
use wsgi_core::wire::{Address, Known, Limits, Link, Underscores};

use super::common::*;

fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let builder = fields.iter().fold(Request::builder().method(method).uri(uri), |builder, (name, value)| builder.header(*name, *value));
    builder.body(Empty::new()).unwrap()
}

fn seen(service: &wsgi_http::tower::WsgiService, request: Request<Empty<Bytes>>) -> String {
    let (code, text) = answer(service, request);
    assert_eq!(code, 200, "{text}");
    text
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|other| other == line)
}

#[test]
fn a_request_becomes_cgi_variables_and_nothing_else() {
    let fields = [("Host", "shop.test:8080"), ("Accept", "a"), ("X-Two", "1"), ("accept", "b"), ("x-two", "2"), ("Content-Type", "c/d")];
    let text = seen(&show(), request("GET", "/caf%C3%A9%2fx;y//z?q=%20&r", &fields));
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "CONTENT_TYPE=c/d",
            "HTTP_ACCEPT=a,b",
            "HTTP_HOST=shop.test:8080",
            "HTTP_X_TWO=1,2",
            "PATH_INFO=/café/x;y//z",
            "QUERY_STRING=q=%20&r",
            "RAW_URI=/caf%C3%A9%2fx;y//z?q=%20&r",
            "REQUEST_METHOD=GET",
            "REQUEST_URI=/caf%C3%A9%2fx;y//z?q=%20&r",
            "SERVER_NAME=shop.test",
            "SERVER_PORT=8080",
            "SERVER_PROTOCOL=HTTP/1.1",
        ]
    );
}

#[test]
fn the_authority_stands_for_the_host_and_cookies_are_one() {
    let mut two = request("GET", "https://user:secret@shop.test/a", &[("Host", "forged"), ("Cookie", "a=1"), ("Cookie", "b=2")]);
    *two.version_mut() = Version::HTTP_2;
    let text = seen(&show(), two);
    for line in ["HTTP_HOST=shop.test", "HTTP_COOKIE=a=1; b=2", "SERVER_PROTOCOL=HTTP/2.0", "SERVER_NAME=shop.test", "PATH_INFO=/a"] {
        assert!(has(&text, line), "{line}: {text}");
    }
    assert!(!text.contains("forged") && !text.contains("secret"), "{text}");
}

#[test]
fn a_request_without_a_usable_host_is_to_localhost() {
    for fields in [&[][..], &[("Host", "a b")], &[("Host", "")]] {
        assert!(has(&seen(&show(), request("GET", "/", fields)), "SERVER_NAME=localhost"), "{fields:?}");
    }
    let named = show().server_name("www.example.org");
    assert!(has(&seen(&named, request("GET", "/", &[("Host", "other:81")])), "SERVER_NAME=www.example.org"));
}

#[test]
fn a_prefix_that_a_router_takes_off_is_the_script_name() {
    for (nest, script, target, expected) in [
        ("/app", "/app", "/app", ["/app", "/", "/app/"]),
        ("/app", "app/", "/app/", ["/app", "/", "/app/"]),
        ("/app", "/app", "/app/app?x", ["/app", "/app", "/app/app?x"]),
        ("/app", "/app", "/app/x%2Fy%20z", ["/app", "/x/y z", "/app/x%2Fy%20z"]),
        ("/caf%C3%A9/b", "/caf%C3%A9/b", "/caf%C3%A9/b/x", ["/café/b", "/x", "/caf%C3%A9/b/x"]),
    ] {
        let router = Router::<()>::new().nest_service(nest, show().script_name(script));
        let text = run(async { text(router.oneshot(get(target)).await.unwrap()).await });
        let [script, path, uri] = expected;
        for line in [format!("SCRIPT_NAME={script}"), format!("PATH_INFO={path}"), format!("REQUEST_URI={uri}")] {
            assert!(has(&text, &line), "{target}: {line}: {text}");
        }
    }
    let text = seen(&show().script_name("/app").script_name(""), get("/x"));
    assert!(!text.contains("SCRIPT_NAME") && has(&text, "REQUEST_URI=/x"), "{text}");
}

#[test]
fn a_prefix_that_stays_on_is_moved_by_a_mount_to_the_letter() {
    let mount = wsgi_core::Mount::new().at(
        "/app",
        With(|exchange: &mut dyn wsgi_core::Exchange| {
            let text = |name| exchange.head().get(name).unwrap_or(b"-").to_vec();
            let seen = [text(Known::ScriptName), text(Known::PathInfo), text(Known::RequestUri)].join(&b' ');
            reply(exchange, &seen);
        }),
    );
    let service = wsgi_http::tower::WsgiService::new(wsgi_core::workers::Workers::builder(mount).start().unwrap());
    let router = Router::<()>::new()
        .route_service("/app", service.clone())
        .route_service("/app/{*rest}", service.clone())
        .route_service("/app/", service);
    for (target, expected) in [("/app", "/app  /app"), ("/app/", "/app / /app/"), ("/app/app", "/app /app /app/app")] {
        assert_eq!(run(async { text(router.clone().oneshot(get(target)).await.unwrap()).await }), expected);
    }
}

#[test]
fn a_script_name_that_is_no_path_is_refused_when_it_is_set() {
    for name in ["/50%", "/a%zz", "/a?b"] {
        let refused = std::panic::catch_unwind(|| show().script_name(name)).expect_err(name);
        assert!(refused.downcast_ref::<String>().unwrap().contains(name));
    }
}

#[test]
fn the_peer_is_what_an_extension_says() {
    let service = show().peer_from(|info: &ConnectInfo<SocketAddr>| info.0);
    let mut from = get("/");
    from.extensions_mut().insert(ConnectInfo(SocketAddr::from(([198, 51, 100, 7], 1234))));
    let text = seen(&service, from);
    assert!(has(&text, "REMOTE_ADDR=198.51.100.7") && has(&text, "REMOTE_PORT=1234"), "{text}");
    assert!(!seen(&service, get("/")).contains("REMOTE_"));
    let mut mapped = get("/");
    mapped.extensions_mut().insert(ConnectInfo("[::ffff:198.51.100.7]:1".parse::<SocketAddr>().unwrap()));
    assert!(has(&seen(&service, mapped), "REMOTE_ADDR=198.51.100.7"));
}

#[test]
fn a_link_says_both_ends_and_whether_it_is_tls() {
    let address = |text: &str| Address::Tcp(text.parse().unwrap());
    for secure in [true, false] {
        let mut request = request("GET", "/", &[("Host", "other.test")]);
        request.extensions_mut().insert(Link { local: address("192.0.2.1:443"), remote: address("[2001:db8::1]:5"), secure });
        let text = seen(&show(), request);
        for line in ["SERVER_NAME=192.0.2.1", "SERVER_PORT=443", "REMOTE_ADDR=2001:db8::1", "REMOTE_PORT=5", "HTTP_HOST=other.test"] {
            assert!(has(&text, line), "{line}: {text}");
        }
        assert_eq!((has(&text, "HTTPS=on"), has(&text, "REQUEST_SCHEME=https")), (secure, secure), "{text}");
    }
}

#[derive(Clone)]
struct User(&'static str);

#[test]
fn a_layer_may_set_variables_and_a_client_may_not() {
    let service = show()
        .variables_from(|user: &User, head| head.set(Known::RemoteUser, user.0.as_bytes()))
        .variables_from(|user: &User, head| head.variable(b"app.user", user.0.as_bytes()))
        .underscores(Underscores::Keep);
    let fields =
        [("REMOTE_USER", "root"), ("Remote-User", "root"), ("HTTPS", "on"), ("SCRIPT_NAME", "/x"), ("Proxy", "x"), ("app.user", "root")];
    let text = seen(&service, request("GET", "/", &fields));
    for name in ["REMOTE_USER=", "HTTPS=", "SCRIPT_NAME=", "HTTP_PROXY=", "app.user="] {
        assert!(!text.lines().any(|line| line.starts_with(name)), "{name}: {text}");
    }
    let mut by_layer = request("GET", "/", &fields);
    by_layer.extensions_mut().insert(User("ada"));
    let text = seen(&service, by_layer);
    assert!(has(&text, "REMOTE_USER=ada") && has(&text, "app.user=ada"), "{text}");
}

#[test]
fn fields_with_underscores_are_dropped_refused_or_kept() {
    let fields = [("X-User", "a"), ("X_User", "b")];
    assert!(has(&seen(&show(), request("GET", "/", &fields)), "HTTP_X_USER=a"));
    assert!(has(&seen(&show().underscores(Underscores::Keep), request("GET", "/", &fields)), "HTTP_X_USER=a,b"));
    assert_eq!(answer(&show().underscores(Underscores::Refuse), request("GET", "/", &fields)).0, 400);
}

#[test]
fn what_the_body_says_of_its_length_counts() {
    let post = |declared: Option<&str>| {
        let builder = Request::post("/");
        if let Some(declared) = declared { builder.header("Content-Length", declared) } else { builder }
    };
    let length = |(code, text): (u16, String)| {
        assert_eq!(code, 200, "{text}");
        text.lines().find_map(|line| line.strip_prefix("CONTENT_LENGTH=")).map(str::to_owned)
    };
    let service = show();
    let four = || Full::new(Bytes::from_static(b"four"));
    assert_eq!(length(answer(&service, post(None).body(four()).unwrap())).as_deref(), Some("4"));
    assert_eq!(length(answer(&service, post(Some("4")).body(four()).unwrap())).as_deref(), Some("4"));
    // A layer has changed the body, and left the field.
    assert_eq!(length(answer(&service, post(Some("7")).body(four()).unwrap())).as_deref(), Some("4"));
    assert_eq!(length(answer(&service, post(Some("7")).body(Empty::<Bytes>::new()).unwrap())), None);
    assert_eq!(length(answer(&service, post(Some("0")).body(Empty::<Bytes>::new()).unwrap())).as_deref(), Some("0"));
    // One that does not know its length.
    let unknown = || Frames::of([b"fo", b"ur"]);
    assert_eq!(length(answer(&service, post(Some("4")).body(unknown()).unwrap())).as_deref(), Some("4"));
    assert_eq!(length(answer(&service, post(None).body(unknown()).unwrap())), None);
}

#[test]
fn what_cannot_be_answered_is_refused_with_a_reason_and_the_connection() {
    let many: Vec<(&str, &str)> = (0..30).map(|_| ("X-A", "b")).collect();
    let service = show().limits(Limits { fields: 20, ..Limits::default() });
    for (code, what, request) in [
        (501, "method CONNECT is not implemented\n", request("CONNECT", "shop.test:443", &[])),
        (400, "request target \"shop.test\" is neither a path nor a URI\n", request("GET", "shop.test", &[])),
        (400, "request has more than one host field\n", request("GET", "/", &[("Host", "a"), ("Host", "a")])),
        (400, "request has more than one content-length field\n", request("GET", "/", &[("Content-Length", "1"), ("Content-Length", "1")])),
        (400, "request target has a '%' without two hexadecimal digits\n", request("GET", "/%zz", &[])),
        (417, "expectation \"magic\" cannot be met\n", request("GET", "/", &[("Expect", "magic")])),
        (431, "request head has more than 20 fields\n", request("GET", "/", &many)),
    ] {
        let response = run(ask(&service, request));
        assert_eq!(response.status(), code, "{what}");
        assert_eq!(response.headers()["connection"], "close");
        assert_eq!(run(text(response)), what);
    }
    let mut two = request("GET", "/%zz", &[]);
    *two.version_mut() = Version::HTTP_2;
    assert!(run(ask(&service, two)).headers().get("connection").is_none(), "HTTP/2 has no such field");
    let long = run(ask(&service, request("GET", "/", &[("Expect", &"x".repeat(5000))])));
    assert!(run(text(long)).len() < 600);
}

#[test]
fn a_star_is_the_server_as_a_whole() {
    for service in [show(), show().script_name("/app")] {
        let text = seen(&service, request("OPTIONS", "*", &[]));
        assert!(has(&text, "PATH_INFO=/") && has(&text, "REQUEST_URI=*"), "{text}");
    }
}
