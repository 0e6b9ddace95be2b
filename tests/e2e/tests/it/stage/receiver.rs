//! A shop's server that takes webhooks, well or badly. Invariant: what it keeps is what came over the wire.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::eventually;

/// How a receiver behaves.
#[derive(Clone, Debug)]
pub enum Manner {
    /// Answers this status with these headers.
    Status(u16, &'static str),
    /// Takes the request and never answers.
    Silent,
    /// Answers 200 and a promise of a body, then resets the connection.
    ResetAfter200,
    /// Answers 200 with 5 MB.
    Huge,
    /// Closes without a word.
    Closes,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Got {
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: String,
}

impl Got {
    /// The event's id.
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// The event.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The event's name.
    pub fn name(&self) -> String {
        super::text(&self.event(), "type")
    }
}

/// A running receiver.
pub struct Receiver {
    /// Where to send.
    pub url: String,
    got: Arc<Mutex<Vec<Got>>>,
    manner: Arc<Mutex<Manner>>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Starts one that answers 204.
    pub async fn start() -> Self {
        Self::with(Manner::Status(204, "")).await
    }

    /// Starts one with manners.
    pub async fn with(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks?from=payhost", listener.local_addr().unwrap());
        let (got, manner) = (Arc::default(), Arc::new(Mutex::new(manner)));
        let server = tokio::spawn(serve(listener, Arc::clone(&got), Arc::clone(&manner)));
        Self { url, got, manner, server }
    }

    /// From now on it behaves so.
    pub fn be(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// What came.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Waits until so many came.
    pub async fn receives(&self, many: usize, within: Duration) -> Vec<Got> {
        eventually(&format!("{many} webhooks came to {}", self.url), within, async || {
            let got = self.got();
            (got.len() >= many).then_some(got)
        })
        .await
    }

    /// Waits until the event of a name came.
    pub async fn hears(&self, name: &str, within: Duration) -> Got {
        eventually(&format!("{name} came to {}", self.url), within, async || {
            self.got().into_iter().find(|got| got.name() == name)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, got: Arc<Mutex<Vec<Got>>>, manner: Arc<Mutex<Manner>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (got, manner) = (Arc::clone(&got), Arc::clone(&manner));
        tokio::spawn(async move { one(stream, &got, &manner).await });
    }
}

/// One request per connection. A caller that goes away in the middle is nobody's fault here.
async fn one(mut stream: TcpStream, got: &Mutex<Vec<Got>>, manner: &Mutex<Manner>) -> Option<()> {
    let (head, mut body) = {
        let mut read = Vec::new();
        loop {
            let mut part = [0; 4096];
            let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
            read.extend_from_slice(&part[..count]);
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break (String::from_utf8(read[..end].to_vec()).ok()?, read[end + 4..].to_vec());
            }
        }
    };
    let headers: BTreeMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    while body.len() < length {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        body.extend_from_slice(&part[..count]);
    }
    got.lock().unwrap().push(Got { headers, body: String::from_utf8(body).unwrap() });
    let manner = manner.lock().unwrap().clone();
    let answer = |status: u16, more: &str, length: usize| {
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n")
    };
    match manner {
        Manner::Closes => {}
        Manner::Silent => {
            // Until the caller gives up.
            let _ = stream.read(&mut [0; 1]).await;
        }
        Manner::Status(status, more) => {
            stream.write_all(answer(status, more, 0).as_bytes()).await.ok()?;
        }
        Manner::ResetAfter200 => {
            stream.write_all(answer(200, "", 100).as_bytes()).await.ok()?;
            stream.set_zero_linger().ok()?;
        }
        Manner::Huge => {
            let size = 5 << 20;
            stream.write_all(answer(200, "", size).as_bytes()).await.ok()?;
            stream.write_all(&vec![b'x'; size]).await.ok()?;
        }
    }
    Some(())
}
