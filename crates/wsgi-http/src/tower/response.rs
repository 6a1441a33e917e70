//! What is answered: the application's response, or why there is none.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};
use wsgi_core::wire::{Error, ResponseHead};
use wsgi_core::workers::{Call, Refused};

use super::Reason;
use super::body::WsgiBody;
use super::pump::Upload;

/// The response to a head that has come, and what of its body has.
pub(super) fn begun(head: &ResponseHead, mut call: Call, upload: Option<Upload>, for_head: bool) -> Response<WsgiBody> {
    let body = if for_head || head.bodiless() {
        // Nobody takes any of it, so the call ends here; an application that goes on all the same ends with its next block.
        WsgiBody::none()
    } else {
        // Most replies are whole by now. One that is needs no more polls, and layers see how long it is.
        match call.take_rest() {
            Some(block) => WsgiBody::whole(block),
            None => WsgiBody::coming(call, upload, head.content_length()),
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(head.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reason = head.status_line().get(4..).unwrap_or_default();
    if response.status().canonical_reason().is_none_or(|usual| usual.as_bytes() != reason) {
        response.extensions_mut().insert(Reason(Bytes::copy_from_slice(reason)));
    }
    fill(head, response.headers_mut());
    response
}

fn fill(head: &ResponseHead, headers: &mut HeaderMap) {
    for (name, value) in head.fields() {
        // A reply of 204 must not have a length (RFC 9110, 8.6), and frameworks give it one.
        if head.code() == 204 && name.eq_ignore_ascii_case(b"Content-Length") {
            continue;
        }
        // Both were checked when they were put in, by the same rules.
        match (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => {
                headers.append(name, value);
            }
            _ => tracing::error!(target: "wsgi", "response field cannot be sent: {:?}", String::from_utf8_lossy(name)),
        }
    }
}

/// The request is not one that can be answered.
pub(crate) fn refusal(error: &Error, version: Version) -> Response<WsgiBody> {
    tracing::info!(target: "wsgi", "request refused: {error}");
    last(plain(error.status(), error.explanation()), version)
}

/// The request's body ended before there was anyone to read it.
pub(super) fn broken(error: &io::Error, version: Version) -> Response<WsgiBody> {
    tracing::info!(target: "wsgi", "request body broke off: {error}");
    let response = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => plain(error.status(), error.explanation()),
        None => plain(StatusCode::BAD_REQUEST, "request body broke off\n".to_owned()),
    };
    last(response, version)
}

/// Says that the connection ends, as it does after every request that is refused. Later versions than HTTP/1.1 know no such field.
fn last(mut response: Response<WsgiBody>, version: Version) -> Response<WsgiBody> {
    if version <= Version::HTTP_11 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// There is no room for the request now.
pub(super) fn overloaded(refused: Refused, retry_after: Duration) -> Response<WsgiBody> {
    tracing::info!(target: "wsgi", "request refused: {refused}");
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, format!("{refused}\n"));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
    response
}

/// The handler gave up before it had anything to say.
pub(super) fn failed() -> Response<WsgiBody> {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n".to_owned())
}

fn plain(status: StatusCode, text: String) -> Response<WsgiBody> {
    let mut response = Response::new(WsgiBody::whole(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // The text may quote what was sent; no browser is to take that for a page.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
