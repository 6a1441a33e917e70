//! What stands in the environ.

use std::collections::HashMap;

use wsgi_core::wire::Underscores;
use wsgi_tests::column::{Body, Feature, Http, Request, Version, collect};
use wsgi_tests::matrix::{Site, matrix};

type Texts = HashMap<String, String>;

/// The variables of type `str` that the application sees in this request.
fn texts(site: &Site, request: Request) -> Texts {
    assert_eq!(site.send(request).code(), 200);
    site.notes::<Texts>("text").pop().expect("an environ")
}

fn get<'a>(environ: &'a Texts, name: &str) -> Option<&'a str> {
    environ.get(name).map(String::as_str)
}

// clauses: 13, 14, 15, 16, 17, 18, 19, 20, 21
#[test]
fn the_cgi_variables_say_what_the_request_says() {
    matrix("environ").run(|site| {
        let request = Request::post("/a/b?c=d&e", "12345").field("Content-Type", "text/x-test; a=b").field("X-Some-Thing", "value");
        let environ = texts(site, request);
        for (name, value) in [
            ("REQUEST_METHOD", "POST"),
            ("PATH_INFO", "/a/b"),
            ("QUERY_STRING", "c=d&e"),
            ("CONTENT_TYPE", "text/x-test; a=b"),
            ("CONTENT_LENGTH", "5"),
            ("SERVER_PROTOCOL", if site.column() == "hyper-http2" { "HTTP/2.0" } else { "HTTP/1.1" }),
            ("HTTP_X_SOME_THING", "value"),
            ("HTTP_HOST", "localhost"),
        ] {
            assert_eq!(get(&environ, name), Some(value), "{name}");
        }
        assert_eq!(get(&environ, "SCRIPT_NAME").unwrap_or_default(), "");
        assert!(!get(&environ, "SERVER_NAME").unwrap_or_default().is_empty());
        let port = get(&environ, "SERVER_PORT").unwrap_or_default();
        assert!(!port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()), "{port:?}");
    });
}

// clauses: 13
#[test]
fn a_method_is_passed_on_as_it_was_sent() {
    matrix("environ").run(|site| {
        for method in ["GET", "PATCH", "BREW", "get", "M-SEARCH"] {
            assert_eq!(get(&texts(site, Request::new(method, "/")), "REQUEST_METHOD"), Some(method));
        }
    });
}

// clauses: 16, 17, 18, 21, 25, D4, D10
#[test]
fn what_the_request_does_not_have_is_not_there() {
    matrix("environ").run(|site| {
        let environ = texts(site, Request::get("/"));
        // Web servers send some of these empty, which is as good (PEP 3333, "environ Variables").
        for name in ["CONTENT_TYPE", "REMOTE_USER"] {
            let sent_empty = site.lacks(Feature::Http1).then_some("");
            assert!(get(&environ, name).is_none_or(|value| Some(value) == sent_empty), "{name}: {:?}", environ.get(name));
        }
        // Protocols that always declare a length may say that it is zero.
        let declared = site.lacks(Feature::UnknownLength).then_some("0");
        assert!(get(&environ, "CONTENT_LENGTH").is_none_or(|value| Some(value) == declared), "{:?}", environ.get("CONTENT_LENGTH"));
        for name in ["REMOTE_IDENT", "AUTH_TYPE", "PATH_TRANSLATED", "HTTP_ACCEPT", "HTTP_COOKIE"] {
            assert_eq!(get(&environ, name), None, "{name}");
        }
        assert_eq!(get(&environ, "HTTPS"), (site.scheme() == "https").then_some("on"));
        assert_eq!(get(&environ, "QUERY_STRING").unwrap_or_default(), "");
        let environ = texts(site, Request::post("/", "x").field("Content-Type", "a/b"));
        assert_eq!((get(&environ, "HTTP_CONTENT_TYPE"), get(&environ, "HTTP_CONTENT_LENGTH")), (None, None));
    });
}

