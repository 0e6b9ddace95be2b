//! What stands between a store and the server: passes requests and answers on, and cuts or waits where it is told to.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use own_postgres::Server;

use crate::shared;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cut {
    /// It does not arrive.
    Before,
    /// It arrives, and its answer does not.
    After,
    /// Its answer comes through, and nothing behind it.
    BehindAnswer,
    /// Its answer is no message, and the connection stays.
    Nonsense,
    /// A pooler says that its server is gone, as an error like any other.
    Pooler,
}

/// Which request.
#[derive(Debug, Clone, Copy)]
pub enum At {
    Commit,
    /// The one behind so many.
    Request(usize),
}

/// What it is to do next.
#[derive(Default)]
struct State {
    cut: Option<(At, Cut)>,
    /// Answers wait for so many requests.
    held: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A proxy before a new database.
pub struct Proxy {
    shared: Arc<Shared>,
    /// The database behind it, for who looks at it from beside.
    pub database: String,
    folder: tempfile::TempDir,
}

impl Proxy {
    pub fn start() -> Self {
        let database = shared().database();
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let upstream = shared().socket_folder().join(".s.PGSQL.5432");
        let ours = Arc::new(Shared::default());
        let state = Arc::clone(&ours);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, state) = (client.unwrap(), Arc::clone(&state));
                let server = UnixStream::connect(&upstream).unwrap();
                thread::spawn(move || pass(client, server, &state));
            }
        });
        Self { shared: ours, database, folder }
    }

    pub fn address(&self) -> String {
        let name = Server::name_of(&self.database);
        format!("postgres:///{name}?user=payhost&host={}", self.folder.path().display())
    }

    /// Does this to one request.
    pub fn cut(&self, at: At, cut: Cut) {
        self.shared.set(|state| state.cut = Some((at, cut)));
    }

    /// Whether that is still to come; then it is forgotten.
    pub fn disarm(&self) -> bool {
        self.shared.set(|state| state.cut.take().is_some())
    }

    /// Lets no answer through until so many requests came.
    pub fn hold(&self, requests: usize) {
        self.shared.set(|state| state.held = requests);
    }
}

impl Shared {
    fn set<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
        changed
    }

    /// Counts a request; tells what becomes of it.
    fn request(&self, is_commit: bool) -> Option<Cut> {
        self.set(|state| {
            state.held = state.held.saturating_sub(1);
            let (at, cut) = state.cut?;
            match at {
                At::Commit if !is_commit => return None,
                At::Request(left @ 1..) => {
                    state.cut = Some((At::Request(left - 1), cut));
                    return None;
                }
                At::Commit | At::Request(_) => {}
            }
            state.cut = None;
            Some(cut)
        })
    }

    fn wait(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| state.held > 0).unwrap());
    }
}

/// A message of a client; the first has no type.
fn message(client: &mut UnixStream, is_first: bool) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; if is_first { 4 } else { 5 }];
    client.read_exact(&mut bytes)?;
    let length: [u8; 4] = bytes[bytes.len() - 4..].try_into().unwrap();
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    client.read_exact(&mut body)?;
    bytes.extend(body);
    Ok(bytes)
}

fn answers(mut server: UnixStream, mut client: UnixStream, ours: &Shared) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        ours.wait();
        if client.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

fn pass(mut client: UnixStream, mut server: UnixStream, ours: &Arc<Shared>) {
    let Ok(startup) = message(&mut client, true) else { return };
    server.write_all(&startup).unwrap();
    let (down, up, state) = (server.try_clone().unwrap(), client.try_clone().unwrap(), Arc::clone(ours));
    thread::spawn(move || answers(down, up, &state));
    while let Ok(message) = message(&mut client, false) {
        // Query, Sync: what has an answer of its own.
        let cut = match message[0] {
            b'Q' => ours.request(&message[5..] == b"COMMIT\0"),
            b'S' => ours.request(false),
            _ => None,
        };
        match cut {
            None => {
                if server.write_all(&message).is_err() {
                    break;
                }
                continue;
            }
            Some(Cut::Before) => {}
            Some(Cut::After) => {
                // The client must not see the answer, so both ways end here first.
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.write_all(&message);
            }
            Some(Cut::BehindAnswer) => {
                let _ = server.write_all(&message);
                let _ = server.shutdown(Shutdown::Write);
                continue;
            }
            Some(Cut::Nonsense) => {
                client.write_all(b"!\0\0\0\x04").unwrap();
                // Until the store has enough of it.
                let _ = client.read_to_end(&mut Vec::new());
            }
            Some(Cut::Pooler) => {
                let fields = b"SERROR\0C08P01\0Mserver conn crashed?\0\0";
                let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
                client.write_all(&[b"E", length.as_slice(), fields, b"Z\0\0\0\x05I"].concat()).unwrap();
                let _ = client.shutdown(Shutdown::Write);
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        break;
    }
    // What was sent is worked on by the server though nobody listens any more.
    let _ = server.shutdown(Shutdown::Write);
}
