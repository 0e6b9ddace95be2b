//! A request is sent only after every rule was checked, its evidence is written before its first byte leaves, and one call
//! writes at most once. Every refusal says what would allow the request.
//!
//! The rules, in order: the call may use the network at all · at most [`crate::Limits::requests`] requests · `GET` or
//! `POST` · `https`, a host name, no user info, no fragment · the descriptor wants the origin · the operator granted it ·
//! `read` only for listed paths, `write` only where the function may write, and once · headers well formed and not the
//! host's own · secrets with a declared use for this origin · the attempt's lease has time left.
//!
//! The answer is read by the plugin, and kept, without the call's secrets (`scrubber.rs`): a host that echoes a request tells the
//! plugin nothing.

use std::time::Instant;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::contract::Network;
use crate::contract::imports::{Effect, Encoding, HTTP, HttpError, Part, Piece, Request, Response};
use crate::egress::{Origin, Outgoing, Received, SendError, Transport};
use crate::evidence::{Exchange, Phase};
use crate::journal::{HttpAnswerRecord, HttpRequestRecord, ImportRecord};
use crate::policy::Uses;
use crate::state::State;

/// Most headers of a request.
const HEADERS: usize = 32;
/// Largest value of one header, secrets filled in.
const HEADER_BYTES: usize = 8 << 10;
/// Largest body of a request, secrets filled in.
const BODY_BYTES: usize = 1 << 20;
/// Longest URL.
const URL_BYTES: usize = 8 << 10;

/// Nothing left this machine: trying again later is safe.
const OVER_QUOTA: &str = "this shop has as many requests under way as it may have; nothing was sent";

type Sent = Result<Response, HttpError>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance(HTTP)?.func_wrap_async(
        "send",
        |mut store: StoreContextMut<'_, State>, (request,): (Request,)| {
            Box::new(async move {
                // In full: what follows is a wait, and the reading after it begins anew.
                store.data().bill()?;
                let sent = send(store.data_mut(), request).await;
                // Waiting was free; from here the plugin pays again.
                store.data().meter.resume();
                Ok((sent,))
            })
        },
    )
}

/// A request that passed every rule.
struct Checked {
    outgoing: Outgoing,
    effect: Effect,
}

async fn send(state: &mut State, request: Request) -> Sent {
    let request = HttpRequestRecord {
        verb: request.verb,
        url: request.url,
        headers: request.headers.into_iter().map(|header| (header.name, header.value)).collect(),
        body: request.body,
        effect: request.effect,
    };
    let at = state.imports.len();
    state.imports.push(ImportRecord::Http { request: request.clone(), answer: None });
    let sent = exchange(state, &request).await;
    let answer = match &sent {
        Ok(response) => HttpAnswerRecord::Ok(response.clone()),
        Err(error) => HttpAnswerRecord::Err(error.clone()),
    };
    if let Some(ImportRecord::Http { answer: slot, .. }) = state.imports.get_mut(at) {
        *slot = Some(answer);
    }
    sent
}

async fn exchange(state: &mut State, request: &HttpRequestRecord) -> Sent {
    let started_ms = state.elapsed_ms();
    let mut checked = match &state.transport {
        Transport::Scripted(script) => script.refusal(request).map_or(Ok(()), Err),
        Transport::Network => Ok(()),
    }
    .and_then(|()| check(state, request));
    let shop = state.shop.clone();
    let mut quota = None;
    if checked.is_ok() {
        quota = tokio::time::timeout(state.queue_wait, shop.connections.acquire()).await.ok();
        shop.requested(quota.is_some());
        // The wait for the shop's turn was part of the lease.
        checked = lease(state).and(checked);
    }
    let (effect, phase) = match &checked {
        Ok(checked) => (checked.effect, Phase::Unknown),
        Err(_) => (request.effect, Phase::Refused),
    };
    let (verb, url) = (short(&request.verb), shown(&request.url));
    let number = state.evidence.started(Exchange { verb, url, effect, phase, started_ms, ended_ms: None });
    let sent = match checked {
        Ok(_) if quota.is_none() => Err(HttpError::NotSent(OVER_QUOTA.to_owned())),
        Ok(checked) => {
            if checked.effect == Effect::Write {
                state.wrote = true;
            }
            let mut sent = transmit(state, request, checked).await;
            // Before the plugin reads it, and before it is kept.
            if let Ok(response) = &mut sent {
                state.logs().scrubber().scrub_answer(response);
            }
            sent
        }
        Err(refused) => Err(HttpError::Refused(refused)),
    };
    let phase = match &sent {
        Ok(response) => Phase::Answered { status: response.status },
        Err(HttpError::Refused(_)) => Phase::Refused,
        Err(HttpError::NotSent(_)) => Phase::NotSent,
        Err(HttpError::Unknown(_)) => Phase::Unknown,
    };
    state.evidence.ended(number, phase, state.elapsed_ms());
    sent
}

