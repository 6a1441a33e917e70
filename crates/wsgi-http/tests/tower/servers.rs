//! The service behind hyper, byte by byte: what a client of HTTP/1.1 and of HTTP/2 gets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use wsgi_core::Exchange;
use wsgi_core::wire::ResponseHead;
use wsgi_http::tower::WsgiService;

use super::common::*;

/// A client's end of a connection to hyper, with the service behind it.
fn connect<S>(service: S) -> DuplexStream
where
    S: tower::Service<Request<hyper::body::Incoming>, Error = std::convert::Infallible, Future: Send> + Clone + Send + 'static,
    S::Response: Into<axum::response::Response>,
{
    let service = TowerToHyperService::new(tower::ServiceBuilder::new().map_response(Into::into).service(service));
    let (client, server) = duplex(64 * 1024);
    tokio::spawn(async move {
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
        // A client that breaks off is no failure.
        let _ = connection.with_upgrades().await;
    });
    client
}

/// A client's end of a connection of HTTP/2.
async fn connect_http_2(service: WsgiService) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
    let (client, server) = duplex(64 * 1024);
    let service = TowerToHyperService::new(service);
    tokio::spawn(hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(server), service));
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn router(service: WsgiService) -> Router {
    Router::new().fallback_service(service)
}

/// Reads until what came ends so.
async fn until(client: &mut DuplexStream, end: &str) -> String {
    let mut all = Vec::new();
    while !all.ends_with(end.as_bytes()) {
        let byte = client.read_u8().await.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&all)));
        all.push(byte);
    }
    String::from_utf8(all).unwrap()
}

