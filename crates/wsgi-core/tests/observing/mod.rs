//! What observers see of requests over real sockets.

mod access;
mod metrics;

use wsgi_core::Exchange;
use wsgi_core::observe::Observed;

use crate::serving::{IntoHandler, Started, answer};

#[test]
fn a_handler_that_is_observed_can_have_its_connection_closed() {
    let handler = |exchange: &mut dyn Exchange| {
        exchange.close_after_reply();
        answer(exchange, b"last");
    };
    let server = Started::new(|server| server, Observed::new(handler.into_handler(), []));
    let mut peer = server.connect();
    peer.send(b"/a 0\n");
    assert_eq!(peer.reply(), "200 last");
    assert_eq!(peer.rest(), b"");
}
