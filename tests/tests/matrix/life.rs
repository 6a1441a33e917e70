//! What happens to requests when the server ends.

use wsgi_tests::column::{Body, End, Feature, Request, collect};
use wsgi_tests::matrix::matrix;

// clauses: 81
#[test]
fn a_reply_that_is_under_way_is_finished_by_a_graceful_end() {
    matrix("gated_blocks").run(|site| {
        let mut client = site.ask(Request::get("/"));
        assert_eq!(client.head().unwrap().code, 200);
        client.block().unwrap();
        site.shut_down();
        site.open_gate("second");
        site.open_gate("third");
        let mut rest = Vec::new();
        while let Some(block) = client.block().expect("a whole reply") {
            rest.extend(block);
        }
        assert_eq!(rest, b"secondthird");
        site.wait_for("closed");
    });
}

// clauses: 81
#[test]
fn a_reply_that_the_end_cuts_off_is_closed() {
    matrix("endless").needs(Feature::Breaks).run(|site| {
        let mut client = site.ask(Request::get("/"));
        assert_eq!(client.head().unwrap().code, 200);
        // The client reads no further, so the application waits for it, and would for ever.
        site.stop_serving();
        assert_eq!(site.count("closed"), 1);
        while let Ok(Some(_)) = client.block() {}
        assert!(client.block().is_err(), "the reply ends as if it were whole");
    });
}

// clauses: 81
#[test]
fn a_request_that_waits_for_its_body_is_answered_in_a_graceful_end() {
    matrix("input_lines").run(|site| {
        let rest = vec![b'x'; 1_000_000];
        let mut client = site.ask(Request::new("POST", "/").body(Body::Later(Some(4 + rest.len() as u64))));
        client.send_body(b"one\n").unwrap();
        site.wait_for("line");
        site.shut_down();
        client.send_body(&rest).unwrap();
        let seen = collect(client.as_mut());
        assert_eq!((seen.text().as_str(), seen.end), ("all lines", End::Clean));
        assert!(!seen.reusable || site.lacks(Feature::Farewell), "the server is about to be gone");
    });
}