/// Nothing of the call's state is borrowed while it waits, except by the call itself.
fn transmit(
    state: &State,
    request: &HttpRequestRecord,
    checked: Checked,
) -> impl Future<Output = Sent> + Send + use<> {
    let scripted = match &state.transport {
        Transport::Scripted(script) => Some((script.pause(request), script.answer(request))),
        Transport::Network => None,
    };
    let (client, egress) = (state.client.clone(), state.egress.clone());
    async move {
        match scripted {
            Some((pause, answer)) => {
                if let Some(pause) = pause {
                    pause.await;
                }
                answer
            }
            None => contract_words(client.send(&egress, checked.outgoing).await),
        }
    }
}

fn contract_words(sent: Result<Received, SendError>) -> Sent {
    match sent {
        Ok(Received { status, headers, .. }) if is_compressed(&headers) => Err(HttpError::Unknown(format!(
            "status {status}, but its body is compressed, which was not asked for and could hide a secret"
        ))),
        Ok(Received { status, headers, body }) => Ok(Response { status, headers, body }),
        Err(SendError::Refused(text)) => Err(HttpError::Refused(text)),
        Err(SendError::NotSent(text)) => Err(HttpError::NotSent(text)),
        Err(SendError::Unknown(text)) => Err(HttpError::Unknown(text)),
    }
}

/// Whether a body would have to be unpacked to be read: by the plugin, for the host does not.
fn is_compressed(headers: &[(String, String)]) -> bool {
    let coded = headers.iter().filter(|(name, _)| name == "content-encoding" || name == "transfer-encoding");
    let mut words = coded.flat_map(|(_, value)| value.split(','));
    words.any(|word| {
        let word = word.trim();
        !["", "identity", "chunked"].iter().any(|plain| word.eq_ignore_ascii_case(plain))
    })
}

/// Every rule. `Err` is the refusal in words. Counts the request.
fn check(state: &mut State, request: &HttpRequestRecord) -> Result<Checked, String> {
    if state.network == Network::Refused {
        return Err("this function may not use the network".to_owned());
    }
    state.requests = state.requests.saturating_add(1);
    if state.requests > state.limits.requests {
        return Err(format!("a call may make {} requests; combine or drop some", state.limits.requests));
    }
    let method = match request.verb.as_str() {
        "GET" => Method::GET,
        "POST" => Method::POST,
        other => return Err(format!("the verb is `GET` or `POST`, not `{}`", short(other))),
    };
    let (url, origin) = target(state, &request.url)?;
    allowed_effect(state, request.effect, &url, &origin)?;
    let mut headers = headers(state, &request.headers, &origin)?;
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if method == Method::GET && !request.body.is_empty() {
        return Err("a `GET` has no body".to_owned());
    }
    let mut body = Vec::new();
    for piece in &request.body {
        let bytes = bytes_of(state, piece, &origin, "body", |uses| &uses.body)?;
        body.extend_from_slice(&bytes);
        if body.len() > BODY_BYTES {
            return Err(format!("the body is larger than {} MiB", BODY_BYTES >> 20));
        }
    }
    lease(state)?;
    let outgoing = Outgoing { method, url, headers, body: Bytes::from(body) };
    Ok(Checked { outgoing, effect: request.effect })
}

