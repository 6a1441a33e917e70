//! `wsgi.file_wrapper`: which files are sent past Python, from where to where, and that all others are read.

use crate::common::{Answer, App};

/// `file` is a temporary file that holds `0123456789`, opened as the statement says; the answer wraps it.
fn wrapping(open: &str, headers: &str, wrap: &str) -> Answer {
    app(open, headers, wrap).get("/").run()
}

fn app(open: &str, headers: &str, wrap: &str) -> App {
    App::new(&format!(
        "
import gzip, io, os, tempfile

class Noted:
    def __init__(self, file): self.file = file
    def read(self, size):
        note('read %d' % size)
        return self.file.read(size)
    def close(self):
        note('close')

class NotedFile(io.FileIO):
    def close(self):
        if not self.closed: note('close')
        super().close()

class Wrapped:
    def __init__(self, iterable): self.iterable = iterable
    def __iter__(self): return iter(self.iterable)
    def close(self): self.iterable.close()

def temporary(content=b'0123456789'):
    descriptor, path = tempfile.mkstemp()
    os.write(descriptor, content)
    os.close(descriptor)
    return path

def application(environ, start_response):
    path = temporary()
    try:
        {open}
    finally:
        os.unlink(path)
    wrapper = environ['wsgi.file_wrapper']
    start_response('200 OK', {headers})
    return {wrap}
"
    ))
}

