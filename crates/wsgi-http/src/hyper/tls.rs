//! TLS in front of hyper, with the version of HTTP chosen by ALPN.

use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use wsgi_core::gateway::Socket;
use wsgi_core::wire::Link;

use super::{Described, Farewell, Shared, linger};
use crate::tls::{Certificates, names};

/// TLS, or none.
#[derive(Clone, Default)]
pub(super) struct Tls {
    acceptor: Option<TlsAcceptor>,
}

impl Tls {
    pub(super) fn new(certificates: &Certificates) -> Tls {
        // The client's order counts for little: HTTP/2 first, and HTTP/1.0 for those who say so (RFC 7301, 3.2).
        let config = certificates.server_config(&[b"h2", b"http/1.1", b"http/1.0"]);
        Tls { acceptor: Some(TlsAcceptor::from(config)) }
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.acceptor.is_some() { "https" } else { "http" }
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self, shared: Shared, socket: Socket, link: Link) {
        let Some(acceptor) = self.acceptor else { return shared.serve_plain(socket, link).await };
        let context = shared.context.clone();
        let handshake = timeout(context.timeouts.head, acceptor.accept(socket));
        let stream = match context.shutdown.unless_hurried(handshake).await {
            Some(Ok(Ok(stream))) => stream,
            Some(Ok(Err(error))) => {
                tracing::info!(target: "wsgi", remote = %link.remote, "TLS handshake failed: {error}");
                return;
            }
            Some(Err(_)) => {
                let limit = context.timeouts.head;
                tracing::info!(target: "wsgi", remote = %link.remote, "peer took longer than {limit:?} for its TLS handshake");
                return;
            }
            None => return,
        };
        let link = Link { secure: true, ..link };
        let mut variables = Vec::new();
        names::describe(stream.get_ref().1, |name, value| variables.push((name, value.to_owned())));
        let described = Described(variables.into());
        // Without `close_notify` a reply that is not whole cannot be taken for one, reset or not.
        if let Some((stream, Farewell::Linger)) = shared.serve(stream, &link, described).await {
            linger(stream, context.timeouts.linger).await;
        }
    }
}
