//! Who is asking. Invariant: every request has a session that only its browser knows, and a request that changes something
//! comes from a page of this shop.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, ORIGIN, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::Shop;
use crate::error::Error;
use crate::page::Language;

const SESSION: &str = "shop_session";
const LANGUAGE: &str = "shop_lang";
const COOKIE_LIFE_S: u32 = 30 * 24 * 3600;

/// The browser that asks.
#[derive(Clone)]
pub struct Visitor {
    /// Secret and random; carts and orders belong to it.
    pub session: String,
    /// What it reads.
    pub language: Language,
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or(Error::NotFound)
    }
}

#[derive(Deserialize)]
struct Asked {
    lang: Option<String>,
}

/// Finds or starts the session, takes `?lang=`, and sets the headers that every page needs.
pub async fn recognise(
    State(shop): State<Arc<Shop>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    let known = cookie(request.headers(), SESSION).filter(|text| is_token(text)).map(str::to_owned);
    let session = known.clone().map_or_else(token, Ok)?;
    let asked = Query::<Asked>::try_from_uri(request.uri()).ok().and_then(|Query(asked)| asked.lang);
    let remembered = cookie(request.headers(), LANGUAGE).map(str::to_owned);
    let language = Language::of(asked.as_deref().or(remembered.as_deref()));
    request.extensions_mut().insert(Visitor { session: session.clone(), language });

    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let secure = if shop.url.starts_with("https:") { "; Secure" } else { "" };
    let mut remember = |name: &str, value: &str| {
        let text = format!("{name}={value}; Path=/; Max-Age={COOKIE_LIFE_S}; HttpOnly; SameSite=Lax{secure}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.append(SET_COOKIE, value);
        }
    };
    if known.is_none() {
        remember(SESSION, &session);
    }
    if asked.is_some() {
        remember(LANGUAGE, language.code());
    }
    // No form-action: the pay form leaves for payhost and on to the gateway, and browsers check the whole way.
    let payhost = shop.payhost.origin();
    let policy = format!(
        "default-src 'self'; script-src 'self' {payhost}; connect-src 'self' {payhost}; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Refuses what another site's page sends in the buyer's name. Browsers say where a POST comes from in `Sec-Fetch-Site` or
/// `Origin`, and no page can forge either; a request without both is not a browser's and carries nobody's cookies.
pub async fn refuse_other_sites(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) || is_own(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "이 요청은 다른 사이트에서 왔습니다. (The request came from another site.)")
        .into_response()
}

fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(HeaderName::from_static("sec-fetch-site")), text(ORIGIN)) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            text(HOST).is_some_and(|host| origin.split_once("://").is_some_and(|(_, from)| from == host))
        }
        (None, None) => true,
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// 128 random bits as text.
pub fn token() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

/// Whether the text can be one of our tokens.
pub fn is_token(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
