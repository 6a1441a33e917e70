//! tower's and tower-http's layers around the service, as they come.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::limit::ConcurrencyLimitLayer;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::{DecompressionLayer, RequestDecompressionLayer};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::normalize_path::NormalizePathLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use wsgi_core::wire::{Known, ResponseHead};
use wsgi_http::tower::WsgiService;

use super::common::*;

fn echo() -> WsgiService {
    service(|exchange| {
        let length = exchange.head().get(Known::ContentLength).map_or(-1, |text| std::str::from_utf8(text).unwrap().parse().unwrap());
        match read_all(exchange) {
            Ok(body) => reply(exchange, format!("{length} {}", String::from_utf8_lossy(&body)).as_bytes()),
            Err(error) => {
                let status = error.get_ref().and_then(|inner| inner.downcast_ref::<wsgi_core::wire::Error>()).map(|error| error.status());
                exchange.refuse(status.unwrap_or(StatusCode::IM_A_TEAPOT), "broken");
            }
        }
    })
}

#[test]
fn all_of_them_at_once() {
    let service = service(|exchange| {
        let mut head = ResponseHead::of(StatusCode::OK);
        head.field(b"Content-Type", b"text/plain").unwrap();
        exchange.start(&head);
        for _ in 0..100 {
            exchange.data(&[b'x'; 1000]);
            exchange.flush().unwrap();
        }
        exchange.finish();
    });
    for (coding, accepted) in [("gzip", "gzip"), ("br", "br, gzip;q=0.5")] {
        let stack = ServiceBuilder::new()
            .layer(DecompressionLayer::new())
            .layer(TraceLayer::new_for_http())
            .layer(CatchPanicLayer::new())
            .layer(SetResponseHeaderLayer::overriding(HeaderName::from_static("x-layer"), HeaderValue::from_static("yes")))
            .layer(CompressionLayer::new())
            .layer(RequestDecompressionLayer::new())
            .layer(NormalizePathLayer::trim_trailing_slash())
            .layer(RequestBodyLimitLayer::new(1000))
            .layer(ConcurrencyLimitLayer::new(2))
            .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, DEADLINE))
            .service(service.clone());
        let request = Request::post("/").header("Accept-Encoding", accepted).body(Full::<Bytes>::from("a")).unwrap();
        let response = run(async {
            let response = stack.oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
        });
        assert_eq!((response.status().as_u16(), response.headers()["x-layer"].as_bytes()), (200, &b"yes"[..]));
        assert!(response.body().iter().eq([b'x'; 100_000].iter()), "{coding}");
    }
}

#[test]
fn responses_are_compressed_block_by_block() {
    let (open, closed) = gate();
    let service = service(move |exchange| {
        let mut head = ResponseHead::of(StatusCode::OK);
        head.field(b"Content-Type", b"text/plain").unwrap();
        exchange.start(&head);
        for number in 0..3u8 {
            // More than the compressor keeps for itself.
            let mut state = u32::from(number) + 1;
            let noise: Vec<u8> =
                (0..200_000).map(|_| (state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223), (state >> 24) as u8).1).collect();
            exchange.data(&noise);
            exchange.flush().unwrap();
            closed.pass();
        }
        exchange.finish();
    });
    let compressed = ServiceBuilder::new().layer(CompressionLayer::new()).service(service);
    run(async {
        let response =
            compressed.oneshot(Request::get("/").header("Accept-Encoding", "gzip").body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert!(response.headers().get("content-length").is_none());
        let mut body = response.into_body();
        // It comes while the handler waits at its gate.
        assert!(!block(&mut body).await.unwrap().unwrap().is_empty());
        for _ in 0..3 {
            open.send(()).unwrap();
        }
        while block(&mut body).await.transpose().unwrap().is_some() {}
    });
}

