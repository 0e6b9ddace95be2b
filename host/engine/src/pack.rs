//! A record as it is stored: one byte for the form, then JSON, compressed. Whatever a plugin does, a stored record has a
//! bounded size; one that would be larger says so and keeps what it was about.

use std::cell::RefCell;
use std::io;

use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use crate::contract::Lazy;
use crate::contract::imports::Response;
use crate::journal::{CallRecord, Ended, HttpAnswerRecord, ImportRecord};

/// Most bytes of a record's JSON: fifty times what a call of a real gateway leaves.
pub const RECORD_BYTES: usize = 1 << 20;
/// The form of this version: zstd over JSON.
const ZSTD_JSON: u8 = 1;
/// The fastest: a record is packed on the way of every payment.
const LEVEL: i32 = 1;

/// A table of 2^12 places is enough for some thousands of bytes. The level's own has several times as many, none of them in the
/// processor's cache when the next record comes.
const TABLE: CParameter = CParameter::HashLog(12);

/// A stored record cannot be read, or one cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Not a record of ours.
    #[error("the record has an unknown form")]
    Form,
    /// Compression.
    #[error("the record cannot be packed or unpacked: {0}")]
    Zstd(std::io::Error),
    /// JSON.
    #[error("the record is not the JSON that is expected: {0}")]
    Json(#[from] serde_json::Error),
}

thread_local! {
    /// What compressing needs, kept: made anew for every record it costs more than compressing one.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

fn compress(json: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => {
                let mut new = Compressor::new(LEVEL)?;
                new.set_parameter(TABLE)?;
                kept.insert(new)
            }
        };
        compressor.compress(json)
    })
}

impl CallRecord {
    /// The bytes to store (after encryption: a record has what buyers and shops said).
    ///
    /// # Errors
    /// When memory runs out.
    pub fn pack(&self) -> Result<Vec<u8>, PackError> {
        let mut json = serde_json::to_vec(self)?;
        if json.len() > RECORD_BYTES {
            json = serde_json::to_vec(&self.cut(json.len()))?;
        }
        let mut packed = vec![ZSTD_JSON];
        packed.extend(compress(&json).map_err(PackError::Zstd)?);
        Ok(packed)
    }

    /// The record in stored bytes.
    ///
    /// # Errors
    /// When they are not a record's.
    pub fn unpack(packed: &[u8]) -> Result<Self, PackError> {
        let Some((&ZSTD_JSON, compressed)) = packed.split_first() else { return Err(PackError::Form) };
        let json = zstd::bulk::decompress(compressed, RECORD_BYTES).map_err(PackError::Zstd)?;
        Ok(serde_json::from_slice(&json)?)
    }

    /// What a record too large to be kept leaves: what was called when, where it went, how it ended.
    fn cut(&self, bytes: usize) -> Self {
        let imports = self.imports.iter().map(|import| {
            let ImportRecord::Http { request, answer } = import;
            let mut request = request.clone();
            request.headers.clear();
            request.body.clear();
            let answer = answer.as_ref().map(|answer| match answer {
                HttpAnswerRecord::Ok(Response { status, .. }) => {
                    HttpAnswerRecord::Ok(Response { status: *status, headers: vec![], body: vec![] })
                }
                HttpAnswerRecord::Err(error) => HttpAnswerRecord::Err(error.clone()),
            });
            ImportRecord::Http { request, answer }
        });
        Self {
            context: None,
            args: Lazy::from(serde_json::Value::Null),
            // A plugin may try as often as its processor time allows; only the first ones can have left.
            imports: imports.take(IMPORTS_OF_CUT).collect(),
            ended: match &self.ended {
                Ended::Answered(_) => Ended::Answered(serde_json::Value::Null.into()),
                fault @ Ended::Fault(_) => fault.clone(),
            },
            replayable: false,
            capped: Some(bytes),
            ..self.clone()
        }
    }
}

/// Requests that a record keeps when it is cut: more than a call may send.
const IMPORTS_OF_CUT: usize = 16;
