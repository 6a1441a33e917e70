//! From an HTTP request that somebody else has parsed to CGI variables.

use std::sync::Arc;

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, Version, header};
use wsgi_core::wire::{BodyLength, Error, Known, Link, RequestHead};

use super::Config;
use crate::ends::Ends;

/// The variables of a request, or why it is refused.
pub(super) fn head(parts: &Parts, body: BodyLength, config: &Config) -> Result<RequestHead, Error> {
    if parts.method == Method::CONNECT {
        return Err(Error::NotImplemented("method CONNECT".into()));
    }
    if parts.headers.len() > config.limits.fields {
        return Err(Error::TooManyFields { limit: config.limits.fields });
    }
    let mut head = RequestHead::default();
    head.set(Known::RequestMethod, parts.method.as_str().as_bytes());
    head.set(Known::ServerProtocol, protocol(parts.version));
    target(parts, config, &mut head)?;
    fields(parts, config, &mut head)?;
    ends(parts, config, &mut head);
    match body {
        // What the body says of itself counts: a layer may have changed it, and left the field.
        BodyLength::Known(length) => head.set(Known::ContentLength, length.to_string().as_bytes()),
        BodyLength::Unknown => head.remove(Known::ContentLength),
        BodyLength::Empty if head.get(Known::ContentLength).is_some_and(|length| length != b"0") => head.remove(Known::ContentLength),
        BodyLength::Empty => {}
    }
    head.set_body(body);
    for set in &config.variables {
        set(&parts.extensions, &mut head);
    }
    Ok(head)
}

/// How long the body is: by what it says itself, else by the field.
pub(super) fn body_length(body: &impl http_body::Body, headers: &HeaderMap) -> BodyLength {
    if body.is_end_stream() {
        return BodyLength::Empty;
    }
    let declared = || headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    match body.size_hint().exact().or_else(declared) {
        Some(0) => BodyLength::Empty,
        Some(length) => BodyLength::Known(length),
        None => BodyLength::Unknown,
    }
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_09 => b"HTTP/0.9",
        Version::HTTP_10 => b"HTTP/1.0",
        // As web servers spell these two.
        Version::HTTP_2 => b"HTTP/2.0",
        Version::HTTP_3 => b"HTTP/3.0",
        _ => b"HTTP/1.1",
    }
}

fn target(parts: &Parts, config: &Config, head: &mut RequestHead) -> Result<(), Error> {
    if parts.uri.scheme().is_none() && parts.uri.authority().is_some() {
        // `GET example.org`, the form of CONNECT alone (RFC 9112, 3.2.3), would pass for `GET /` at a host of the client's choice.
        return Err(Error::malformed(format!("request target {:?} is neither a path nor a URI", parts.uri.to_string())));
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    head.target(path.as_bytes())?;
    if let Some(script) = &config.script {
        head.set(Known::ScriptName, &script.decoded);
        // `*` is the server as a whole, wherever the application stands.
        if path.starts_with('/') {
            let uri = [&script.encoded, path].concat();
            for name in [Known::RequestUri, Known::RawUri] {
                head.set(name, uri.as_bytes());
            }
        }
    }
    // That of an absolute target, or HTTP/2's `:authority`; it stands for the `Host` field (RFC 9112, 3.2.2; RFC 9113, 8.3.1).
    if let Some(authority) = parts.uri.authority() {
        head.set(Known::HttpHost, without_user(authority).as_bytes());
    }
    Ok(())
}

fn without_user(authority: &Authority) -> &str {
    authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host)
}

/// The variables about the connection, as far as the extensions tell; by the request's own host where they do not.
fn ends(parts: &Parts, config: &Config, head: &mut RequestHead) {
    let name = config.server_name.as_deref();
    match (parts.extensions.get::<Arc<Ends>>(), parts.extensions.get::<Link>()) {
        (Some(ends), _) => ends.fill(name, head),
        (None, Some(link)) => Ends::new(link).fill(name, head),
        (None, None) => {
            let authority = head.get(Known::HttpHost).and_then(|host| Authority::try_from(host).ok());
            let named = || authority.as_ref().map_or("localhost", Authority::host);
            head.set(Known::ServerName, name.unwrap_or_else(named).as_bytes());
            if let Some(port) = authority.as_ref().and_then(Authority::port) {
                head.set(Known::ServerPort, port.as_str().as_bytes());
            }
        }
    }
}

fn fields(parts: &Parts, config: &Config, head: &mut RequestHead) -> Result<(), Error> {
    for (name, value) in &parts.headers {
        if *name == header::HOST && parts.uri.authority().is_some() {
            continue;
        }
        if *name == header::EXPECT && !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
            return Err(Error::Expectation(String::from_utf8_lossy(value.as_bytes()).into_owned()));
        }
        head.field(name.as_str().as_bytes(), value.as_bytes(), config.underscores)?;
    }
    Ok(())
}
