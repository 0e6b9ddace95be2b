//! Errors where a browser navigates. Invariant: whatever goes wrong on a page of a buyer, the buyer reads a page in his
//! language with the right status and the request's id, and no JSON; routes for programs keep theirs. A page is never 502 or
//! 504: those are what a proxy says of us, and many put a page of their own in the place of ours.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::request_id::Id;
use crate::checkout::page::notice;
use crate::checkout::words::{Words, words};

/// Where the addresses of pages begin.
const PAGES: [&str; 3] = ["/checkout/", "/return/", "/refund/"];

/// Makes a page of an answer that is an error and no page. Stands outside of everything but the request's id.
pub async fn layer(request: Request, next: Next) -> Response {
    let page = PAGES.iter().any(|start| request.uri().path().starts_with(start));
    if !page {
        return next.run(request).await;
    }
    let language = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let t = words(language.unwrap_or("ko"));
    let id = request.extensions().get::<Id>().cloned();
    let response = next.run(request).await;
    let (status, kind) = (response.status(), response.headers().get(header::CONTENT_TYPE));
    let html = kind.and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with("text/html"));
    if html || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let status = of_page(status);
    let retry_after = response.headers().get(header::RETRY_AFTER).cloned();
    let mut page = notice(status, t, said(t, status), id.as_ref().map(|id| id.0.as_str()));
    retry_after.map(|after| page.headers_mut().insert(header::RETRY_AFTER, after));
    page
}

/// The status of a page whose program would have answered so.
fn of_page(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => StatusCode::SERVICE_UNAVAILABLE,
        status => status,
    }
}

/// Heading and sentence of a status. Nobody is told that no money was taken where it is not known here.
fn said(t: &'static Words, status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND => t.bad_link,
        status if status.is_client_error() => t.bad_request,
        _ => t.broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_host_never_says_that_nothing_was_charged() {
        for language in ["ko", "en"] {
            let t = words(language);
            assert_eq!(said(t, StatusCode::SERVICE_UNAVAILABLE), t.broken);
            assert_eq!(of_page(StatusCode::BAD_GATEWAY), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(said(t, StatusCode::INTERNAL_SERVER_ERROR), t.broken);
            assert_eq!(said(t, StatusCode::PAYLOAD_TOO_LARGE), t.bad_request);
            assert_eq!(said(t, StatusCode::NOT_FOUND), t.bad_link);
            assert!(!t.broken.1.contains("없습니다") && !t.broken.1.contains("No money"));
        }
    }
}
