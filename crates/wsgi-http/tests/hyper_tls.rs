//! hyper under TLS: the version that the client chose by ALPN, and what the application knows of it.

mod common;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wsgi_core::gateway::Gateway;
use wsgi_core::server::Listener;
use wsgi_core::wire::{Address, Known, ResponseHead};
use wsgi_core::{Exchange, Handler};
use wsgi_http::Http1;
use wsgi_http::hyper::Hyper;

use common::{Site, TLS12, TLS13};

/// Answers with what it knows of the connection; or breaks off.
struct Tell;

impl Handler for Tell {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let head = exchange.head();
        if head.get(Known::PathInfo) == Some(b"/half") {
            exchange.start(&ResponseHead::of(StatusCode::OK));
            exchange.data(b"half");
            let _ = exchange.flush();
            return exchange.abort();
        }
        let names = ["SERVER_PROTOCOL", "HTTPS", "REQUEST_SCHEME", "SSL_PROTOCOL", "SSL_TLS_SNI", "SSL_SESSION_RESUMED"];
        let values = names.map(|name| String::from_utf8_lossy(head.get_named(name.as_bytes()).unwrap_or(b"-")).into_owned());
        exchange.refuse(StatusCode::OK, &values.join(" "));
    }
}

async fn served(site: &Site) -> (Address, wsgi_core::gateway::Handle, tokio::task::JoinHandle<()>) {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_address().clone();
    let gateway = Gateway::new(Tell).frontend(Hyper::new(listener, Http1::new()).tls(&site.certificates()));
    let handle = gateway.handle();
    (address, handle, tokio::spawn(async move { assert_eq!(gateway.run().await.unwrap().stuck, 0) }))
}

async fn connect(address: &Address, config: Arc<rustls::ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let Address::Tcp(address) = address else { unreachable!("it is TCP") };
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

#[tokio::test]
async fn the_client_chooses_the_version() {
    let site = Site::new();
    let (address, handle, running) = served(&site).await;

    let stream = connect(&address, site.client_config(TLS13, &["h2", "http/1.1"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::builder().uri("https://localhost/").body(()).unwrap();
    let mut response = requests.send_request(request, true).unwrap().0.await.unwrap();
    let block = response.body_mut().data().await.unwrap().unwrap();
    assert_eq!(block, "HTTP/2.0 on https TLSv1.3 localhost Initial");
    drop((requests, response));
    connection.await.unwrap().unwrap();

    for (versions, protocol, alpn) in [(TLS12, "TLSv1.2", &["http/1.1"][..]), (TLS13, "TLSv1.3", &[])] {
        let mut stream = connect(&address, site.client_config(versions, alpn)).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut reply = String::new();
        // The end is TLS's own, or this fails.
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.ends_with(&format!("\r\n\r\nHTTP/1.1 on https {protocol} localhost Initial")), "{reply}");
    }
    handle.shutdown();
    running.await.unwrap();
}

#[tokio::test]
async fn what_breaks_off_or_never_begins_harms_nobody_else() {
    let site = Site::new();
    let (address, handle, running) = served(&site).await;
    // A reply whose end is that of the connection, and which is not whole: there is no `close_notify`.
    let mut stream = connect(&address, site.client_config(TLS13, &[])).await.unwrap();
    stream.write_all(b"GET /half HTTP/1.0\r\n\r\n").await.unwrap();
    let mut reply = Vec::new();
    assert!(stream.read_to_end(&mut reply).await.is_err());
    assert!(reply.ends_with(b"half"));
    // No protocol in common, and no TLS at all.
    assert!(connect(&address, site.client_config(TLS13, &["gopher"])).await.is_err());
    let Address::Tcp(plain) = &address else { unreachable!("it is TCP") };
    let mut stream = TcpStream::connect(plain).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok());
    assert!(connect(&address, site.client_config(TLS13, &["h2"])).await.is_ok());
    handle.shutdown();
    running.await.unwrap();
}

/// By hand, since clients of HTTP/2 do not look how the stream below them ends.
#[tokio::test]
async fn a_stream_that_breaks_off_is_reset_and_its_connection_ends_in_good_order() {
    let site = Site::new();
    let (address, handle, running) = served(&site).await;
    let mut stream = connect(&address, site.client_config(TLS13, &["h2"])).await.unwrap();
    let fields = b"\x82\x87\x04\x05/half\x01\x09localhost";
    let headers = [&[0, 0, fields.len() as u8, 1, 0b101, 0, 0, 0, 1], &fields[..]].concat();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..], &headers].concat()).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        if head[3] == RST_STREAM {
            break;
        }
    }
    stream.shutdown().await.unwrap();
    // Without `close_notify` this is an error.
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    handle.shutdown();
    running.await.unwrap();
}

/// RFC 9113, 6.4.
const RST_STREAM: u8 = 3;