// clauses: 19, 20, 93
#[test]
fn a_client_of_http_1_0_without_a_host_gets_a_server_name_and_its_own_version() {
    matrix("environ").needs(Feature::Http10).run(|site| {
        let environ = texts(site, Request::get("/").version(Version::Http10));
        assert_eq!(get(&environ, "SERVER_PROTOCOL"), Some("HTTP/1.0"));
        assert_eq!(get(&environ, "HTTP_HOST"), None);
        let (name, port) = (&environ["SERVER_NAME"], &environ["SERVER_PORT"]);
        assert!(!name.is_empty() && !port.is_empty(), "{name:?} {port:?}");
        let authority = if port == "80" { name.clone() } else { format!("{name}:{port}") };
        assert_eq!(site.notes::<String>("url"), [format!("{}://{authority}/", site.scheme())]);
    });
}

// clauses: 22, 24, 26, D22, D23
#[test]
fn the_other_cgi_variables_are_there() {
    matrix("environ").run(|site| {
        let environ = texts(site, Request::get("/"));
        assert_eq!(get(&environ, "GATEWAY_INTERFACE"), Some("CGI/1.1"));
        assert!(get(&environ, "SERVER_SOFTWARE").is_some_and(|software| !software.is_empty()));
        if site.lacks(Feature::Addresses) {
            // The variable may be empty, but programs that compare it expect a str.
            assert!(environ.get("REMOTE_ADDR").is_none_or(String::is_empty), "{:?}", environ.get("REMOTE_ADDR"));
        }
    });
    matrix("environ").needs(Feature::Addresses).run(|site| {
        let mut client = site.ask(Request::get("/"));
        let address = client.address().expect("a client with an address");
        assert_eq!(collect(client.as_mut()).code(), 200);
        let environ: Texts = site.noted("text");
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        assert_eq!((get(&environ, "REMOTE_ADDR"), get(&environ, "REMOTE_PORT")), (Some(ip.as_str()), Some(port.as_str())));
    });
}

// clauses: 6, 26, 28, 29, 37
#[test]
fn every_value_has_exactly_the_type_that_pep_3333_asks_for() {
    matrix("environ").run(|site| {
        let environ = texts(site, Request::post("/p?q", "body").field("X-A", "b").field("Cookie", "c=d"));
        let types: HashMap<String, String> = site.noted("types");
        for (name, kind) in &types {
            if !name.contains('.') {
                assert_eq!(kind, "str", "{name}");
                continue;
            }
            let lawful = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'_');
            assert!(lawful, "{name:?} is no name for a variable of a server");
        }
        assert_eq!((types["wsgi.version"].as_str(), site.noted::<(u8, u8)>("wsgi.version")), ("tuple", (1, 0)));
        assert_eq!(get(&environ, "wsgi.url_scheme"), Some(site.scheme()));
        for name in ["wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once"] {
            assert_eq!(types[name], "bool", "{name}");
        }
        for name in ["wsgi.input", "wsgi.errors", "wsgi.file_wrapper"] {
            assert!(types.contains_key(name), "{name}");
        }
    });
}

// clauses: 7, D5
#[test]
fn text_outside_ascii_comes_as_latin_1() {
    matrix("environ").run(|site| {
        let environ = texts(site, Request::get("/caf%C3%A9/%E2%98%83?q=%C3%A9").field("X-Name", b"caf\xc3\xa9 \xe9 \xff"));
        assert_eq!(get(&environ, "PATH_INFO"), Some("/caf\u{c3}\u{a9}/\u{e2}\u{98}\u{83}"));
        assert_eq!(get(&environ, "QUERY_STRING"), Some("q=%C3%A9"));
        assert_eq!(get(&environ, "HTTP_X_NAME"), Some("caf\u{c3}\u{a9} \u{e9} \u{ff}"));
        for (name, value) in &environ {
            assert!(name.chars().chain(value.chars()).all(|c| c <= '\u{ff}'), "{name}: {value:?}");
        }
    });
}

// clauses: 15, D5, D6
#[test]
fn a_path_is_percent_decoded_once_and_the_raw_target_is_kept() {
    matrix("environ").run(|site| {
        for (target, path, query) in [
            ("/", "/", ""),
            ("/%2525", "/%25", ""),
            ("/a%2Fb%20c+d", "/a/b c+d", ""),
            ("/a;b=c/d", "/a;b=c/d", ""),
            ("/a//b/../c", "/a//b/../c", ""),
            ("/a?b=%2525&c=?", "/a", "b=%2525&c=?"),
            ("/?", "/", ""),
            ("/%FF", "/\u{ff}", ""),
        ] {
            let environ = texts(site, Request::get(target));
            assert_eq!(get(&environ, "PATH_INFO"), Some(path), "{target}");
            assert_eq!(get(&environ, "QUERY_STRING").unwrap_or_default(), query, "{target}");
            assert_eq!((get(&environ, "REQUEST_URI"), get(&environ, "RAW_URI")), (Some(target), Some(target)));
        }
    });
}

