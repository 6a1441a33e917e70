//! How the application is called, and in what threads.

use std::collections::HashMap;

use wsgi_tests::column::{Body, Request, collect};
use wsgi_tests::matrix::matrix;

// clauses: 1, 64
#[test]
fn any_callable_is_called_and_never_looked_into() {
    for (callable, kind) in [
        ("ClassApplication", "class"),
        ("instance", "instance"),
        ("method", "method"),
        ("partial", "partial"),
        ("lambda_", "lambda"),
        ("opaque", "opaque"),
    ] {
        matrix("callables").callable(callable).run(|site| {
            let seen = site.get("/");
            assert_eq!((seen.code(), seen.field("x-kind"), seen.text().as_str()), (200, Some(kind), kind));
        });
    }
}

// clauses: 2, 5, 47
#[test]
fn environ_and_start_response_come_as_two_positional_arguments() {
    matrix("call").run(|site| {
        assert_eq!(site.get("/").text(), "called");
        assert_eq!(site.noted::<usize>("arguments"), 2);
        assert_eq!(site.noted::<Vec<String>>("keywords"), Vec::<String>::new());
        assert!(site.noted::<bool>("write is callable"));
    });
}

// clauses: 5
#[test]
fn start_response_takes_no_keywords() {
    matrix("faulty/keywords").run(|site| {
        assert_eq!(site.get("/").code(), 500);
        site.errors_with("TypeError");
    });
}

// clauses: 3
#[test]
fn one_request_is_one_call() {
    matrix("hello").run(|site| {
        for n in 1..=3 {
            assert_eq!(site.get(&format!("/{n}")).text(), "Hello, world!\n");
        }
        assert_eq!(site.notes::<String>("called"), ["/1", "/2", "/3"]);
    });
}

// clauses: 4
#[test]
fn environ_is_a_fresh_builtin_dict_for_each_request() {
    matrix("environ").run(|site| {
        let mut client = site.open();
        for _ in 0..3 {
            client.send(&Request::get("/")).unwrap();
            let seen = collect(client.as_mut());
            assert_eq!(seen.code(), 200);
            if !seen.reusable {
                client = site.open();
            }
        }
        assert_eq!(site.notes::<bool>("is builtin dict"), [true; 3]);
        assert_eq!(site.notes::<String>("left behind"), ["nothing"; 3]);
    });
}

// clauses: 34, 90
#[test]
fn one_thread_never_runs_two_calls_at_once_and_says_so() {
    matrix("environ").threads(1).run(|site| {
        site.get("/");
        assert!(!site.noted::<bool>("wsgi.multithread"));
    });
    matrix("overlap").threads(1).run(|site| {
        // Before the one thread is taken: a client of TLS cannot send anything without an answer.
        let mut clients = [site.open(), site.open(), site.open()];
        for (client, path) in clients.iter_mut().zip(["/1", "/2", "/3"]) {
            client.send(&Request::get(path)).unwrap();
        }
        for gate in ["/1", "/2", "/3"] {
            site.open_gate(gate);
        }
        for client in &mut clients {
            assert_eq!(collect(client.as_mut()).text(), "went");
        }
        assert_eq!(site.notes::<usize>("inside"), [1; 3]);
    });
}

// clauses: 34, 35, 36
#[test]
fn several_threads_run_calls_at_once_and_say_so() {
    matrix("environ").threads(3).run(|site| {
        site.get("/");
        assert!(site.noted::<bool>("wsgi.multithread"));
        assert!(!site.noted::<bool>("wsgi.multiprocess"), "there is one process");
        assert!(!site.noted::<bool>("wsgi.run_once"));
    });
    matrix("overlap").threads(3).run(|site| {
        // None goes before all three are inside: with fewer threads than three the third would never get there.
        let mut clients: Vec<_> = ["/1", "/2", "/3"].map(|path| site.ask(Request::get(path))).into();
        wait_until(|| site.notes::<usize>("inside").contains(&3));
        for gate in ["/1", "/2", "/3"] {
            site.open_gate(gate);
        }
        for client in &mut clients {
            assert_eq!(collect(client.as_mut()).text(), "went");
        }
    });
}

// clauses: 3, 34
#[test]
fn what_a_thread_keeps_in_a_threading_local_survives_between_requests() {
    matrix("thread_local").threads(2).run(|site| {
        let mut last: HashMap<String, u32> = HashMap::new();
        for _ in 0..20 {
            let text = site.get("/").text();
            let (thread, count) = text.split_once(' ').expect("thread and count");
            let count: u32 = count.parse().expect("a count");
            assert_eq!(count, last.get(thread).copied().unwrap_or(0) + 1, "thread {thread} lost its locals");
            last.insert(thread.to_owned(), count);
        }
        assert!(last.len() <= 2, "more threads than were asked for: {last:?}");
    });
}

// clauses: 31, 32, 39, 45, D14
#[test]
fn wsgi_errors_takes_any_text_by_write_writelines_and_flush() {
    matrix("errors_stream").run(|site| {
        assert_eq!(site.get("/").text(), "written");
        let errors = site.errors_with("printed\n");
        for line in ["one line\n", "half a line\nthird line\n", "snöw ☃ 😀 and a lone "] {
            assert!(errors.contains(line), "{line:?} is not in {errors:?}");
        }
        assert!(errors.contains(" surrogate\n"), "a lone surrogate made the line fail: {errors:?}");
    });
}

// clauses: 46
#[test]
fn an_application_that_closes_its_streams_hurts_nobody() {
    matrix("faulty/closes_streams").run(|site| {
        let mut client = site.open();
        for _ in 0..2 {
            client.send(&Request::post("/", "body")).unwrap();
            let seen = collect(client.as_mut());
            assert_eq!(seen.text(), "went on");
            if !seen.reusable {
                client = site.open();
            }
        }
    });
}

// clauses: 3, 86
#[test]
fn what_is_kept_of_a_request_is_dead_in_the_next() {
    matrix("faulty/keeps_streams").threads(1).run(|site| {
        assert_eq!(site.send(Request::post("/", "first body")).text(), "own");
        let second = site.send(Request::new("POST", "/").body(Body::Whole(b"second body".to_vec())));
        assert_eq!((second.code(), second.text().as_str()), (200, "own"));
        let read: String = site.noted("read");
        assert!(!read.contains("second"), "an old wsgi.input reads the next request's body: {read}");
    });
}

/// Waits until this is true, looking at a condition that has no notification of its own.
fn wait_until(mut condition: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + wsgi_tests::DEADLINE;
    while !condition() {
        assert!(std::time::Instant::now() < end, "it never became true");
        std::thread::yield_now();
    }
}
