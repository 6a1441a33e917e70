//! How an answer becomes a reply: when the headers go out, when blocks do, and what `Content-Length` means.

use crate::common::{Answer, App};

/// Starts with these headers and answers with this expression.
fn answer(headers: &str, expression: &str) -> Answer {
    app(headers, expression).get("/").run()
}

fn app(headers: &str, expression: &str) -> App {
    App::new(&format!(
        "
class Blocks:
    def __init__(self, *blocks): self.blocks = blocks
    def __iter__(self): return iter(self.blocks)

class Sized(Blocks):
    def __len__(self): return len(self.blocks)

class Closing(Blocks):
    def close(self): note('close')

def generator(*blocks):
    for block in blocks:
        note('asked')
        yield block
    note('exhausted')

def application(environ, start_response):
    start_response('200 OK', {headers})
    return {expression}
"
    ))
}

// clauses: 10
#[test]
fn any_iterable_of_bytes_is_a_body() {
    for expression in [
        "[b'a', b'b']",
        "(b'a', b'b')",
        "iter([b'a', b'b'])",
        "Blocks(b'a', b'b')",
        "generator(b'a', b'b')",
        "{b'a': 1, b'b': 2}",
        "map(bytes, [b'a', b'b'])",
    ] {
        answer("[]", expression).is_ok("ab");
    }
    for expression in ["[]", "()", "iter([])", "Blocks()", "generator()", "[b'']", "[b'', b'']", "iter([b''])"] {
        answer("[]", expression).is_ok("");
    }
}

// clauses: 77
#[test]
fn every_byte_passes_unchanged() {
    let all = answer("[]", "[bytes(range(256)), b'\\r\\n', b'\\n', b'\\0']");
    let mut expected: Vec<u8> = (0..=255).collect();
    expected.extend(b"\r\n\n\0");
    assert_eq!(all.recorder.body, expected);
}

// clauses: 58, 75, 76
#[test]
fn headers_wait_for_the_first_block_and_every_block_is_flushed_before_the_next_is_asked_for() {
    let answer = answer("[]", "generator(b'', b'one', b'', b'three')");
    answer.is_ok("onethree");
    let expected = ["asked", "asked", "start 200", "data 3", "flush", "asked", "asked", "data 5", "flush", "exhausted", "finish", "flush"];
    assert_eq!(answer.events, expected);
}

// clauses: 58
#[test]
fn headers_go_out_at_the_end_if_no_block_came() {
    let answer = answer("[('X', 'y')]", "generator(b'', b'')");
    answer.is_ok("");
    assert_eq!(answer.events[..4], ["asked", "asked", "exhausted", "start 200"]);
    assert_eq!((answer.field("X").len(), answer.recorder.length), (1, Some(0)));
}

// clauses: 58, 66
#[test]
fn an_explicit_length_of_zero_needs_no_block() {
    let answer = answer("[('Content-Length', '0')]", "generator(b'')");
    answer.is_ok("");
    assert_eq!(answer.events[..2], ["start 200", "finish"]);
}

// clauses: 80
#[test]
fn empty_blocks_send_nothing() {
    // The exchange itself refuses them.
    let answer = answer("[]", "[b'', b'a', b'', b'', b'b', b'']");
    answer.is_ok("ab");
    assert_eq!(answer.recorder.blocks, [b"a", b"b"]);
}

// clauses: 12, 69
#[test]
fn a_length_is_derived_for_a_single_block() {
    for expression in ["[b'12345']", "(b'12345',)", "Sized(b'12345')", "{b'12345'}"] {
        let answer = answer("[]", expression);
        answer.is_ok("12345");
        assert_eq!(answer.recorder.length, Some(5), "{expression}");
    }
    // Of several blocks the application could not have meant to say so, and of others nobody knows.
    for expression in ["[b'123', b'45']", "Sized(b'123', b'45')", "Blocks(b'12345')", "generator(b'12345')"] {
        let answer = answer("[]", expression);
        answer.is_ok("12345");
        assert_eq!(answer.recorder.length, None, "{expression}");
    }
}

