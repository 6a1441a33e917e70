//! What becomes of a handler's reply.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use wsgi_core::wire::ResponseHead;
use wsgi_core::workers::Workers;
use wsgi_http::tower::{BodyError, Reason, WsgiService};

use super::common::*;

fn head(status: &str, fields: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::new(status.as_bytes()).unwrap();
    for (name, value) in fields {
        head.field(name.as_bytes(), value.as_bytes()).unwrap();
    }
    head
}

fn with(method: &str) -> Request<Empty<Bytes>> {
    Request::builder().method(method).uri("/").body(Empty::new()).unwrap()
}

#[test]
fn a_reply_that_is_whole_is_one_block_of_a_known_length() {
    let service = service(|exchange| {
        start(exchange);
        exchange.data(b"Hello, ");
        exchange.data(b"world!");
        exchange.finish();
    });
    run(async {
        let mut response = ask(&service, get("/")).await;
        assert_eq!(response.body().size_hint().exact(), Some(13));
        assert!(!response.body().is_end_stream());
        assert_eq!(block(response.body_mut()).await.unwrap().unwrap(), "Hello, world!");
        assert!(response.body().is_end_stream());
        assert_eq!(response.body().size_hint().exact(), Some(0));
        assert!(block(response.body_mut()).await.is_none());
    });
}

#[test]
fn fields_come_as_they_were_given() {
    let service = service(|exchange| {
        let mut head = head("200 OK", &[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Empty", ""), ("Content-Length", "2")]);
        head.field(b"X-Latin", b"caf\xe9").unwrap();
        exchange.start(&head);
        exchange.data(b"ok");
        exchange.finish();
    });
    let response = run(ask(&service, get("/")));
    let headers = response.headers();
    assert!(headers.get_all("set-cookie").iter().eq(["a=1", "b=2"]));
    assert_eq!((headers["x-latin"].as_bytes(), headers["x-empty"].as_bytes()), (&b"caf\xe9"[..], &b""[..]));
    assert_eq!((headers["content-length"].as_bytes(), headers.len()), (&b"2"[..], 5));
}

#[test]
fn replies_without_a_body_have_none_and_keep_what_their_length_says() {
    for (method, status, kept) in
        [("HEAD", "200 OK", true), ("GET", "204 No Content", false), ("GET", "304 Not Modified", true), ("HEAD", "404 Not Found", true)]
    {
        for flushes in [false, true] {
            let service = service(move |exchange| {
                exchange.start(&head(status, &[("Content-Length", "5")]));
                exchange.data(b"never");
                if flushes {
                    // Nobody may be there any more.
                    let _ = exchange.flush();
                }
                exchange.finish();
            });
            let response = run(ask(&service, with(method)));
            assert_eq!(response.headers().contains_key("content-length"), kept, "{method} {status}");
            assert!(response.body().is_end_stream());
            // Nothing that a server could make a Content-Length of.
            assert_eq!(response.body().size_hint().exact(), None, "{method} {status}");
            assert_eq!(run(text(response)), "", "{method} {status}");
        }
    }
}

#[test]
fn an_endless_reply_to_head_ends() {
    let (tell, outcome) = told();
    let service = service(move |exchange| {
        start(exchange);
        let error = loop {
            exchange.data(b"more");
            if let Err(error) = exchange.flush() {
                break error;
            }
        };
        tell.tell(error.kind());
    });
    assert_eq!(run(ask(&service, with("HEAD"))).status(), 200);
    assert_eq!(hear(&outcome), std::io::ErrorKind::ConnectionAborted);
}

#[test]
fn an_unusual_reason_goes_along() {
    let reasons = [("404 Not Found", None), ("404 Not Here", Some("Not Here")), ("299 Odd", Some("Odd")), ("200 Fine", Some("Fine"))];
    for (status, reason) in reasons {
        let service = service(move |exchange| {
            exchange.start(&head(status, &[]));
            exchange.finish();
        });
        let response = run(ask(&service, get("/")));
        assert_eq!(response.status().as_str(), &status[..3]);
        assert_eq!(response.extensions().get::<Reason>(), reason.map(|reason| Reason(reason.into())).as_ref(), "{status}");
    }
}

#[test]
fn a_handler_that_fails_before_its_head_is_a_500() {
    for how in ["panic", "return", "abort"] {
        let service = service(move |exchange| match how {
            "panic" => panic!("on purpose"),
            "abort" => exchange.abort(),
            _ => {}
        });
        assert_eq!(answer(&service, get("/")), (500, "Internal Server Error\n".to_owned()), "{how}");
    }
}

#[test]
fn a_reply_that_breaks_off_is_an_error_after_what_came_before() {
    for how in ["panic", "return", "abort", "short"] {
        let service = service(move |exchange| {
            if how == "short" {
                exchange.start(&ResponseHead::plain(StatusCode::OK, 100));
            } else {
                start(exchange);
            }
            exchange.data(b"half");
            match how {
                "panic" => panic!("on purpose"),
                "abort" => exchange.abort(),
                "short" => exchange.finish(),
                _ => {}
            }
        });
        run(async {
            let mut response = ask(&service, get("/")).await;
            assert_eq!(block(response.body_mut()).await.unwrap().unwrap(), "half", "{how}");
            assert_eq!(block(response.body_mut()).await.unwrap().unwrap_err(), BodyError, "{how}");
            assert!(response.body_mut().frame().await.is_none());
        });
    }
}

#[test]
fn when_too_many_wait_the_answer_is_503() {
    let (open, closed) = gate();
    let (tell, runs) = told();
    let handler = With(move |exchange: &mut dyn wsgi_core::Exchange| {
        tell.tell(());
        closed.pass();
        reply(exchange, b"done");
    });
    let workers = Workers::builder(handler).queue(1).start().unwrap();
    let service = WsgiService::new(workers.clone()).retry_after(std::time::Duration::from_secs(7));
    run(async {
        let running = tokio::spawn({
            let service = service.clone();
            async move { ask(&service, get("/")).await.status() }
        });
        tokio::task::yield_now().await;
        hear(&runs);
        let waiting = tokio::spawn({
            let service = service.clone();
            async move { ask(&service, get("/")).await.status() }
        });
        tokio::task::yield_now().await;
        let refused = ask(&service, get("/")).await;
        assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (503, &b"7"[..]));
        assert!(refused.headers().get("connection").is_none(), "the client is to come again");
        open.send(()).unwrap();
        open.send(()).unwrap();
        assert_eq!((running.await.unwrap(), waiting.await.unwrap()), (StatusCode::OK, StatusCode::OK));
        workers.shutdown();
        let refused = ask(&service, get("/")).await;
        assert_eq!(refused.status(), 503);
        assert_eq!(text(refused).await, "the workers are shutting down\n");
    });
}