// clauses: 93
#[test]
fn a_url_can_be_put_together_again() {
    matrix("environ").prefix("/mount").run(|site| {
        for (target, url) in [
            ("/mount", "://example.test:8080/mount"),
            ("/mount/", "://example.test:8080/mount/"),
            ("/mount/a%20b?c=d%20e", "://example.test:8080/mount/a%20b?c=d%20e"),
            ("/mount/caf%C3%A9", "://example.test:8080/mount/caf%C3%A9"),
        ] {
            texts(site, Request::get(target).field("Host", "example.test:8080"));
            assert_eq!(site.notes::<String>("url").pop(), Some(format!("{}{url}", site.scheme())));
        }
    });
}

// clauses: 14, 15, D17
#[test]
fn a_mount_moves_its_prefix_to_script_name_and_minds_the_boundary() {
    matrix("environ").prefix("/shop").run(|site| {
        for (target, path) in [("/shop", ""), ("/shop/", "/"), ("/shop/shop/a", "/shop/a"), ("/shop//a", "//a"), ("/%73hop/a", "/a")] {
            let environ = texts(site, Request::get(target));
            assert_eq!((get(&environ, "SCRIPT_NAME"), get(&environ, "PATH_INFO").unwrap_or_default()), (Some("/shop"), path), "{target}");
        }
        for target in ["/", "/shopping", "/sho", "/shop2/a", "/a/shop"] {
            assert_eq!(site.get(target).code(), 404, "{target}");
        }
    });
}

// clauses: 21, D7
#[test]
fn repeated_fields_are_joined() {
    matrix("environ").run(|site| {
        let request = Request::get("/")
            .field("X-Forwarded-For", "1.1.1.1")
            .field("Cookie", "a=1")
            .field("x-forwarded-for", "2.2.2.2, 3.3.3.3")
            .field("X-Own", "one")
            .field("COOKIE", "b=2")
            .field("x-OWN", "two");
        let environ = texts(site, request);
        let list = |name: &str| environ[name].split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(list("HTTP_X_FORWARDED_FOR"), ["1.1.1.1", "2.2.2.2", "3.3.3.3"]);
        assert_eq!(list("HTTP_X_OWN"), ["one", "two"]);
        assert_eq!(get(&environ, "HTTP_COOKIE"), Some("a=1; b=2"));
    });
}

// clauses: D8
#[test]
fn a_field_with_an_underscore_cannot_forge_one_with_a_hyphen() {
    let request = || Request::get("/").field("X-Real-User", "alice").field("X_Real_User", "mallory").field("X_Real-User", "mallory");
    matrix("environ").needs(Feature::Http1).run(|site| {
        assert_eq!(get(&texts(site, request()), "HTTP_X_REAL_USER"), Some("alice"));
    });
    let refusing = Http { underscores: Underscores::Refuse, ..Http::default() };
    matrix("environ").needs(Feature::Http1).http(refusing).run(|site| {
        assert_eq!(site.send(request()).code(), 400);
        assert_eq!(site.count("text"), 0);
    });
    let keeping = Http { underscores: Underscores::Keep, ..Http::default() };
    matrix("environ").needs(Feature::Http1).http(keeping).run(|site| {
        assert_eq!(get(&texts(site, Request::get("/").field("X_Own", "kept")), "HTTP_X_OWN"), Some("kept"));
    });
}

// clauses: D9
#[test]
fn a_proxy_field_does_not_become_http_proxy() {
    matrix("environ").run(|site| {
        let environ = texts(site, Request::get("/").field("Proxy", "http://evil.test").field("pROXY", "http://evil.test"));
        assert_eq!(get(&environ, "HTTP_PROXY"), None);
    });
}