/// Where to, and whether that is allowed at all: the descriptor's word and the operator's.
fn target(state: &State, text: &str) -> Result<(Url, Origin), String> {
    if text.len() > URL_BYTES {
        return Err(format!("the URL is longer than {} KiB", URL_BYTES >> 10));
    }
    // The parser would quietly drop or turn these; a URL that needs it was not written by a careful plugin.
    if text.bytes().any(|byte| byte <= b' ' || byte == b'\\' || byte == 0x7f) {
        return Err("the URL has blanks, control characters or `\\`; write them percent-encoded".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("`{}` is not a URL: {error}", shown(text)))?;
    if url.fragment().is_some() {
        return Err("the URL has a fragment (`#…`); leave it out".to_owned());
    }
    let origin = Origin::of(&url).map_err(|error| error.to_string())?;
    if state.policy.host(&origin).is_none() {
        return Err(format!("{origin} is not among the hosts of the plugin's descriptor; add it there"));
    }
    if !state.egress.granted.contains(&origin) {
        let plugin = &state.policy.plugin;
        return Err(format!(
            "{origin} was not granted to this plugin; an operator may: payhost plugin grant {plugin} {origin}"
        ));
    }
    Ok((url, origin))
}

fn allowed_effect(state: &State, effect: Effect, url: &Url, origin: &Origin) -> Result<(), String> {
    match effect {
        Effect::Read => {
            let listed =
                state.policy.host(origin).is_some_and(|host| host.read_paths.iter().any(|p| p == url.path()));
            let text = || {
                format!(
                    "{} is not a read path of {origin} in the descriptor; list it there or send it as `write`",
                    url.path()
                )
            };
            listed.then_some(()).ok_or_else(text)
        }
        Effect::Write if state.network < Network::Writes => {
            Err("this function only reads; the contract lets it send nothing with the effect `write`"
                .to_owned())
        }
        Effect::Write if state.wrote => {
            Err("this call has written once already; a second write needs a call of its own".to_owned())
        }
        Effect::Write => Ok(()),
    }
}

/// No byte of a request may leave after the lease: then somebody else may already be finding out what happened.
fn lease(state: &State) -> Result<(), String> {
    let latest = Instant::now().checked_add(state.client_connect());
    match (state.send_deadline, latest) {
        (None, _) => Ok(()),
        (Some(deadline), Some(latest)) if latest <= deadline => Ok(()),
        (Some(_), _) => Err("the lease of this attempt has run out; nothing may be sent any more".to_owned()),
    }
}

/// Names that belong to the host, to the connection or to a proxy.
const RESERVED: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
const RESERVED_PREFIXES: &[&str] = &["proxy-", "sec-", "x-forwarded-"];

fn headers(state: &mut State, pieces: &[(String, Vec<Piece>)], origin: &Origin) -> Result<HeaderMap, String> {
    if pieces.len() > HEADERS {
        return Err(format!("a request may have {HEADERS} headers"));
    }
    let mut headers = HeaderMap::with_capacity(pieces.len());
    for (name, value) in pieces {
        if name.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(format!("header `{}`: names are lower case", short(name)));
        }
        let reserved =
            RESERVED.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|p| name.starts_with(p));
        if reserved {
            return Err(format!("header `{}` is the host's; leave it out", short(name)));
        }
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("header `{}`: a name is letters, digits and `-`", short(name)))?;
        let mut bytes = Vec::new();
        for piece in value {
            bytes.extend_from_slice(&bytes_of(state, piece, origin, "header", |uses| &uses.header)?);
        }
        if bytes.len() > HEADER_BYTES {
            return Err(format!("header `{name}` is longer than {} KiB", HEADER_BYTES >> 10));
        }
        if bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(format!("header `{name}` has a line break or NUL in its value"));
        }
        let mut value = HeaderValue::from_bytes(&bytes)
            .map_err(|_| format!("header `{name}` has control characters in its value"))?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

/// A piece as it is sent. A channel's secret needs the declared use with this origin; a one-time value may go into a body.
fn bytes_of(
    state: &mut State,
    piece: &Piece,
    origin: &Origin,
    place: &'static str,
    declared: impl Fn(&Uses) -> &[Origin],
) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    let raw: &[u8] = match &piece.part {
        Part::Text(text) => text.as_bytes(),
        Part::Bytes(bytes) => bytes,
        Part::Secret(name) => {
            let allowed = match state.secrets.get(name) {
                None => {
                    return Err(format!(
                        "this channel has no secret `{}`; set it in the channel's settings",
                        short(name)
                    ));
                }
                Some(secret) if secret.version.is_none() => place == "body",
                Some(_) => state.policy.secrets.get(name).is_some_and(|uses| declared(uses).contains(origin)),
            };
            if !allowed {
                return Err(format!(
                    "secret `{name}` may not go into a {place} to {origin}; the descriptor must declare the use `{place}` with this origin"
                ));
            }
            state.used(name);
            state.secrets.get(name).map(|secret| secret.value.as_bytes()).unwrap_or_default()
        }
    };
    Ok(zeroize::Zeroizing::new(match piece.encoding {
        Encoding::Plain => raw.to_vec(),
        Encoding::Base64 => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(raw).into_bytes()
        }
        Encoding::Form => form_urlencoded::byte_serialize(raw).collect::<String>().into_bytes(),
    }))
}

/// A plugin's text for a message: not longer than a line.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A URL without user info, query and fragment: those may hold what nobody should see.
fn shown(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let bare = text.get(..end).unwrap_or_default();
    let (scheme, rest) = bare.split_once("://").unwrap_or(("", bare));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let shown = if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") };
    shown.chars().take(300).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_shows_no_query_and_no_user_info() {
        assert_eq!(shown("https://x.example/a/b?token=1#f"), "https://x.example/a/b");
        assert_eq!(shown("https://user:pw@x.example/a"), "https://x.example/a");
        assert_eq!(shown("nonsense"), "nonsense");
    }
}
