//! What is done with requests before they reach an application: who the client is, and how their bodies come.

use std::sync::Arc;

use wsgi_core::Handler;
use wsgi_core::proxies::{Fields, Proxies, Trusted};
use wsgi_core::wire::Limits;
use wsgi_core::wsgi::UnsizedBody;

/// What the options say about requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    /// Proxies that are believed who the client is. Without any, nothing is looked at and nothing taken away.
    pub(crate) trusted: Vec<Trusted>,
    pub(crate) fields: Fields,
    /// Connections for HTTP begin with the header of the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    /// Bodies of unknown length are not read beforehand.
    pub(crate) stream_unsized: bool,
}

impl Requests {
    /// Takes a list of proxies.
    ///
    /// # Errors
    /// What is no network and none of the words.
    pub(crate) fn trust(&mut self, list: &str) -> Result<(), String> {
        for text in list.split(',') {
            self.trusted.push(text.trim().parse().map_err(|error: wsgi_core::server::NetworkError| error.to_string())?);
        }
        Ok(())
    }

    /// Bodies of unknown length: read first, up to what any body may have.
    pub(crate) fn unsized_body(&self, limits: &Limits) -> UnsizedBody {
        match UnsizedBody::default() {
            _ if self.stream_unsized => UnsizedBody::Stream,
            UnsizedBody::Spool { memory, limit } => UnsizedBody::Spool { memory, limit: limits.body_bytes.unwrap_or(limit) },
            other => other,
        }
    }

    /// Everything that stands in front of the applications.
    pub(crate) fn around(&self, handler: impl Handler + 'static) -> Arc<dyn Handler> {
        if self.trusted.is_empty() {
            return Arc::new(handler);
        }
        let proxies = self.trusted.iter().fold(Proxies::new().fields(self.fields), |proxies, &trusted| proxies.trust(trusted));
        Arc::new(proxies.around(handler))
    }
}
