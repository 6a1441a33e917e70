//! A listener and what it speaks, as a front end.

use std::io;
use std::sync::Arc;

use super::{Context, Ending, Frontend, accept_each, async_trait, serve_connection};
use crate::listening::Listener;
use crate::panics::survive;
use crate::wire::Dialect;

/// A listener and what it speaks: the front end that is made of a codec.
///
/// Who may connect is what [`Listener::allow_from`] says; else anyone, or only the machine itself if the protocol trusts its peers
/// ([`Dialect::trusts_peer`]).
pub struct Endpoint {
    listener: Listener,
    dialect: Arc<dyn Dialect>,
}

impl Endpoint {
    /// A front end of this listener and this dialect, such as `wsgi_http::Http1::new()`.
    pub fn new(listener: Listener, dialect: impl Dialect + 'static) -> Endpoint {
        Endpoint { listener, dialect: Arc::new(dialect) }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("listener", &self.listener).field("dialect", &self.dialect.name()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Frontend for Endpoint {
    fn name(&self) -> String {
        format!("{}://{}", self.dialect.name(), self.listener.local_address())
    }

    async fn serve(self: Box<Self>, context: Context) -> io::Result<()> {
        let Endpoint { listener, dialect } = *self;
        let trusts_peer = dialect.trusts_peer();
        let shared = Arc::new(context);
        let context = Arc::clone(&shared);
        accept_each(listener, trusts_peer, &context, move |mut socket, link| {
            let (dialect, context) = (Arc::clone(&dialect), Arc::clone(&shared));
            async move {
                let ending = match survive("codec", || dialect.connect(&link)) {
                    Some(protocol) => serve_connection(&mut socket, protocol, &link, &context).await,
                    None => Ending::Reset,
                };
                if ending == Ending::Reset {
                    socket.reset_on_close();
                }
            }
        })
        .await
    }
}