#[test]
fn a_client_is_asked_to_go_on_when_the_handler_reads_and_not_before() {
    let (open, closed) = gate();
    let (tell, called) = told();
    let service = service(move |exchange| {
        tell.tell(());
        closed.pass();
        let body = read_all(exchange).unwrap();
        reply(exchange, &body);
    });
    run(async {
        let mut client = connect(router(service));
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
        while called.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        let early = tokio::time::timeout(Duration::from_millis(20), client.read_u8()).await;
        assert!(early.is_err(), "asked before the handler has: {early:?}");
        open.send(()).unwrap();
        assert_eq!(until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(b"body").await.unwrap();
        let head = until(&mut client, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(until(&mut client, "body").await, "body");
    });
}

#[test]
fn a_client_that_waits_to_be_asked_hears_the_refusal_alone() {
    let service = service(|exchange| exchange.refuse(StatusCode::FORBIDDEN, "no"));
    run(async {
        let mut client = connect(router(service));
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
        let head = until(&mut client, "\r\n\r\nno").await;
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    });
}

#[test]
fn a_length_is_derived_where_the_reply_is_whole_and_chunks_tell_the_end_where_not() {
    let (open, closed) = gate();
    let service = service(move |exchange| {
        start(exchange);
        exchange.data(b"first");
        if exchange.head().get_named(b"HTTP_X_STREAM").is_some() {
            exchange.flush().unwrap();
            closed.pass();
            exchange.data(b"second");
        }
        exchange.finish();
    });
    run(async {
        let mut client = connect(router(service));
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let whole = until(&mut client, "first").await;
        assert!(whole.contains("\r\ncontent-length: 5\r\n"), "{whole}");
        client.write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let head = until(&mut client, "\r\n\r\n").await;
        assert!(!head.contains("content-length"), "a length that is not that of the answer to GET: {head}");
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Stream: yes\r\n\r\n").await.unwrap();
        let first = until(&mut client, "first\r\n").await;
        assert!(first.contains("\r\ntransfer-encoding: chunked\r\n") && first.ends_with("\r\n\r\n5\r\nfirst\r\n"), "{first}");
        open.send(()).unwrap();
        assert_eq!(until(&mut client, "0\r\n\r\n").await, "6\r\nsecond\r\n0\r\n\r\n");
    });
}

#[test]
fn a_reply_that_breaks_off_ends_the_connection() {
    let service = service(|exchange| {
        exchange.start(&ResponseHead::plain(StatusCode::OK, 100));
        exchange.data(b"half");
    });
    run(async {
        let mut client = connect(router(service));
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        assert!(all.ends_with(b"\r\n\r\nhalf"), "{}", String::from_utf8_lossy(&all));
    });
}

#[test]
fn a_client_that_leaves_ends_the_handler() {
    let (tell, ended) = told();
    let service = service(move |exchange| tell.tell(write_until_it_fails(exchange)));
    run(async {
        let mut client = connect(router(service));
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        until(&mut client, "\r\n\r\n").await;
        drop(client);
        loop {
            match ended.try_recv() {
                Ok(error) => break assert_eq!(error, std::io::ErrorKind::ConnectionAborted),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
}

#[test]
fn what_upgrades_stands_beside_it() {
    let service = service(|exchange| {
        let upgrade = exchange.head().get_named(b"HTTP_UPGRADE").map(<[u8]>::to_vec);
        reply(exchange, &upgrade.unwrap_or_default());
    });
    async fn upgrades(mut request: Request<axum::body::Body>) -> http::Response<axum::body::Body> {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let said = stream.read_u8().await.unwrap();
            stream.write_all(&[said, b'!']).await.unwrap();
        });
        let builder = http::Response::builder().status(101).header("Connection", "upgrade").header("Upgrade", "echo");
        builder.body(axum::body::Body::empty()).unwrap()
    }
    run(async {
        let mut client = connect(router(service).route("/up", any(upgrades)));
        // The application is asked for an upgrade, and answers as it does.
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await.unwrap();
        let plain = until(&mut client, "\r\n\r\necho").await;
        assert!(plain.starts_with("HTTP/1.1 200 OK\r\n"), "{plain}");
        client.write_all(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await.unwrap();
        let upgraded = until(&mut client, "\r\n\r\n").await;
        assert!(upgraded.starts_with("HTTP/1.1 101 "), "{upgraded}");
        client.write_all(b"x").await.unwrap();
        assert_eq!(until(&mut client, "!").await, "x!");
    });
}

#[test]
fn http_2_has_an_authority_and_cookies_in_pieces() {
    let (open, closed) = gate();
    let closed = Arc::new(closed);
    let service = service(move |exchange| {
        let body = read_all(exchange).unwrap();
        let get = |name: &[u8]| String::from_utf8_lossy(exchange.head().get_named(name).unwrap_or(b"-")).into_owned();
        let seen = [b"SERVER_PROTOCOL".as_slice(), b"HTTP_HOST", b"HTTP_COOKIE", b"PATH_INFO", b"CONTENT_LENGTH"].map(get).join(" ");
        start(exchange);
        exchange.data(seen.as_bytes());
        exchange.flush().unwrap();
        closed.pass();
        exchange.data(&body);
        exchange.finish();
    });
    run(async {
        let mut sender = connect_http_2(service).await;
        let request = Request::post("http://shop.test:81/a").version(Version::HTTP_2).header("cookie", "a=1").header("cookie", "b=2");
        let mut response = sender.send_request(request.body(Full::from("the body")).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        let first = block(response.body_mut()).await.unwrap().unwrap();
        assert_eq!(first, "HTTP/2.0 shop.test:81 a=1; b=2 /a 8");
        open.send(()).unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "the body");
    });
}

#[test]
fn a_reply_that_breaks_off_resets_its_stream_of_http_2_and_no_other() {
    let service = service(|exchange| {
        start(exchange);
        exchange.data(b"half");
        if exchange.head().get(wsgi_core::wire::Known::PathInfo) == Some(b"/whole") {
            exchange.finish();
        }
    });
    run(async {
        let mut sender = connect_http_2(service).await;
        let request = |path: &str| Request::get(format!("http://shop.test{path}")).body(Full::default()).unwrap();
        let broken = sender.send_request(request("/broken")).await.unwrap();
        assert!(broken.into_body().collect().await.is_err());
        let whole = sender.send_request(request("/whole")).await.unwrap();
        assert_eq!(whole.into_body().collect().await.unwrap().to_bytes(), "half");
    });
}

#[test]
fn a_stream_of_http_2_that_is_reset_ends_its_handler() {
    let (tell, ended) = told();
    let service = service(move |exchange| tell.tell(write_until_it_fails(exchange)));
    run(async {
        let mut sender = connect_http_2(service).await;
        let response = sender.send_request(Request::get("http://shop.test/").body(Full::default()).unwrap()).await.unwrap();
        drop(response);
        loop {
            match ended.try_recv() {
                Ok(error) => break assert_eq!(error, std::io::ErrorKind::ConnectionAborted),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
}

/// Writes until nobody takes it any more, and gives the reason.
fn write_until_it_fails(exchange: &mut dyn Exchange) -> std::io::ErrorKind {
    start(exchange);
    loop {
        exchange.data(&[b'x'; 10_000]);
        if let Err(error) = exchange.flush() {
            return error.kind();
        }
    }
}
