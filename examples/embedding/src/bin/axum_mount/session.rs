//! Who is logged in to Django, for handlers in Rust.
//!
//! Django alone knows how to read its sessions: where they lie, how they are signed, when they end. So it is asked, in process, with the
//! client's cookies: no copy of its rules that could go out of date, no shared secret, and a logout counts at once. The price is a request
//! to Python for each to the API; a program to which that is too much keeps the answer for a few seconds.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use tower::ServiceExt;
use wsgi_http::tower::WsgiService;

/// The name of the logged-in user. A handler that takes one answers 401 to everybody else.
pub(crate) struct User(pub(crate) String);

impl FromRequestParts<WsgiService> for User {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, django: &WsgiService) -> Result<User, Self::Rejection> {
        let nobody = (StatusCode::UNAUTHORIZED, "log in at /admin/\n");
        if !has_session(&parts.headers) {
            return Err(nobody);
        }
        let mut question = Request::get("/whoami").header(header::HOST, "localhost");
        for cookie in parts.headers.get_all(header::COOKIE) {
            question = question.header(header::COOKIE, cookie);
        }
        let question = question.body(Body::empty()).expect("fields that came in a request");
        let Ok(answer) = django.clone().oneshot(question).await;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(nobody),
            status => {
                tracing::error!("Django does not say who it is: {status}");
                return Err((StatusCode::SERVICE_UNAVAILABLE, "cannot tell who you are\n"));
            }
        }
        let name = Limited::new(answer.into_body(), NAME_BYTES).collect().await.ok();
        let name = name.and_then(|name| String::from_utf8(name.to_bytes().into()).ok());
        name.map(User).ok_or((StatusCode::SERVICE_UNAVAILABLE, "cannot tell who you are\n"))
    }
}

/// Whether there is anything to ask Django about.
fn has_session(headers: &HeaderMap) -> bool {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    cookies.flat_map(|cookies| cookies.split(';')).any(|cookie| cookie.trim_start().starts_with("sessionid="))
}

/// Django's user names have up to 150 characters.
const NAME_BYTES: usize = 1024;
