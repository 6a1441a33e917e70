//! Users that come with a token, which Rust checks; Django hears of them as `REMOTE_USER`.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Whose token came with the request.
#[derive(Clone)]
pub(crate) struct TokenUser(pub(crate) String);

/// Which token is whose.
#[derive(Default)]
pub(crate) struct Tokens(HashMap<String, String>);

impl Tokens {
    /// Reads a file with a token, white space and a user's name in each line.
    ///
    /// # Errors
    /// It cannot be read, or has another line.
    pub(crate) fn read(path: &Path) -> Result<Tokens, io::Error> {
        let bad = |text: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {text}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let pair = |(number, line): (usize, &str)| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [token, user] => Ok((token.to_owned(), user.to_owned())),
            _ => Err(bad(format!("line {} is not a token and a name", number + 1))),
        };
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(pair).collect::<Result<_, _>>().map(Tokens)
    }
}

/// Lets nobody by without a token, and says to the service whose it was.
pub(crate) async fn known(State(tokens): State<Arc<Tokens>>, mut request: Request, next: Next) -> Response {
    let field = request.headers().get(header::AUTHORIZATION).and_then(|field| field.to_str().ok());
    let user = field.and_then(|field| field.strip_prefix("Bearer ")).and_then(|token| tokens.0.get(token));
    match user {
        Some(user) => {
            request.extensions_mut().insert(TokenUser(user.clone()));
            next.run(request).await
        }
        None => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "a token is needed\n").into_response(),
    }
}
