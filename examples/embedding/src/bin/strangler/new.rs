//! The routes as they will be, in Rust.

use std::collections::HashMap;

use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::get;

/// All of them.
pub(crate) fn app() -> Router {
    Router::new().route("/price", get(price)).route("/stock", get(stock))
}

type Answer = Result<String, (StatusCode, &'static str)>;

async fn price(Query(query): Query<HashMap<String, String>>) -> Answer {
    look_up(&[("apple", 30), ("pear", 45)], &query)
}

/// With a mistake, for the shadow to find.
async fn stock(Query(query): Query<HashMap<String, String>>) -> Answer {
    look_up(&[("apple", 12), ("pear", 1)], &query)
}

fn look_up(table: &[(&str, u32)], query: &HashMap<String, String>) -> Answer {
    let wanted = query.get("item").map_or("", String::as_str);
    let found = table.iter().find(|(item, _)| *item == wanted);
    found.map(|(_, number)| format!("{number}\n")).ok_or((StatusCode::NOT_FOUND, "no such item\n"))
}
