//! No TLS: the feature is off.

use wsgi_core::gateway::Socket;
use wsgi_core::wire::Link;

use super::Shared;

/// None.
#[derive(Clone, Default)]
pub(super) struct Tls {}

impl Tls {
    pub(super) fn scheme(&self) -> &'static str {
        "http"
    }

    pub(super) async fn serve(self, shared: Shared, socket: Socket, link: Link) {
        shared.serve_plain(socket, link).await;
    }
}
