//! Makes `CONFORMANCE.md`: which test shows which clause of PEP 3333.
//!
//! A test says so itself, by a line such as `// clauses: 58, 64, D16` above its `#[test]`. The numbers are those of [`CLAUSES`]: 1 to 100 go
//! through PEP 3333 from its beginning to its end, D1 to D23 are what its users have come to rely on beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A clause: its number, whom it binds (`S`erver, `A`pplication, `M`iddleware), and what it asks in a few words.
pub struct Clause(pub &'static str, pub &'static str, pub &'static str);

/// Where a clause that binds servers has no test: why, and how what is checked here bears on it.
pub const REASONS: &[(&str, &str)] = &[("33", "documentation: `Application::errors` says where the stream goes")];

/// The text of `CONFORMANCE.md` for the tests that stand in this workspace.
///
/// # Errors
/// Everything that is wrong: a comment that names no clause or stands above no test, a clause that binds servers and has neither test nor
/// reason, a reason for a clause that has tests.
pub fn render(workspace: &Path) -> Result<String, Vec<String>> {
    let mut faults = Vec::new();
    let mut shown: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    let mut files = Vec::new();
    for folder in ["crates", "examples", "tests", "benches"] {
        sources(&workspace.join(folder), &mut files);
    }
    files.sort();
    for file in &files {
        let path = file.strip_prefix(workspace).unwrap_or(file).display().to_string();
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{path}: {error}"));
        for mark in marks(&text) {
            let at = format!("{path}:{}", mark.line);
            let Some(test) = mark.test else {
                faults.push(format!("{at}: `// clauses:` stands above no #[test]"));
                continue;
            };
            for id in mark.ids {
                match CLAUSES.iter().find(|clause| clause.0 == id) {
                    Some(clause) => shown.entry(clause.0).or_default().push((test.clone(), path.clone())),
                    None => faults.push(format!("{at}: there is no clause {id:?}")),
                }
            }
        }
    }

    let mut out = String::from(HEADER);
    for Clause(id, binds, says) in CLAUSES {
        let tests = shown.get(id).map(Vec::as_slice).unwrap_or_default();
        let reason = REASONS.iter().find(|(other, _)| other == id).map(|(_, reason)| *reason);
        let evidence = match (tests, reason) {
            ([], Some(reason)) => reason.to_owned(),
            ([], None) if binds.contains('S') => {
                faults.push(format!("clause {id} ({says}) binds servers and has neither a test nor a reason"));
                continue;
            }
            ([], None) => "binds applications only".to_owned(),
            (_, Some(_)) => {
                faults.push(format!("clause {id} has tests, so the reason why it has none must go"));
                continue;
            }
            (tests, None) => tests.iter().map(|(test, path)| format!("[{test}]({path})")).collect::<Vec<_>>().join(", "),
        };
        let _ = writeln!(out, "| {id} | {says} | {binds} | {evidence} |");
    }
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

/// A line `// clauses:` and the test below it.
struct Mark {
    line: usize,
    ids: Vec<String>,
    test: Option<String>,
}

fn marks(text: &str) -> Vec<Mark> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut marks = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(ids) = line.strip_prefix("// clauses:") else { continue };
        let mut below =
            lines[at + 1..].iter().take_while(|line| line.starts_with("#[") || line.starts_with("//") || line.starts_with("fn "));
        let is_test = below.clone().any(|line| *line == "#[test]");
        let name = below.find_map(|line| line.strip_prefix("fn ")?.split_once('(')).map(|(name, _)| name.to_owned());
        let ids = ids.split(',').map(|id| id.trim().to_owned()).collect();
        marks.push(Mark { line: at + 1, ids, test: name.filter(|_| is_test) });
    }
    marks
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

const HEADER: &str = "\
# Conformance

What [PEP 3333](https://peps.python.org/pep-3333/) asks, clause by clause in the order of its text (1 to 100), what WSGI programs rely on beside it \
(D1 to D23), and the tests that show it here. **S** binds servers, **A** applications, **M** middleware.

Made from the lines `// clauses:` above the tests: `UPDATE_CONFORMANCE=1 cargo test -p wsgi-tests --test conformance` writes this file, and without \
the variable that test fails when the file is out of date or a clause that binds servers has no test.

The tests in `tests/tests/matrix` run through every front end, and each of their applications that conforms also runs wrapped in \
`wsgiref.validate.validator` (D21).

| clause | what it asks | binds | shown by |
|---|---|---|---|
";

/// Every clause.
pub const CLAUSES: &[Clause] = &[
    Clause("1", "S", "call the application; never ask what kind of callable it is"),
    Clause("2", "S", "environ and start_response are passed by position"),
    Clause("3", "S A", "one call per request; repeated calls are to be expected"),
    Clause("4", "S", "environ is a builtin dict, fresh for each request"),
    Clause("5", "S A", "start_response takes two arguments and an optional third, by position"),
    Clause("6", "S A", "metadata is `str`, bodies are `bytes`"),
    Clause("7", "S", "no `str` from the server holds more than latin-1"),
    Clause("8", "A", "nor does any from the application; the server raises"),
    Clause("9", "A", "status and header texts are latin-1 or RFC 2047"),
    Clause("10", "A", "the result is an iterable of `bytes`, also when write() was used"),
    Clause("11", "S A", "`bytes` means exactly that type"),
    Clause("12", "A S", "a `len()` of the result can be relied on"),
    Clause("13", "S", "REQUEST_METHOD is there and not empty"),
    Clause("14", "S", "SCRIPT_NAME is where the application is"),
    Clause("15", "S", "PATH_INFO is the rest of the path"),
    Clause("16", "S", "QUERY_STRING, which may be empty or absent"),
    Clause("17", "S", "CONTENT_TYPE, which may be empty or absent"),
    Clause("18", "S", "CONTENT_LENGTH, which may be empty or absent"),
    Clause("19", "S", "SERVER_NAME and SERVER_PORT are texts that are never empty"),
    Clause("20", "S", "SERVER_PROTOCOL is the version that the client speaks"),
    Clause("21", "S", "`HTTP_*` mirrors the client's header fields"),
    Clause("22", "S", "other CGI variables that apply should be there"),
    Clause("23", "S", "under TLS the variables of Apache's mod_ssl should be there"),
    Clause("24", "S A", "the server documents its variables; the application copes with missing ones"),
    Clause("25", "S", "a variable that does not apply is absent"),
    Clause("26", "S", "every CGI variable is exactly a `str`"),
    Clause("27", "S", "the process's environment may be added; here it never is"),
    Clause("28", "S", "wsgi.version is (1, 0)"),
    Clause("29", "S", "wsgi.url_scheme is http or https"),
    Clause("30", "S", "wsgi.input is a file-like object with the body"),
    Clause("31", "S", "wsgi.errors is a stream of text"),
    Clause("32", "S", "wsgi.errors takes any text without raising"),
    Clause("33", "S", "where wsgi.errors goes is documented"),
    Clause("34", "S", "wsgi.multithread is true if the application may run in several threads at once"),
    Clause("35", "S", "wsgi.multiprocess is true if it may run in several processes at once"),
    Clause("36", "S", "wsgi.run_once is true if this is expected to be the only call"),
    Clause("37", "S", "a server's own keys are lower case and have a prefix"),
    Clause("38", "S", "wsgi.input has read(size), readline(), readlines(hint) and iteration"),
    Clause("39", "S", "wsgi.errors has flush(), write() and writelines()"),
    Clause("40", "S A", "reading ends at Content-Length"),
    Clause("41", "S", "read() without a size gives the rest"),
    Clause("42", "S", "an exhausted stream gives b\"\" again and again"),
    Clause("43", "S", "readline(size) should work"),
    Clause("44", "S", "the hint of readlines may be ignored"),
    Clause("45", "S A", "flush() may do nothing if what is written goes on at once"),
    Clause("46", "A", "no other method of the streams is used, and close() never"),
    Clause("47", "S", "start_response returns write(body_data)"),
    Clause("48", "A", "a status is three digits, a space and a reason without control characters"),
    Clause("49", "A S", "headers are a list of (name, value) tuples, which the server may change"),
    Clause("50", "A", "header names are field names"),
    Clause("51", "A", "header values hold no control characters"),
    Clause("52", "S", "headers that HTTP demands are added"),
    Clause("53", "S", "header names are compared without regard to case"),
    Clause("54", "A M", "no hop-by-hop headers"),
    Clause("55", "S", "a hop-by-hop header is an error in start_response"),
    Clause("56", "S", "headers are checked in start_response"),
    Clause("57", "S", "start_response sends nothing"),
    Clause("58", "S", "headers go out with the first block that is not empty, or at the end"),
    Clause("59", "S", "with exc_info and unsent headers, the headers are replaced"),
    Clause("60", "S", "with exc_info and sent headers, that exception is raised again"),
    Clause("61", "A", "the application does not swallow it"),
    Clause("62", "S", "a second call without exc_info is an error"),
    Clause("63", "S", "no reference to exc_info is kept"),
    Clause("64", "S", "start_response may be called by the first step of the iteration"),
    Clause("65", "A S", "but before the first block; a block before it is an error"),
    Clause("66", "S", "no more is sent than Content-Length says"),
    Clause("67", "S", "too little is logged, and the connection closed"),
    Clause("68", "S", "without a length the connection may be closed at the end"),
    Clause("69", "S", "the length of a single block may be derived"),
    Clause("70", "S", "chunked coding may be used with HTTP/1.1"),
    Clause("71", "A M", "applications apply no transfer codings"),
    Clause("72", "S", "servers may, and may serve ranges, but should change no meaning"),
    Clause("73", "S A", "incoming hop-by-hop features, chunked bodies among them, are the server's"),
    Clause("74", "S", "conditional requests may be answered by the server"),
    Clause("75", "S", "each block is sent before the next is asked for, or goes on being sent meanwhile"),
    Clause("76", "S", "no block is delayed"),
    Clause("77", "S", "blocks are binary and not changed"),
    Clause("78", "M", "a middleware yields at least once for each block that it gets"),
    Clause("79", "M", "a middleware returns as soon as its application does, and does not write() what it yields"),
    Clause("80", "S", "empty blocks are nothing"),
    Clause("81", "S", "close() is called at the end, on errors, and when the client leaves"),
    Clause("82", "A", "an iterable may not be iterated to its end"),
    Clause("83", "S", "no other attribute of the iterable is used"),
    Clause("84", "S", "write(data) does what a yielded block does"),
    Clause("85", "S", "yielded blocks follow written ones"),
    Clause("86", "A", "no write() from inside the iteration"),
    Clause("87", "A S", "what an application lets escape is trapped and logged"),
    Clause("88", "S", "an error may be appended to a text; here the reply is aborted instead"),
    Clause("89", "S", "Expect: 100-continue is answered, at the latest when the application reads"),
    Clause("90", "S", "an unsafe application can have a single thread"),
    Clause("91", "S", "extensions that replace a part of WSGI are reached through that part"),
    Clause("92", "S", "the deployer can put pairs into environ"),
    Clause("93", "S A", "the URL can be put together again from environ"),
    Clause("94", "S", "wsgi.file_wrapper(file[, block_size]) may be offered"),
    Clause("95", "S", "it gives an iterable, and sends nothing unless that is what is returned"),
    Clause("96", "S", "the iterable's close() calls the file's"),
    Clause("97", "S", "an object with only read() and close() is enough"),
    Clause("98", "S", "the file is sent from its position on, to its end or Content-Length"),
    Clause("99", "S", "the length may be derived, and fileno() may be trusted, from real files"),
    Clause("100", "S", "the wrapper is recognised only in what the application returned"),
    Clause("D1", "S", "wsgi.input_terminated is true or absent (Werkzeug)"),
    Clause("D2", "S", "no HTTP_TRANSFER_ENCODING once a body is de-chunked (Werkzeug)"),
    Clause("D3", "S", "a chunked upload has CONTENT_LENGTH (Django)"),
    Clause("D4", "S", "an unknown CONTENT_LENGTH is absent, not empty"),
    Clause("D5", "S", "PATH_INFO is percent-decoded once, bytes as latin-1"),
    Clause("D6", "S", "REQUEST_URI and RAW_URI hold the raw target"),
    Clause("D7", "S", "repeated fields are joined; of Host, Content-Length and Content-Type there is one"),
    Clause("D8", "S", "a field with an underscore forges none with a hyphen"),
    Clause("D9", "S", "a Proxy field sets no HTTP_PROXY"),
    Clause("D10", "S", "no HTTP_CONTENT_TYPE, no HTTP_CONTENT_LENGTH"),
    Clause("D11", "S", "ambiguous and excessive framing is refused"),
    Clause("D12", "S", "wsgi.early_hints sends 103"),
    Clause("D13", "S", "a raw socket is offered only where it means something; here none is"),
    Clause("D14", "S", "os.environ never reaches environ"),
    Clause("D15", "S", "the scheme is never taken from a client's word"),
    Clause("D16", "S", "HEAD, 204 and 304: no body on the wire, but iterated and closed"),
    Clause("D17", "S", "a mount matches at a slash, and moves its prefix to SCRIPT_NAME"),
    Clause("D18", "S", "waitress.client_disconnected tells long work when to stop"),
    Clause("D19", "S", "close() on every path, since Django ends its requests there"),
    Clause("D20", "S", "Django's FileResponse relies on the wrapper's close()"),
    Clause("D21", "S", "wsgiref.validate finds nothing"),
    Clause("D22", "S", "REMOTE_ADDR is a text or absent on Unix sockets"),
    Clause("D23", "S", "SERVER_SOFTWARE and the scheme are there (Django)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clause_is_listed_once() {
        let ids: Vec<String> = CLAUSES.iter().map(|clause| clause.0.to_owned()).collect();
        let expected: Vec<String> = (1..=100).map(|n| n.to_string()).chain((1..=23).map(|n| format!("D{n}"))).collect();
        assert_eq!(ids, expected);
    }

    #[test]
    fn a_mark_belongs_to_the_test_below_it() {
        let text = "// clauses: 1, D2\n#[test]\n#[should_panic]\n// more\nfn one() {}\n\n// clauses: 3\nfn no_test() {}\n\n// clauses: 4\n\n#[test]\nfn apart() {}";
        let found: Vec<_> = marks(text).into_iter().map(|mark| (mark.line, mark.ids.join(" "), mark.test)).collect();
        assert_eq!(found, [(1, "1 D2".into(), Some("one".into())), (7, "3".into(), None), (10, "4".into(), None)]);
    }
}
