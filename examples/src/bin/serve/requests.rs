//! What is done with requests before they reach an application: who the client is, how their bodies come, and how long they may take.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use wsgi_core::Handler;
use wsgi_core::proxies::{Field, Proxies, Trusted, UnknownField};
use wsgi_core::wire::Limits;
use wsgi_core::wsgi::{Harakiri, UnsizedBody};

use crate::replacement::Replacement;

/// What the options say about requests.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    /// Proxies that are believed who the client is. Without any, nothing is looked at and nothing taken away.
    pub(crate) trusted: Vec<Trusted>,
    /// What they set themselves.
    pub(crate) fields: Vec<Field>,
    /// Connections for HTTP begin with the header of the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    /// Bodies of unknown length are not read beforehand.
    pub(crate) stream_unsized: bool,
    /// How long a request may take.
    pub(crate) harakiri: Option<Duration>,
    /// How long it may take to end when it was interrupted.
    pub(crate) harakiri_grace: Duration,
}

impl Default for Requests {
    fn default() -> Self {
        Requests {
            trusted: Vec::new(),
            fields: vec![Field::For, Field::Proto],
            proxy_protocol: false,
            stream_unsized: false,
            harakiri: None,
            harakiri_grace: Duration::from_secs(5),
        }
    }
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

    /// Takes the list of fields that proxies set, in place of the one before.
    ///
    /// # Errors
    /// What is no such field.
    pub(crate) fn set_fields(&mut self, list: &str) -> Result<(), String> {
        let fields = list.split(',').map(|text| text.trim().parse().map_err(|error: UnknownField| error.to_string()));
        self.fields = fields.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Those fields as they are given.
    pub(crate) fn fields(&self) -> String {
        self.fields.iter().map(Field::to_string).collect::<Vec<_>>().join(",")
    }

    /// Bodies of unknown length: read first, up to what any body may have.
    pub(crate) fn unsized_body(&self, limits: &Limits) -> UnsizedBody {
        match UnsizedBody::default() {
            _ if self.stream_unsized => UnsizedBody::Stream,
            UnsizedBody::Spool { memory, limit } => UnsizedBody::Spool { memory, limit: limits.body_bytes.unwrap_or(limit) },
            other => other,
        }
    }

    /// A handler whose requests end in time. One that does not is told to `replacement`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn watched(&self, handler: impl Handler + 'static, replacement: &Replacement) -> io::Result<Arc<dyn Handler>> {
        let Some(limit) = self.harakiri else { return Ok(Arc::new(handler)) };
        let told = replacement.clone();
        let watched = Harakiri::after(limit).grace(self.harakiri_grace).on_stuck(move |stuck| told.is_due(stuck)).around(handler)?;
        replacement.count_by(watched.count());
        Ok(Arc::new(watched))
    }

    /// A handler that sees who the client is behind the proxies that are trusted.
    pub(crate) fn behind_proxies(&self, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
        if self.trusted.is_empty() {
            return handler;
        }
        let proxies =
            self.trusted.iter().fold(Proxies::new().fields(self.fields.iter().copied()), |proxies, &trusted| proxies.trust(trusted));
        Arc::new(proxies.around(handler))
    }
}
