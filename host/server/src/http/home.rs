//! What stands at the addresses that browsers ask for by themselves. Invariant: nothing here says anything about a shop, a
//! version or a plugin.

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

const PAGE: &str = include_str!("../../static/home.html");

/// `GET /`: a page for who came with a browser, JSON for programs.
pub async fn home(headers: HeaderMap) -> Response {
    let wants = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if wants.contains("text/html") {
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
        return ([(header::CONTENT_SECURITY_POLICY, policy), (header::VARY, "accept")], Html(PAGE))
            .into_response();
    }
    ([(header::VARY, "accept")], Json(json!({"name": "payhost", "api": "/v1"}))).into_response()
}

/// `GET /favicon.ico`: there is none, which is no error. A checkout host is the shop's; a mark of ours would be out of place.
pub async fn favicon() -> impl IntoResponse {
    (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "public, max-age=86400")])
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn kind(accept: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        home(headers).await.headers()["content-type"].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_browser_gets_a_page_and_a_program_json() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(kind(browser).await.starts_with("text/html"));
        assert_eq!(kind("*/*").await, "application/json");
        assert_eq!(kind("application/json").await, "application/json");
    }
}
