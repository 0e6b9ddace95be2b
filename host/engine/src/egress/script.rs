//! A call can be given its network's answers instead of a network: for trying a plugin by hand, for tests, and for running
//! a journaled call again. Checks, evidence and record are the same as with a network.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::contract::imports::{HttpError, Response};
use crate::journal::{CallRecord, HttpAnswerRecord, HttpRequestRecord, ImportRecord};

/// What a call's `http` import stands on.
#[derive(Clone, Default)]
pub enum Transport {
    /// The network.
    #[default]
    Network,
    /// Answers from somewhere else; nothing leaves this machine.
    Scripted(Arc<dyn Script>),
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Network => "Network",
            Transport::Scripted(_) => "Scripted",
        })
    }
}

/// Gives answers in place of the network.
pub trait Script: Send + Sync {
    /// The answer to a request that passed every check. Secrets are in it by name.
    ///
    /// # Errors
    /// Whatever the plugin shall see instead of an answer.
    fn answer(&self, request: &HttpRequestRecord) -> Result<Response, HttpError>;

    /// The refusal that a request gets in place of the host's own word; absent: the host decides.
    fn refusal(&self, _: &HttpRequestRecord) -> Option<String> {
        None
    }

    /// What the answer waits for; the call is parked meanwhile, as it is while a gateway thinks. Absent: nothing.
    fn pause(&self, _: &HttpRequestRecord) -> Option<Pause> {
        None
    }
}

/// A wait; see [`Script::pause`].
pub type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A request that is not the one that was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Its place in the call, from 0.
    pub at: usize,
    /// What the record has; absent when the call asked for more than it did.
    pub recorded: Option<HttpRequestRecord>,
    /// What was asked for now; absent when the call asked for less than it did.
    pub asked: Option<HttpRequestRecord>,
}

/// Answers from a record, in its order: a request gets the recorded answer only when it is the recorded request to the
/// letter (verb, URL, headers, body, effect). What the host refused then is refused again in the same words, whatever was
/// granted since.
pub struct Recorded {
    state: Mutex<Playing>,
}

struct Playing {
    left: VecDeque<(HttpRequestRecord, Option<HttpAnswerRecord>)>,
    at: usize,
    differences: Vec<Difference>,
}

impl Recorded {
    /// The answers of a record.
    pub fn new(record: &CallRecord) -> Self {
        let asked = record.imports.iter().map(|import| {
            let ImportRecord::Http { request, answer } = import;
            (request.clone(), answer.clone())
        });
        let playing = Playing { left: asked.collect(), at: 0, differences: vec![] };
        Self { state: Mutex::new(playing) }
    }

    /// What was asked for otherwise than recorded; to be read when the call has ended.
    pub fn differences(&self) -> Vec<Difference> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut differences = state.differences.clone();
        let first = state.at;
        let unasked = state.left.iter().enumerate().map(|(number, (recorded, _))| Difference {
            at: first.saturating_add(number),
            recorded: Some(recorded.clone()),
            asked: None,
        });
        differences.extend(unasked);
        differences
    }
}

impl Script for Recorded {
    fn refusal(&self, request: &HttpRequestRecord) -> Option<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (recorded, answer) = state.left.front()?;
        let Some(HttpAnswerRecord::Err(HttpError::Refused(text))) = answer else { return None };
        if recorded != request {
            return None;
        }
        let text = text.clone();
        state.left.pop_front();
        state.at = state.at.saturating_add(1);
        Some(text)
    }

    fn answer(&self, request: &HttpRequestRecord) -> Result<Response, HttpError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let at = state.at;
        state.at = at.saturating_add(1);
        let (recorded, answer) = match state.left.pop_front() {
            Some((recorded, answer)) => (Some(recorded), answer),
            None => (None, None),
        };
        if recorded.as_ref() != Some(request) {
            state.differences.push(Difference { at, recorded, asked: Some(request.clone()) });
            return Err(HttpError::Unknown("replay: this is not the recorded request".to_owned()));
        }
        match answer {
            Some(HttpAnswerRecord::Ok(response)) => Ok(response),
            Some(HttpAnswerRecord::Err(error)) => Err(error),
            None => Err(HttpError::Unknown("replay: the recorded call ended here".to_owned())),
        }
    }
}