#[test]
fn requests_are_decompressed_and_have_no_length_then() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&[b'a'; 10_000]).unwrap();
    let packed = gzip.finish().unwrap();
    let service = ServiceBuilder::new().layer(RequestDecompressionLayer::new()).service(echo());
    let request = Request::post("/")
        .header("Content-Encoding", "gzip")
        .header("Content-Length", packed.len())
        .body(Full::<Bytes>::from(packed))
        .unwrap();
    let text = run(async { text(service.oneshot(request).await.unwrap().map(|body| body.map_err(|error| error.to_string()))).await });
    assert_eq!(text, format!("-1 {}", "a".repeat(10_000)));
}

#[test]
fn a_time_limit_ends_the_handler() {
    let (tell, ended) = told();
    let service = service(move |exchange| {
        // It waits for a body that does not come.
        tell.tell(exchange.read(1).map_err(|error| error.kind()));
    });
    let limited = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(20)))
        .service(service.read_ahead(0));
    let (_sender, body) = http_body_util::channel::Channel::<Bytes, std::io::Error>::new(1);
    let response = run(async { limited.oneshot(Request::post("/").body(body).unwrap()).await.unwrap() });
    assert_eq!(response.status(), 504);
    assert_eq!(hear(&ended), Err(std::io::ErrorKind::ConnectionAborted));
}

#[test]
fn a_limit_on_bodies_is_413_however_they_come() {
    for read_ahead in [0, 64 * 1024] {
        let limited = || ServiceBuilder::new().layer(RequestBodyLimitLayer::new(3)).service(echo().read_ahead(read_ahead));
        let status = |request: Request<Frames>| run(async { limited().oneshot(request).await.unwrap().status().as_u16() });
        assert_eq!(status(Request::post("/").header("Content-Length", 4).body(Frames::of([b"four"])).unwrap()), 413);
        assert_eq!(status(Request::post("/").body(Frames::of([b"fo", b"ur"])).unwrap()), 413, "{read_ahead}");
        assert_eq!(status(Request::post("/").body(Frames::of([b"abc"])).unwrap()), 200);
    }
}

#[test]
fn a_panic_in_a_layer_is_caught_and_the_threads_go_on() {
    #[derive(Clone)]
    struct Bad;
    let service = echo().variables_from(|_: &Bad, _| panic!("on purpose"));
    let caught = ServiceBuilder::new().layer(CatchPanicLayer::new()).service(service);
    let mut bad = Request::get("/").body(Full::<Bytes>::default()).unwrap();
    bad.extensions_mut().insert(Bad);
    run(async {
        assert_eq!(caught.clone().oneshot(bad).await.unwrap().status(), 500);
        assert_eq!(caught.oneshot(Request::get("/").body(Full::<Bytes>::default()).unwrap()).await.unwrap().status(), 200);
    });
}

#[test]
fn a_path_may_be_normalised_before_it_comes() {
    let service = ServiceBuilder::new().layer(NormalizePathLayer::trim_trailing_slash()).service(show());
    let text = run(async { text(service.oneshot(get("/a//b/?c")).await.unwrap()).await });
    assert!(text.contains("QUERY_STRING=c\n") && !text.contains("/b/"), "{text}");
}

#[test]
fn no_more_run_at_once_than_a_limit_lets() {
    let most = Arc::new(AtomicUsize::new(0));
    let (now, seen) = (AtomicUsize::new(0), Arc::clone(&most));
    let handler = With(move |exchange: &mut dyn wsgi_core::Exchange| {
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        now.fetch_sub(1, Ordering::SeqCst);
        reply(exchange, b"");
    });
    let service = WsgiService::new(wsgi_core::workers::Workers::builder(handler).threads(8).start().unwrap());
    let limited = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(2)).service(service);
    run(async {
        let asking: Vec<_> = (0..100).map(|_| tokio::spawn(limited.clone().oneshot(get("/")))).collect();
        for one in asking {
            assert_eq!(one.await.unwrap().unwrap().status(), 200);
        }
    });
    assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
}
