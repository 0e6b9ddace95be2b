//! A socket to a server. Invariant: messages are read in the order in which they came, and after the first failure nothing is
//! sent or read any more.
//!
//! The messages are `postgres-protocol`'s, the layer below the asynchronous driver. That driver asks the server to answer each
//! statement at once and waits through a reactor; for threads that wait by themselves, with several statements under way, the two
//! cost as much as the statements.

#![allow(clippy::wildcard_enum_match_arm, reason = "a foreign, open list of messages")]

use std::io::{self, Read, Write};

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;

use super::failure::Failure;

/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;

/// The largest buffer that is kept for the next messages.
const KEPT: usize = 128 * 1024;

/// What a socket can do.
pub(super) trait Socket: Read + Write + Send {}

impl<S: Read + Write + Send> Socket for S {}

/// A socket with its buffers.
pub(super) struct Wire {
    socket: Box<dyn Socket>,
    /// What will be sent.
    pub(super) out: BytesMut,
    came: BytesMut,
    chunk: Box<[u8]>,
    broken: bool,
}

impl Wire {
    /// Nothing was said yet.
    pub(super) fn new(socket: Box<dyn Socket>) -> Self {
        let chunk = vec![0; CHUNK].into_boxed_slice();
        Self { socket, out: BytesMut::new(), came: BytesMut::new(), chunk, broken: false }
    }

    /// Whether something failed.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Says that something failed.
    pub(super) fn break_off(&mut self, why: impl ToString) -> Failure {
        self.broken = true;
        Failure::Lost(why.to_string())
    }

    /// Sends what was written.
    pub(super) fn send(&mut self) -> Result<(), Failure> {
        self.refuse_broken()?;
        let sent = self.socket.write_all(&self.out);
        self.out.clear();
        if self.out.capacity() > KEPT {
            self.out = BytesMut::new();
        }
        sent.map_err(|error| self.break_off(error))
    }

    /// The next message; an error of the server is a failure. What the server tells by itself is passed over.
    pub(super) fn next(&mut self) -> Result<Message, Failure> {
        self.refuse_broken()?;
        loop {
            match self.whole().map_err(|error| self.break_off(error))? {
                Message::NoticeResponse(_)
                | Message::ParameterStatus(_)
                | Message::NotificationResponse(_) => {}
                Message::ErrorResponse(body) => {
                    let failure = Failure::read(&body).map_err(|error| self.break_off(error))?;
                    // The server hangs up after it.
                    self.broken = failure.is_loss();
                    return Err(failure);
                }
                message => return Ok(message),
            }
        }
    }

    fn whole(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.came)? {
                return Ok(message);
            }
            match self.socket.read(&mut self.chunk) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up")),
                Ok(count) => self.came.extend_from_slice(self.chunk.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn refuse_broken(&self) -> Result<(), Failure> {
        if self.broken { Err(Failure::Lost("the connection is broken".to_owned())) } else { Ok(()) }
    }
}
