//! What a refused request still sends. Invariant: a client that sends a body too large reads the answer that says so; a
//! connection closed with bytes unread takes the answer with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream::poll_fn;

/// Read and thrown away after a refusal, at most: bytes, and time.
const MOST: usize = 4 * 1024 * 1024;
const LONGEST: Duration = Duration::from_secs(5);

/// Answers; where the body was too large, what is left of it is read before the answer goes out.
pub async fn layer(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let body = Arc::new(Mutex::new(body.into_data_stream()));
    let lent = Arc::clone(&body);
    let lent = Body::from_stream(poll_fn(move |context| {
        lent.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
    }));
    let answer = next.run(Request::from_parts(parts, lent)).await;
    if answer.status() == StatusCode::PAYLOAD_TOO_LARGE {
        // Ended by time or by size: the answer goes out all the same.
        let _ = tokio::time::timeout(LONGEST, throw_away(&body)).await;
    }
    answer
}

async fn throw_away(body: &Mutex<BodyDataStream>) {
    let mut left = MOST;
    while let Some(Ok(bytes)) =
        poll_fn(|context| body.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context))
            .next()
            .await
    {
        let Some(less) = left.checked_sub(bytes.len()) else { return };
        left = less;
    }
}