// clauses: 67
#[test]
fn a_file_that_is_truncated_while_it_is_sent_is_a_warning_that_names_it() {
    let app = app("file = open(path, 'rb'); note(path)", "[]", "wrapper(file)");
    let answer = app.get("/").with(|recorder| recorder.file_ends = Some(4)).run();
    assert!(answer.has("abort") && !answer.has("finish"), "{:?}", answer.events);
    let lines: Vec<_> = answer.logged.iter().filter(|line| line.contains("cut short")).collect();
    let [line] = lines[..] else { panic!("{:?}", answer.logged) };
    let path = &answer.events[0];
    for part in ["WARN", path, "file ended at byte 4, expected 10 bytes"] {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}

// clauses: 94, 99
#[test]
fn a_regular_file_is_sent_past_python_with_its_length() {
    for open in ["open(path, 'rb')", "open(path, 'rb', buffering=0)", "open(path, 'r+b')", "io.FileIO(path)"] {
        let answer = wrapping(&format!("file = {open}"), "[]", "wrapper(file)");
        answer.is_ok("0123456789");
        assert_eq!(answer.recorder.length, Some(10));
        assert_eq!(answer.events[..2], ["start 200", "send_file 0..10"], "{open}");
    }
    wrapping("file = open(path, 'rb')", "[]", "wrapper(file, 3)").is_ok("0123456789");
    wrapping("file = open(path, 'rb')", "[]", "wrapper(filelike=file, block_size=3)").is_ok("0123456789");
}

// clauses: 98
#[test]
fn transmission_begins_at_the_current_position() {
    for seek in ["file.seek(4)", "file.read(4)", "file.read(2); file.read(2)", "file.read(); file.seek(4)"] {
        for open in ["open(path, 'rb')", "open(path, 'rb', buffering=0)"] {
            let answer = wrapping(&format!("file = {open}; {seek}"), "[]", "wrapper(file)");
            answer.is_ok("456789");
            assert!(answer.has("send_file 4..10"), "{seek}: {:?}", answer.events);
            assert_eq!(answer.recorder.length, Some(6));
        }
    }
    // Also if the position changes after the wrapper was made.
    wrapping("file = open(path, 'rb')", "[]", "[wrapper(file), file.seek(8)][0]").is_ok("89");
}

// clauses: 66, 98
#[test]
fn transmission_ends_after_content_length() {
    let answer = wrapping("file = open(path, 'rb'); file.seek(2)", "[('Content-Length', '3')]", "wrapper(file)");
    answer.is_ok("234");
    assert!(answer.has("send_file 2..5"));
    assert_eq!(answer.logged, [""; 0]);
}

// clauses: 67
#[test]
fn a_file_that_is_shorter_than_content_length_aborts() {
    let answer = wrapping("file = open(path, 'rb')", "[('Content-Length', '20')]", "wrapper(file)");
    assert_eq!(answer.body(), "0123456789");
    assert!(answer.has("abort") && !answer.has("finish"));
    assert_eq!(answer.logged, ["WARN application sent 10 bytes, its Content-Length says 20"]);
}

// clauses: 96, 97
#[test]
fn anything_with_read_is_read_in_blocks() {
    let answer = wrapping("file = Noted(open(path, 'rb'))", "[]", "wrapper(file, 4)");
    answer.is_ok("0123456789");
    let expected = ["read 4", "start 200", "data 4", "flush", "read 4", "data 4", "flush", "read 4", "data 2", "flush", "read 4"];
    assert_eq!(answer.events[..11], expected);
    assert_eq!(answer.events.last().unwrap(), "close");
    let default = wrapping("file = Noted(open(path, 'rb'))", "[]", "wrapper(file)");
    assert!(default.has("read 8192"), "{:?}", default.events);
}

/// `fileno()` of a compressed, encrypted or subclassed file says nothing of what `read()` gives.
// clauses: 97, 99
#[test]
fn a_descriptor_is_trusted_only_of_pythons_own_classes() {
    for (open, body) in [
        ("file = io.BytesIO(b'memory')", "memory"),
        ("z = gzip.open(path, 'wb'); z.write(b'plain'); z.close(); file = gzip.open(path, 'rb')", "plain"),
        ("file = NotedFile(path)", "0123456789"),
        ("file = io.BufferedReader(NotedFile(path))", "0123456789"),
        ("file = tempfile.TemporaryFile(); file.write(b'buffered'); file.seek(0)", "buffered"),
        ("file = tempfile.SpooledTemporaryFile(); file.write(b'spooled'); file.seek(0)", "spooled"),
    ] {
        let answer = wrapping(open, "[]", "wrapper(file)");
        answer.is_ok(body);
        assert!(body == "buffered" || !answer.events.iter().any(|event| event.starts_with("send_file")), "{open}: {:?}", answer.events);
    }
}

// clauses: 97
#[test]
fn pipes_and_files_that_do_not_know_their_length_are_read() {
    wrapping("r, w = os.pipe(); os.write(w, b'piped'); os.close(w); file = open(r, 'rb')", "[]", "wrapper(file)").is_ok("piped");
    let answer = wrapping("file = open('/proc/self/stat', 'rb')", "[]", "wrapper(file)");
    assert!(answer.recorder.body.len() > 20 && answer.has("finish"), "{:?}", answer.events);
    // Nothing left of a regular file is a body of nothing.
    let answer = wrapping("file = open(path, 'rb'); file.seek(0, 2)", "[]", "wrapper(file)");
    answer.is_ok("");
    assert_eq!(answer.recorder.length, Some(0));
}

// clauses: 97
#[test]
fn what_is_not_written_yet_is_sent_too() {
    let answer = wrapping("file = open(path, 'r+b'); file.seek(10); file.write(b'abc'); file.seek(8)", "[]", "wrapper(file)");
    answer.is_ok("89abc");
}

// clauses: 81, 96, D20
#[test]
fn the_file_is_closed_when_the_reply_is_out() {
    let answer = wrapping("file = NotedFile(path)", "[]", "wrapper(file)");
    answer.is_ok("0123456789");
    let position = |event: &str| answer.events.iter().position(|other| other == event).unwrap();
    assert!(position("finish") < position("close"));
    let app = App::new(
        "
import os, tempfile
opened = []
def application(environ, start_response):
    if environ['PATH_INFO'] == '/check':
        start_response('200 OK', [])
        return [repr([file.closed for file in opened]).encode()]
    file = tempfile.TemporaryFile()
    file.write(b'x'); file.seek(0)
    opened.append(file)
    start_response('200 OK', [])
    return environ['wsgi.file_wrapper'](file)
",
    );
    app.get("/").run().is_ok("x");
    assert!(app.get("/").fail_flush(0).run().has("abort"));
    app.get("/check").run().is_ok("[True, True]");
}

// clauses: 96
#[test]
fn a_file_without_close_will_do() {
    let answer = wrapping("file = type('F', (), {'read': lambda self, size, blocks=[b'', b'x']: blocks.pop()})()", "[]", "wrapper(file)");
    answer.is_ok("x");
}

// clauses: 91, 95, 100
#[test]
fn a_wrapper_that_middleware_has_wrapped_is_iterated_over() {
    let answer = wrapping("file = open(path, 'rb')", "[]", "Wrapped(wrapper(file, 5))");
    answer.is_ok("0123456789");
    assert!(!answer.events.iter().any(|event| event.starts_with("send_file")));
    assert_eq!(answer.recorder.blocks, [b"01234", b"56789"]);
    let unused = wrapping("file = Noted(open(path, 'rb'))", "[]", "[wrapper(file), [b'other']][1]");
    unused.is_ok("other");
    assert!(!unused.has("read 8192"));
}

// clauses: 85, 98
#[test]
fn a_file_follows_what_was_written() {
    let app = App::new(
        "
import tempfile
def application(environ, start_response):
    file = tempfile.TemporaryFile()
    file.write(b'file'); file.seek(0)
    start_response('200 OK', [])(b'written ')
    return environ['wsgi.file_wrapper'](file)
",
    );
    let answer = app.get("/").run();
    answer.is_ok("written file");
    assert_eq!(answer.recorder.length, None);
}

// clauses: 65, 95
#[test]
fn a_wrapper_without_start_response_is_an_error() {
    let app = App::new("def application(environ, start_response): return environ['wsgi.file_wrapper'](open('/bin/sh', 'rb'))");
    app.get("/").run().is_error("application did not call start_response()");
}

// clauses: 97
#[test]
fn files_that_cannot_be_read_raise_where_they_are_read() {
    for (open, error) in [
        ("file = open(path, 'rb'); file.close()", "ValueError"),
        ("file = open(path, 'wb', buffering=0)", "UnsupportedOperation"),
        ("file = open(path)", "must be bytes, got str"),
        ("file = None", "AttributeError"),
    ] {
        wrapping(open, "[]", "wrapper(file)").is_error(error);
    }
    wrapping("file = open(path, 'rb')", "[]", "wrapper(file, 0)")
        .is_error("ValueError: file_wrapper() block_size must be at least 1, got 0");
    wrapping("file = open(path, 'rb')", "[]", "wrapper()").is_error("TypeError");
}

// clauses: D16
#[test]
fn the_answer_to_head_sends_no_file_but_its_length() {
    let app = app("file = open(path, 'rb')", "[]", "wrapper(file)");
    let answer = app.request("HEAD", "/").run();
    answer.is_ok("");
    assert_eq!(answer.recorder.length, Some(10));
    assert!(!answer.events.iter().any(|event| event.starts_with("send_file")));
}
