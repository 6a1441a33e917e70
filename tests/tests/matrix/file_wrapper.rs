//! `wsgi.file_wrapper`.

use pyo3::prelude::*;
use wsgi_tests::column::{End, Feature, Request, Version};
use wsgi_tests::log;
use wsgi_tests::matrix::{Site, matrix};

/// What the fixture's file holds.
fn content() -> Vec<u8> {
    (0..40_000).flat_map(|number| format!("{number:07}\n").into_bytes()).collect()
}

fn whole(site: &Site, query: &str) -> Vec<u8> {
    let seen = site.get(&format!("/?{query}"));
    assert_eq!((seen.code(), seen.end), (200, End::Clean), "{query}");
    seen.body()
}

// clauses: 94, 97, 99
#[test]
fn every_kind_of_file_is_sent_whole() {
    for kind in ["file", "unbuffered", "raw", "bytesio", "watched", "bare", "liar"] {
        matrix("file_response").run(|site| {
            assert!(whole(site, &format!("kind={kind}")) == content(), "{kind} differs");
            assert!(whole(site, &format!("kind={kind}&block=1000")) == content(), "{kind} differs in blocks of 1000");
        });
    }
}

// clauses: 94, 97
#[test]
fn the_block_size_is_what_read_is_asked_for() {
    matrix("file_response").run(|site| {
        whole(site, "kind=watched&block=1000");
        let sizes: Vec<i64> = site.notes("read");
        assert!(sizes.len() > 300 && sizes.iter().all(|size| *size == 1000), "{} reads, {:?} first", sizes.len(), sizes.first());
    });
}

// clauses: 98
#[test]
fn a_file_is_sent_from_where_it_stands_when_sending_begins() {
    for kind in ["file", "unbuffered", "raw", "bytesio"] {
        matrix("file_response").run(|site| {
            assert!(whole(site, &format!("kind={kind}&offset=8")) == content()[8..], "{kind}");
            assert!(whole(site, &format!("kind={kind}&offset=8&move=319992")) == b"0039999\n", "{kind}, moved after it was wrapped");
            assert!(whole(site, &format!("kind={kind}&readline=1")) == content()[8..], "{kind}, after a line was read");
            assert!(whole(site, &format!("kind={kind}&offset=320000")).is_empty(), "{kind}, at its end");
            assert!(whole(site, &format!("kind={kind}&offset=400000")).is_empty(), "{kind}, behind its end");
        });
    }
}

// clauses: 98, 66
#[test]
fn a_file_ends_where_content_length_says() {
    for kind in ["file", "unbuffered", "raw", "bytesio", "watched"] {
        matrix("file_response").run(|site| {
            assert!(whole(site, &format!("kind={kind}&length=100")) == content()[..100], "{kind}");
            assert!(whole(site, &format!("kind={kind}&length=0")).is_empty(), "{kind}");
            if kind != "watched" {
                assert!(whole(site, &format!("kind={kind}&length=16&offset=4")) == content()[4..20], "{kind}");
            }
        });
    }
}

// clauses: 67, 98
#[test]
fn a_file_shorter_than_its_declared_length_never_looks_whole() {
    matrix("faulty/file_short").run(|site| {
        let path = site.unique_path();
        let seen = site.get(&path);
        assert!(seen.end != End::Clean || seen.code() == 500, "{seen:?}");
        log::line_with(&[&path, "20"]);
    });
}

// clauses: 96, D19, D20
#[test]
fn the_file_is_closed_once_after_it_was_sent() {
    for kind in ["watched", "raw"] {
        matrix("file_response").run(|site| {
            whole(site, &format!("kind={kind}"));
            site.wait_for("closed");
            assert_eq!(site.count("closed"), 1, "{kind}");
        });
    }
}

// clauses: 96, D19, D20
#[test]
fn a_plain_file_is_closed_however_it_was_sent() {
    for kind in ["file", "unbuffered", "bytesio"] {
        matrix("file_response").run(|site| {
            for query in ["", "&length=100", "&offset=400000", "&empty=1"] {
                whole(site, &format!("kind={kind}{query}"));
            }
            site.stop_serving();
            let files: Vec<Py<PyAny>> = site.notes("file");
            let closed = |file: &Py<PyAny>| Python::attach(|py| file.getattr(py, "closed")?.extract::<bool>(py)).expect("a file");
            assert_eq!(files.iter().map(closed).collect::<Vec<_>>(), [true; 4], "{kind}");
        });
    }
}

// clauses: 81, 96, D19
#[test]
fn the_file_is_closed_when_the_client_leaves() {
    for kind in ["watched", "raw"] {
        matrix("file_response").run(|site| {
            let client = site.ask(Request::get(&format!("/?kind={kind}")));
            // One that leaves sooner may never be heard.
            site.wait_for("file");
            client.leave();
            site.wait_for("closed");
            assert_eq!(site.count("closed"), 1, "{kind}");
        });
    }
}

// clauses: 96, D16
#[test]
fn head_sends_nothing_of_the_file_and_closes_it() {
    for kind in ["watched", "raw"] {
        matrix("file_response").run(|site| {
            let seen = site.send(Request::new("HEAD", &format!("/?kind={kind}&length=320000")));
            assert_eq!((seen.code(), seen.body().len(), seen.field("content-length")), (200, 0, Some("320000")));
            site.wait_for("closed");
        });
    }
}

// clauses: 95
#[test]
fn a_wrapper_that_is_not_returned_sends_nothing() {
    matrix("file_not_returned").run(|site| {
        assert_eq!(site.get("/").text(), "something else");
        assert!(site.noted::<bool>("iterable") && site.noted::<bool>("has close"));
        assert_eq!(site.count("read"), 0);
    });
}

// clauses: 95, 100
#[test]
fn a_wrapper_inside_a_middleware_is_an_iterable_like_any_other() {
    matrix("file_in_middleware").run(|site| {
        assert_eq!(site.get("/").text(), "SHOUTED SHOUTED SHOUTED ");
        site.wait_for("closed");
    });
}

// clauses: 99
#[test]
fn the_length_of_a_plain_file_may_be_derived_and_is_then_right() {
    matrix("file_response").run(|site| {
        for (query, length) in [("kind=raw", 320_000), ("kind=file&offset=8", 319_992), ("kind=unbuffered&empty=1", 0)] {
            let seen = site.get(&format!("/?{query}"));
            assert_eq!(seen.body().len(), length);
            assert!(
                seen.field("content-length").is_none_or(|derived| derived == length.to_string()),
                "{query}: {:?}",
                seen.field("content-length")
            );
        }
    });
}

// clauses: 68, 98
#[test]
fn a_file_can_be_sent_to_a_client_of_http_1_0() {
    matrix("file_response").needs(Feature::Http10).run(|site| {
        let seen = site.send(Request::get("/?kind=raw").version(Version::Http10));
        assert_eq!(seen.end, End::Clean);
        assert!(seen.body() == content());
    });
}