// clauses: 27, D14
#[test]
fn the_environment_of_the_process_stays_out_of_it() {
    matrix("environ").run(|site| {
        pyo3::Python::attach(|py| py.run(c"import os; os.environ.update(HTTP_X_EVIL='1', TESTS_SECRET='2')", None, None)).unwrap();
        let environ = texts(site, Request::get("/"));
        for name in ["HTTP_X_EVIL", "TESTS_SECRET", "PATH", "HOME", "CARGO"] {
            assert_eq!(get(&environ, name), None, "{name}");
        }
    });
}

// clauses: 29, D15
#[test]
fn a_client_cannot_choose_the_scheme_nor_its_own_address() {
    matrix("environ").run(|site| {
        let request = Request::get("/")
            .field("X-Forwarded-Proto", if site.scheme() == "https" { "http" } else { "https" })
            .field("X-Forwarded-For", "10.1.2.3")
            .field("Forwarded", "for=10.1.2.3;proto=https")
            .field("Remote-Addr", "10.1.2.3")
            .field("Https", if site.scheme() == "https" { "off" } else { "on" })
            .field("Ssl-Protocol", "none");
        let environ = texts(site, request);
        let https = (site.scheme() == "https").then_some("on");
        assert_eq!((get(&environ, "wsgi.url_scheme"), get(&environ, "HTTPS")), (Some(site.scheme()), https));
        // TLS itself says this, and where there is none nobody does.
        assert_eq!(get(&environ, "SSL_PROTOCOL"), https.map(|_| "TLSv1.3"));
        assert_ne!(get(&environ, "REMOTE_ADDR"), Some("10.1.2.3"));
    });
}

// clauses: 73, D1, D2, D3
#[test]
fn a_chunked_body_has_a_length_once_it_is_decoded() {
    // Where a gateway gathers the body, as nginx does, it still sends the client's `Transfer-Encoding` along.
    matrix("environ").run(|site| {
        let environ = texts(site, Request::new("POST", "/").body(Body::Chunked(vec![b"12345".to_vec(), b"6789".to_vec()])));
        assert_eq!((get(&environ, "CONTENT_LENGTH"), get(&environ, "HTTP_TRANSFER_ENCODING")), (Some("9"), None));
    });
}

// clauses: D1
#[test]
fn input_terminated_is_true_or_absent() {
    matrix("environ").run(|site| {
        for request in [Request::get("/"), Request::post("/", "body")] {
            texts(site, request);
            let types: HashMap<String, String> = site.notes("types").pop().expect("an environ");
            if types.contains_key("wsgi.input_terminated") {
                assert!(site.notes::<bool>("wsgi.input_terminated").pop().expect("a bool"));
            }
        }
    });
}

// clauses: D13
#[test]
fn no_raw_socket_is_offered() {
    // The connection belongs to a codec that has buffered bytes of it, so a socket in the environ could only mislead.
    matrix("environ").run(|site| {
        texts(site, Request::get("/"));
        let types: HashMap<String, String> = site.noted("types");
        assert!(types.keys().all(|name| !name.ends_with(".socket")), "{types:?}");
    });
}

// clauses: 92
#[test]
fn the_deployer_can_put_pairs_into_it_that_no_client_replaces() {
    matrix("environ").variable("myapp.stage", "test").variable("HTTP_X_TRUSTED", "yes").run(|site| {
        let environ = texts(site, Request::get("/").field("X-Trusted", "no"));
        assert_eq!((get(&environ, "myapp.stage"), get(&environ, "HTTP_X_TRUSTED")), (Some("test"), Some("yes")));
    });
    // Behind a proxy that ends TLS.
    matrix("environ").variable("wsgi.url_scheme", "https").run(|site| {
        texts(site, Request::get("/a").field("Host", "example.test"));
        assert_eq!(site.noted::<String>("url"), "https://example.test/a");
    });
}

// clauses: D21
#[test]
fn a_complaint_of_the_validator_fails_the_case() {
    // The validator's dimension is only worth something if what it raises is seen: here by a fixture that breaks a rule of its.
    for (target, complaint) in [("/?str:first", "non-bytestring"), ("/?int:later", "non-bytestring")] {
        matrix("faulty/items").callable("validated").run(|site| {
            let seen = site.get(target);
            // In this order: of a reply that breaks off, HTTP/2 may take back even the head.
            assert!(seen.end != wsgi_tests::column::End::Clean || site.lacks(Feature::Breaks) || seen.code() == 500);
            site.errors_with(complaint);
        });
    }
}
