//! A WebSocket for whoever is logged in to Django: greets by name, and says everything back.

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use crate::session::User;

/// The handler of the route.
pub(crate) async fn greet(User(name): User, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Result<Response, StatusCode> {
    // Browsers send cookies along with WebSockets that other sites' pages open, and say which site it was.
    if !from_here(&headers) {
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(upgrade.on_upgrade(|socket| echo(socket, name)))
}

fn from_here(headers: &HeaderMap) -> bool {
    let field = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    match (field(header::ORIGIN), field(header::HOST)) {
        // Not a browser.
        (None, _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, site)| site == host),
        (Some(_), None) => false,
    }
}

async fn echo(mut socket: WebSocket, name: String) {
    let mut outcome = socket.send(Message::text(format!("hello {name}"))).await;
    while let (Ok(()), Some(Ok(message))) = (outcome, socket.recv().await) {
        outcome = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            // axum answers to the others by itself.
            _ => Ok(()),
        };
    }
}