// clauses: 69
#[test]
fn a_length_that_is_given_is_not_derived() {
    let answer = answer("[('content-length', '5')]", "[b'12345']");
    assert_eq!(answer.field("Content-Length"), ["5"]);
}

// clauses: 12
#[test]
fn an_iterable_whose_len_raises_is_iterated_over() {
    let app = App::new(
        "
class Odd:
    def __len__(self): raise RuntimeError('no length')
    def __iter__(self): return iter([b'odd'])
def application(environ, start_response):
    start_response('200 OK', [])
    return Odd()
",
    );
    app.get("/").run().is_ok("odd");
}

// clauses: 66
#[test]
fn no_more_is_asked_for_once_content_length_is_reached() {
    let answer = answer("[('Content-Length', '5')]", "generator(b'123', b'45', b'never')");
    answer.is_ok("12345");
    let expected = ["asked", "start 200", "data 3", "flush", "asked", "data 2", "finish", "flush"];
    assert_eq!(answer.events, expected);
    assert_eq!(answer.logged, [""; 0]);
}

// clauses: 66
#[test]
fn what_exceeds_content_length_is_cut_off_and_logged_once() {
    for expression in ["[b'1234567']", "[b'123', b'4567', b'89']", "generator(b'123', b'4567', b'89')"] {
        let answer = answer("[('Content-Length', '5')]", expression);
        answer.is_ok("12345");
        let line = "WARN application sent 2 bytes more than its Content-Length says; they were cut off";
        assert_eq!(answer.logged, [line], "{expression}");
    }
}

// clauses: 67
#[test]
fn a_body_shorter_than_content_length_aborts_the_reply_and_is_logged_once() {
    for expression in ["[b'123']", "[b'1', b'23']", "generator(b'1', b'23')"] {
        let answer = answer("[('Content-Length', '5')]", expression);
        assert_eq!(answer.body(), "123");
        assert!(answer.has("abort") && !answer.has("finish"), "{:?}", answer.events);
        assert_eq!(answer.logged, ["WARN application sent 3 bytes, its Content-Length says 5"], "{expression}");
    }
}

// clauses: 67
#[test]
fn a_promised_body_that_never_comes_aborts_too() {
    for expression in ["[]", "[b'']", "iter([])"] {
        let answer = answer("[('Content-Length', '5')]", expression);
        assert!(answer.has("abort") && !answer.has("finish"), "{:?}", answer.events);
    }
}

// clauses: 68, 70
#[test]
fn without_content_length_framing_is_left_to_the_codec() {
    let answer = answer("[]", "generator(b'a', b'b')");
    assert_eq!((answer.recorder.length, answer.field("Transfer-Encoding").len()), (None, 0));
    assert_eq!(answer.recorder.blocks, [b"a", b"b"]);
}

// clauses: 72, 74
#[test]
fn conditional_requests_and_ranges_are_the_applications_business() {
    let app = app("[('ETag', '\"1\"'), ('Accept-Ranges', 'bytes'), ('Content-Encoding', 'gzip')]", "[b'whole']");
    let answer = app.get("/").field("If-None-Match", b"\"1\"").field("Range", b"bytes=0-1").run();
    answer.is_ok("whole");
    assert_eq!(answer.field("Content-Encoding"), ["gzip"]);
}

// clauses: 76
#[test]
fn the_blocks_of_a_list_are_sent_together_but_not_all_of_a_large_one() {
    let small = answer("[]", "[b'a'] * 5");
    assert_eq!(small.events, ["start 200", "data 1", "data 1", "data 1", "data 1", "data 1", "finish"]);
    let large = answer("[]", "[b'x' * 10000] * 20");
    assert_eq!(large.recorder.body.len(), 200_000);
    let unsent = large.events.split(|event| event == "flush").map(|events| events.iter().filter(|event| event.starts_with("data")).count());
    assert!(unsent.max() <= Some(7), "{:?}", large.events);
}

