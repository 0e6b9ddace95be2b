//! What can go wrong inside the shop. Invariant: the buyer sees a plain sentence, and the cause goes to the log.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

/// A page that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such page, or not this visitor's order: the two look the same.
    #[error("not found")]
    NotFound,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A template failed.
    #[error(transparent)]
    Template(#[from] askama::Error),
    /// The machine has no randomness.
    #[error(transparent)]
    Random(#[from] getrandom::Error),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    korean: &'static str,
    english: &'static str,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, korean, english) = if matches!(self, Self::NotFound) {
            (StatusCode::NOT_FOUND, "찾으시는 페이지가 없습니다.", "There is no such page.")
        } else {
            tracing::error!(cause = %self, "a page failed");
            let english = "Something went wrong. Please try again in a moment.";
            (StatusCode::INTERNAL_SERVER_ERROR, "문제가 생겼습니다. 잠시 뒤 다시 시도해 주세요.", english)
        };
        let page = ErrorPage { korean, english }.render().unwrap_or_else(|_| english.to_owned());
        (status, Html(page)).into_response()
    }
}
