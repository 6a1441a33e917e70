//! The test client against the fixtures that break PEP 3333 on purpose. That it has nothing against the others, the matrix shows.

use wsgi_core::Application;
use wsgi_core::testing::Client;
use wsgi_tests::fixture::Fixture;

/// The clauses that one request breaks.
fn broken(fixture: &str, target: &str) -> Vec<&'static str> {
    let fixture = Fixture::load(&format!("faulty/{fixture}"));
    let application = Application::new(fixture.callable("application"));
    let client = Client::new(application).lenient();
    client.post(target).body("body").send().breaches().iter().map(|breach| breach.clause).collect()
}

#[test]
fn what_a_faulty_fixture_breaks_is_found() {
    for (fixture, target, clauses) in [
        ("closes_streams", "/", &["46", "46"][..]),
        ("file_short", "/", &["67"]),
        ("items", "/?str:first", &["11"]),
        ("items", "/?subclass:later", &["11"]),
        ("items", "/?memoryview:write", &["11"]),
        ("keywords", "/", &["5"]),
        ("never_starts", "/", &["65"]),
        ("never_starts", "/?nothing", &["65"]),
        ("returns", "/?none", &["10"]),
        ("returns", "/?bytes", &["10"]),
        ("returns", "/?dict", &["11"]),
        ("starts_late", "/", &["65"]),
        ("starts_twice", "/", &["62"]),
        ("starts_twice", "/?error", &["48", "62"]),
        ("too_long", "/?2:abc", &["66"]),
        ("too_short", "/?one", &["67"]),
        ("too_short", "/?two", &["67"]),
        ("too_short", "/?write", &["67"]),
        ("too_short", "/?none", &["67"]),
        ("traps", "/", &["61"]),
        ("uses_write_in_iteration", "/", &["86"]),
        ("write_too_long", "/", &["66"]),
        // To fail is no breach.
        ("raises", "/?before", &[]),
        ("exits", "/?exit:call", &[]),
    ] {
        assert_eq!(broken(fixture, target), clauses, "{fixture} {target}");
    }
}

#[test]
fn each_wrong_call_of_start_response_is_found() {
    for (kind, clause) in [
        ("status%20bytes", "6"),
        ("status%20no%20reason", "48"),
        ("status%20crlf", "48"),
        ("status%20outside%20latin-1", "8"),
        ("status%20surrogate", "8"),
        ("status%20informational", "48"),
        ("headers%20dict", "49"),
        ("headers%20list%20subclass", "49"),
        ("header%20three", "49"),
        ("name%20bytes", "6"),
        ("name%20trailing%20space", "50"),
        ("name%20outside%20ascii", "50"),
        ("value%20none", "6"),
        ("value%20folded", "51"),
        ("value%20surrogate", "8"),
        ("length%20list", "66"),
        ("length%20twice", "66"),
        ("hop%20transfer-encoding", "54"),
        ("hop%20trailers", "54"),
        ("exc_info%20word", "59"),
        ("no%20headers", "5"),
        ("four", "5"),
    ] {
        assert_eq!(broken("start_response_calls", &format!("/{kind}")), [clause], "{kind}");
    }
}

#[test]
fn what_is_kept_of_a_request_is_found_with_the_next() {
    let fixture = Fixture::load("faulty/keeps_streams");
    let client = Client::new(Application::new(fixture.callable("application"))).lenient();
    assert_eq!(client.get("/").send().breaches(), []);
    let clauses: Vec<&str> = client.get("/").send().breaches().iter().map(|breach| breach.clause).collect();
    assert_eq!(clauses, ["3", "86", "3"]);
}