// clauses: 75
#[test]
fn a_huge_block_is_queued_in_bounded_parts() {
    for expression in ["[b'x' * 5_000_001]", "iter([b'x' * 5_000_001])", "[b'x' * 5_000_001, b'']"] {
        let answer = answer("[]", expression);
        assert_eq!(answer.recorder.body.len(), 5_000_001);
        assert!(answer.recorder.blocks.iter().all(|block| block.len() <= 1 << 20));
        let mut queued = 0;
        for event in &answer.events {
            queued = if event == "flush" { 0 } else { queued + usize::from(event.starts_with("data")) };
            assert!(queued <= 1, "{:?}", answer.events);
        }
    }
}

// clauses: 58, 75
#[test]
fn a_generator_whose_length_is_known_is_finished_with_its_last_block() {
    let answer = answer("[('Content-Length', '2')]", "Closing(b'ok')");
    assert_eq!(answer.events, ["start 200", "data 2", "finish", "flush", "close"]);
}

// clauses: 81, 82
#[test]
fn the_reply_is_out_before_close_is_called() {
    let answer = answer("[]", "Closing(b'a', b'b')");
    answer.is_ok("ab");
    assert_eq!(answer.events, ["start 200", "data 1", "flush", "data 1", "flush", "finish", "flush", "close"]);
}

// clauses: 83
#[test]
fn nothing_of_the_iterable_is_used_but_len_iter_and_close() {
    let app = App::new(
        "
class Watched:
    def __getattribute__(self, name):
        note(name)
        return object.__getattribute__(self, name)
    def __iter__(self): return iter([b'ok'])
    def close(self): pass
def application(environ, start_response):
    start_response('200 OK', [])
    return Watched()
",
    );
    let answer = app.get("/").run();
    answer.is_ok("ok");
    let used: Vec<_> =
        answer.events.iter().filter(|event| !event.contains(' ') && !["flush", "finish"].contains(&event.as_str())).collect();
    assert_eq!(used, ["close"]);
}

// clauses: D16
#[test]
fn the_answer_to_head_is_iterated_over_and_closed_but_owes_no_body() {
    let app = app("[('Content-Length', '1000')]", "Closing()");
    let answer = app.request("HEAD", "/").run();
    answer.is_ok("");
    assert_eq!(answer.field("Content-Length"), ["1000"]);
    assert!(answer.has("close") && answer.logged.is_empty());

    let app = self::app("[('Content-Length', '3')]", "generator(b'abc', b'')");
    let answer = app.request("HEAD", "/").run();
    assert_eq!(answer.events.iter().filter(|event| *event == "exhausted").count(), 1);
    assert!(answer.has("finish") && answer.logged.is_empty());
}

// clauses: 69, D16
#[test]
fn no_length_is_made_up_for_the_empty_answer_to_head() {
    for expression in ["[]", "[b'']", "iter([])"] {
        assert_eq!(app("[]", expression).request("HEAD", "/").run().recorder.length, None);
    }
    assert_eq!(app("[]", "[b'12345']").request("HEAD", "/").run().recorder.length, Some(5));
}

// clauses: D16
#[test]
fn statuses_without_a_body_get_no_length_and_owe_none() {
    for (status, length, sent) in [("204 No Content", "0", 0), ("204 No Content", "5", 0), ("304 Not Modified", "1000", 1)] {
        for expression in ["[]", "[b'']", "iter([])"] {
            let app = App::new(&format!(
                "
def application(environ, start_response):
    start_response('{status}', [('Content-Length', '{length}'), ('ETag', 'x')])
    return {expression}
"
            ));
            let answer = app.get("/").run();
            assert!(answer.has("finish") && !answer.has("abort") && answer.errors.is_empty(), "{:?}", answer.events);
            assert_eq!((answer.field("Content-Length").len(), answer.field("ETag").len()), (sent, 1), "{status}");
        }
    }
    let app = App::new("def application(environ, start_response):\n    start_response('304 Not Modified', [])\n    return []");
    assert_eq!(app.get("/").run().recorder.length, None);
}
