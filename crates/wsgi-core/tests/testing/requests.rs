//! What an application sees of a request.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use wsgi_core::Mount;
use wsgi_core::testing::{Client, Multipart};
use wsgi_core::wsgi::UnsizedBody;

use crate::common::{app, shows};

fn see(expression: &str, ask: impl FnOnce(&Client<'_>) -> String) -> String {
    ask(&Client::new(shows(expression)))
}

#[test]
fn each_method_has_its_name() {
    let client = Client::new(shows("environ['REQUEST_METHOD']"));
    for (request, expected) in [
        (client.get("/"), "'GET'"),
        (client.post("/"), "'POST'"),
        (client.put("/"), "'PUT'"),
        (client.patch("/"), "'PATCH'"),
        (client.delete("/"), "'DELETE'"),
        (client.options("/"), "'OPTIONS'"),
        (client.request("BREW", "/"), "'BREW'"),
        (client.head("/"), ""),
    ] {
        assert_eq!(request.send().text(), expected);
    }
}

#[test]
fn target_and_query_come_as_a_server_gives_them() {
    let expression = "(environ['PATH_INFO'], environ['QUERY_STRING'], environ['REQUEST_URI'])";
    let seen = see(expression, |client| client.get("/caf%C3%A9?a=1").query(&[("b c", "d&e"), ("f", "é")]).send().text().into_owned());
    assert_eq!(seen, r"('/cafÃ©', 'a=1&b+c=d%26e&f=%C3%A9', '/caf%C3%A9?a=1&b+c=d%26e&f=%C3%A9')");
}

#[test]
fn the_usual_variables_are_there() {
    let names = "REQUEST_METHOD SERVER_NAME SERVER_PORT SERVER_PROTOCOL REMOTE_ADDR REMOTE_PORT HTTP_HOST wsgi.url_scheme wsgi.multithread";
    let seen = see(&format!("[environ[name] for name in '{names}'.split()]"), |client| client.get("/").send().text().into_owned());
    assert_eq!(seen, "['GET', 'localhost', '80', 'HTTP/1.1', '127.0.0.1', '50000', 'localhost', 'http', True]");
    let client = Client::new(shows("environ['wsgi.multithread']")).multithread(false);
    assert_eq!(client.get("/").send().text(), "False");
}

#[test]
fn https_http10_and_another_address_can_be_had() {
    let names = "SERVER_PORT SERVER_PROTOCOL REMOTE_ADDR REMOTE_PORT HTTPS wsgi.url_scheme";
    let seen = see(&format!("[environ[name] for name in '{names}'.split()]"), |client| {
        client.get("/").https().http10().remote("[2001:db8::1]:4711".parse().unwrap()).send().text().into_owned()
    });
    assert_eq!(seen, "['443', 'HTTP/1.0', '2001:db8::1', '4711', 'on', 'https']");
}

#[test]
fn fields_and_variables_are_as_they_were_set() {
    let expression = "[environ.get(name) for name in ('HTTP_X_A', 'HTTP_HOST', 'REMOTE_USER', 'SERVER_NAME', 'CONTENT_TYPE')]";
    let seen = see(expression, |client| {
        let request = client.get("/").header("X-A", "1").header("x-a", b"\xe9").header("Host", "example.org:81");
        request.header("content-type", "a/b").variable("REMOTE_USER", "ada").variable("SERVER_NAME", "other").send().text().into_owned()
    });
    assert_eq!(seen, "['1,é', 'example.org:81', 'ada', 'other', 'a/b']");
}

#[test]
fn a_mount_moves_the_prefix() {
    let expression = "(environ['SCRIPT_NAME'], environ['PATH_INFO'])";
    let client = Client::new(shows(expression));
    for (target, expected) in [("/shop", "('/shop', '')"), ("/shop/", "('/shop', '/')"), ("/shop/a%20b?c", "('/shop', '/a b')")] {
        assert_eq!(client.get(target).mounted_at("/shop/").send().text(), expected);
    }
    // The same by a handler that mounts, which the client asks like any other.
    let client = Client::new(Mount::new().at("/shop", shows(expression)));
    assert_eq!(client.get("/shop/x").send().text(), "('/shop', '/x')");
    assert_eq!(client.get("/other").send().status(), 404);
}

const BODY: &str = "(environ.get('CONTENT_TYPE'), environ.get('CONTENT_LENGTH'), environ['wsgi.input'].read())";

#[test]
fn bodies_have_a_type_and_a_length() {
    let client = Client::new(shows(BODY));
    for (request, expected) in [
        (client.get("/"), "(None, None, b'')"),
        (client.post("/"), "(None, '0', b'')"),
        (client.post("/").body("abc"), "(None, '3', b'abc')"),
        (client.post("/").body(vec![0, 255]).header("Content-Type", "a/b"), r"('a/b', '2', b'\x00\xff')"),
        (client.put("/").form(&[("a b", "c"), ("d", "&")]), "('application/x-www-form-urlencoded', '11', b'a+b=c&d=%26')"),
        (client.post("/").json_text("[1]"), "('application/json', '3', b'[1]')"),
        (client.post("/").json(&serde_json::json!({"a": [1, null]})), "('application/json', '14', b'{\"a\":[1,null]}')"),
        (client.post("/").json_text("{}").header("Content-Type", "application/problem+json"), "('application/problem+json', '2', b'{}')"),
        (client.post("/").chunked(["ab", "", "cd"]), "(None, '4', b'abcd')"),
        (client.post("/").chunked::<&str>([]), "(None, '0', b'')"),
    ] {
        assert_eq!(request.send().text(), expected);
    }
}

#[test]
fn a_form_with_files_is_understood_by_pythons_own_parser() {
    let client = Client::new(app(
        "
from email import message_from_bytes
def application(environ, start_response):
    head = b'Content-Type: ' + environ['CONTENT_TYPE'].encode() + b'\\r\\n\\r\\n'
    parts = message_from_bytes(head + environ['wsgi.input'].read(int(environ['CONTENT_LENGTH']))).get_payload()
    seen = [(part.get_param('name', header='content-disposition'), part.get_filename(), part.get_content_type(), part.get_payload(decode=True)) for part in parts]
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [repr(seen).encode()]
",
    ));
    let form = Multipart::new().text("title", "A cat").file("picture", "cat.png", "image/png", b"\x89PNG\r\n--");
    let seen = client.post("/").multipart(&form).send();
    assert_eq!(seen.text(), r"[('title', None, 'text/plain', b'A cat'), ('picture', 'cat.png', 'image/png', b'\x89PNG\r\n--')]");
}

#[test]
fn a_streamed_body_is_read_as_it_comes() {
    let application = shows("[environ.get('CONTENT_LENGTH')] + list(iter(lambda: environ['wsgi.input'].read(3), b''))");
    let client = Client::new(application.unsized_body(UnsizedBody::Stream));
    assert_eq!(client.post("/").chunked(["ab", "cde"]).send().text(), "[None, b'abc', b'de']");
    let mut pieces = ["one", "two"].into_iter();
    let response = client.post("/").body_from(Some(6), |_| Ok(pieces.next().unwrap_or_default().into())).send();
    assert_eq!((response.text().as_ref(), response.body_read()), ("['6', b'one', b'two']", 6));
}

#[test]
fn a_body_that_breaks_off_is_an_error_and_never_an_end() {
    let client = Client::new(app("
def application(environ, start_response):
    read = environ['wsgi.input'].read
    seen = [read(4)]
    for _ in range(2):
        try:
            seen.append(read(4))
        except OSError as error:
            seen.append(str(error))
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [repr(seen).encode()]
"));
    let text = "the client went away after 6 bytes of the request's body";
    assert_eq!(client.post("/").body_that_breaks("abcdef", 10).send().text(), format!("[b'abcd', \"{text}\", \"{text}\"]"));
    // Who does not care gets a 400 from the server.
    let careless = Client::new(shows("environ['wsgi.input'].read()"));
    let response = careless.post("/").body_that_breaks("", 1).send();
    assert_eq!((response.status().as_u16(), response.exception().unwrap().kind.as_str()), (400, "ConnectionResetError"));
    assert!(response.breaches().is_empty());
}

#[test]
#[should_panic(expected = "\"X A\" is no name of a header field")]
fn a_name_that_is_none_is_refused() {
    let _ = Client::new(shows("0")).get("/").header("X A", "b");
}

#[test]
#[should_panic(expected = "the value of X-A has a line end or NUL in it")]
fn a_value_with_a_line_end_is_refused() {
    let _ = Client::new(shows("0")).get("/").header("X-A", "b\r\nX-B: c");
}

#[test]
#[should_panic(expected = "GET shop: request target \"shop\" is neither a path nor a URI")]
fn a_target_that_is_none_is_refused() {
    Client::new(shows("0")).get("shop").send();
}

#[test]
#[should_panic(expected = "the target is not below /shop, where the application is mounted")]
fn a_target_outside_of_its_mount_is_refused() {
    Client::new(shows("0")).get("/shopping").mounted_at("/shop").send();
}

/// `/set?a=1; Path=/` sets a cookie, everything else shows what came.
const COOKIES: &str = "
from urllib.parse import unquote
def application(environ, start_response):
    headers = [('Content-Type', 'text/plain')]
    if environ['PATH_INFO'].endswith('/set'):
        headers += [('Set-Cookie', line) for line in unquote(environ['QUERY_STRING']).split('|')]
    start_response('200 OK', headers)
    return [environ.get('HTTP_COOKIE', 'none').encode()]
";

#[test]
fn cookies_are_kept_between_calls() {
    let client = Client::new(app(COOKIES));
    assert_eq!(client.get("/").send().text(), "none");
    client.get("/set?a=1%3B%20Path=/|b=2%3B%20Path=/deep|c=3%3B%20Secure%3B%20Path=/").send();
    assert_eq!(client.get("/").send().text(), "a=1");
    assert_eq!(client.get("/deep/er").https().send().text(), "b=2; a=1; c=3");
    assert_eq!(client.get("/").header("Cookie", "own=1").send().text(), "own=1; a=1");
    assert_eq!(client.get("/").header("Host", "example.org").send().text(), "none");
    assert_eq!((client.cookie("b").as_deref(), client.cookies().len()), (Some("2"), 3));
    client.get("/set?a=%3B%20Max-Age=0%3B%20Path=/").send();
    assert_eq!((client.get("/").send().text().as_ref(), client.cookie("a")), ("none", None));
    client.set_cookie("mine", "x");
    assert_eq!(client.get("/").header("Host", "example.org").send().text(), "mine=x");
    client.clear_cookies();
    assert_eq!(client.get("/deep").send().text(), "none");
}

const REDIRECTS: &str = "
def application(environ, start_response):
    status, _, location = environ['QUERY_STRING'].partition(':')
    body = environ['wsgi.input'].read()
    if status:
        start_response(status + ' Elsewhere', [('Location', location), ('Set-Cookie', 'seen=' + status)])
        return []
    start_response('200 OK', [('Content-Type', 'text/plain')])
    names = ('REQUEST_METHOD', 'PATH_INFO', 'CONTENT_TYPE', 'HTTP_COOKIE', 'wsgi.url_scheme', 'HTTP_X_A')
    return [repr(([environ.get(name) for name in names], body)).encode()]
";

#[test]
fn redirects_are_followed_if_asked_for() {
    let client = Client::new(app(REDIRECTS));
    assert_eq!(client.get("/a?302:/b").send().status(), 302);
    let response = client.post("/a?302:/b").body("x").header("Content-Type", "a/b").header("X-A", "1").follow_redirects().send();
    assert_eq!(response.text(), "(['GET', '/b', None, 'seen=302', 'http', '1'], b'')");
    assert_eq!(response.redirects().iter().map(|response| response.request()).collect::<Vec<_>>(), ["POST /a?302:/b"]);
    let response = client.post("/a?307:https://localhost/c").form(&[("a", "b")]).follow_redirects().send();
    assert_eq!(response.text(), "(['POST', '/c', 'application/x-www-form-urlencoded', 'seen=307', 'https', None], b'a=b')");
    // Another host's answer is not this application's.
    let response = client.get("/a?301:http://example.org/").follow_redirects().send();
    assert_eq!((response.status().as_u16(), response.redirects().len()), (301, 0));
    // Nor is what lies outside of where it is mounted.
    let inside = client.get("/shop/a?302:/shop?").mounted_at("/shop").follow_redirects().send();
    assert_eq!((inside.status().as_u16(), inside.request()), (200, "GET /shop?"));
    assert_eq!(client.get("/shop/a?302:/shopping").mounted_at("/shop").follow_redirects().send().status(), 302);
    // What was streamed cannot be sent again.
    let response = client.post("/a?308:/b").body_from(Some(0), |_| Ok(Default::default())).follow_redirects().send();
    assert_eq!(response.status(), 308);
}

#[test]
#[should_panic(expected = "redirected more than 20 times, at last to /a?302:")]
fn redirects_without_an_end_are_a_panic() {
    let application = app("
def application(environ, start_response):
    start_response('302 Found', [('Location', '/a?302:')])
    return []
");
    Client::new(application).get("/").follow_redirects().send();
}

#[test]
fn a_value_beside_the_request_reaches_the_hook_of_the_application() {
    #[derive(Clone)]
    struct Login(&'static str);
    let application = shows("environ['myapp.user']").per_request(|_, exchange, environ| {
        match exchange.extensions().and_then(|extensions| extensions.get::<Login>()) {
            Some(Login(name)) => environ.set_item("myapp.user", name),
            None => Err(PyValueError::new_err("nobody is logged in")),
        }
    });
    let client = Client::new(application);
    assert_eq!(client.get("/").extension(Login("ada")).send().text(), "'ada'");
    let response = client.get("/").send();
    assert_eq!(response.status(), 500);
    assert!(response.errors().contains("ValueError: nobody is logged in"), "{response:?}");
}
