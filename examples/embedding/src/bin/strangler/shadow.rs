//! Both sides are asked, Python's answer counts, and what differs is logged.
//!
//! Only requests that change nothing are asked twice. The client does not wait for the comparison, and gets answers that are too long to be
//! compared as they come.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use tower::ServiceExt;

use crate::Strangler;

/// What is compared of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Gist {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

/// Python's answer. Rust's is fetched and compared behind the client's back.
pub(crate) async fn answer(strangler: Arc<Strangler>, request: Request) -> Response {
    let python = strangler.python.clone();
    // Of the safe methods these two have no body, so that the request can be asked again.
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return python.oneshot(request).await.into_response();
    }
    let (parts, body) = request.into_parts();
    let again = Request::from_parts(parts.clone(), Body::empty());
    let answer = python.oneshot(Request::from_parts(parts, body)).await.into_response();
    let length = answer.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_none_or(|length| length > COMPARED_BYTES) {
        tracing::debug!("{} is not compared: its answer is too long, or may be", again.uri());
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let Ok(body) = body.collect().await else {
        // It broke off, which the client is to see.
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let body = body.to_bytes();
    let gist = Gist { status: parts.status, content_type: parts.headers.get(header::CONTENT_TYPE).cloned(), body: body.clone() };
    tokio::spawn(compare(strangler, again, gist));
    Response::from_parts(parts, Body::from(body))
}

async fn compare(strangler: Arc<Strangler>, request: Request, python: Gist) {
    let (path, asked) = (request.uri().path().to_owned(), request.uri().to_string());
    let answer = strangler.rust.clone().oneshot(request).await.into_response();
    let (parts, body) = answer.into_parts();
    let body = match Limited::new(body, COMPARED_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => Bytes::from(format!("(not read: {error})")),
    };
    let rust = Gist { status: parts.status, content_type: parts.headers.get(header::CONTENT_TYPE).cloned(), body };
    strangler.table.compared(&path, python == rust);
    if python != rust {
        tracing::warn!("{asked} differs: Python answers {python:?}, Rust {rust:?}");
    }
}

/// Longer answers are not held to be compared.
const COMPARED_BYTES: usize = 1 << 20;
