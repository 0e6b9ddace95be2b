//! A socket to a server. Invariant: messages are read in the order in which they came, and once it is broken nothing is sent or
//! read any more.
//!
//! The messages are `postgres-protocol`'s, the layer below the asynchronous driver. That driver asks the server to answer each
//! statement at once and waits through a reactor; for threads that wait by themselves, with several statements under way, the two
//! cost as much as the statements.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;

use super::failure::Failure;

/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;

/// The largest buffer that is kept for the next messages.
const KEPT: usize = 128 * 1024;

/// What a socket can do.
pub(super) trait Socket: Read + Write + Send {
    /// How long one read or write may take; for ever, if nothing is said.
    fn limit(&self, patience: Option<Duration>) -> io::Result<()>;
}

impl Socket for UnixStream {
    fn limit(&self, patience: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(patience)?;
        self.set_write_timeout(patience)
    }
}

impl Socket for TcpStream {
    fn limit(&self, patience: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(patience)?;
        self.set_write_timeout(patience)
    }
}

/// A socket with its buffers.
pub(super) struct Wire {
    socket: Box<dyn Socket>,
    /// What will be sent.
    pub(super) out: BytesMut,
    received: BytesMut,
    chunk: Box<[u8]>,
    broken: bool,
}

impl Wire {
    /// Nothing was said yet.
    pub(super) fn new(socket: Box<dyn Socket>) -> Self {
        let chunk = vec![0; CHUNK].into_boxed_slice();
        Self { socket, out: BytesMut::new(), received: BytesMut::new(), chunk, broken: false }
    }

    /// How long one read or write may take from here on.
    pub(super) fn limit(&mut self, patience: Option<Duration>) -> Result<(), Failure> {
        self.socket.limit(patience).map_err(|error| self.break_off(error))
    }

    /// Gives the connection up.
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
        sent.map_err(|error| self.break_off(in_words(&error)))
    }

    /// The next message; an error of the server is a failure. What the server tells by itself is passed over.
    #[allow(clippy::wildcard_enum_match_arm, reason = "a foreign, open list")]
    pub(super) fn next(&mut self) -> Result<Message, Failure> {
        self.refuse_broken()?;
        loop {
            match self.read_message().map_err(|error| self.break_off(in_words(&error)))? {
                Message::NoticeResponse(_)
                | Message::ParameterStatus(_)
                | Message::NotificationResponse(_) => {}
                Message::ErrorResponse(body) => {
                    let failure = Failure::read(&body).map_err(|error| self.break_off(error))?;
                    self.broken = failure.is_loss();
                    return Err(failure);
                }
                message => return Ok(message),
            }
        }
    }

    /// Reads until the server waits; tells whether a transaction is open.
    #[allow(clippy::wildcard_enum_match_arm, reason = "a foreign, open list")]
    pub(super) fn ready(&mut self) -> Result<bool, Failure> {
        loop {
            match self.next() {
                Ok(Message::ReadyForQuery(body)) => return Ok(body.status() != b'I'),
                Ok(_) => {}
                Err(failure) if failure.is_loss() => return Err(failure),
                Err(failure) => return Err(self.break_off(failure.reason())),
            }
        }
    }

    fn read_message(&mut self) -> io::Result<Message> {
        loop {
            let before = self.received.len();
            if let Some(message) = Message::parse(&mut self.received)? {
                if before > KEPT && self.received.is_empty() {
                    self.received = BytesMut::new();
                }
                return Ok(message);
            }
            match self.socket.read(&mut self.chunk) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up")),
                Ok(count) => self.received.extend_from_slice(self.chunk.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn refuse_broken(&self) -> Result<(), Failure> {
        if self.broken { Err(Failure::Lost("the connection is broken".to_owned())) } else { Ok(()) }
    }
}

/// What a socket says of a time limit is "try again".
fn in_words(error: &io::Error) -> String {
    if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind()) {
        return "no answer in time".to_owned();
    }
    error.to_string()
}
