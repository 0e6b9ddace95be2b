//! A merchant's notice address: it records requests to the byte and answers what a test lines up.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use encoding_rs::EUC_KR;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{MID, Pairs, Rig, get, pairs, set};

#[derive(Clone, Debug)]
pub struct Seen {
    pub from: IpAddr,
    pub head: String,
    pub body: String,
}

impl Seen {
    /// The form, decoded from EUC-KR.
    pub fn form(&self) -> Pairs {
        let text = |part: &str| {
            let bytes: Vec<u8> = percent(part);
            EUC_KR.decode(&bytes).0.into_owned()
        };
        let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (text(name), text(value)));
        self.body.split('&').filter_map(pair).collect()
    }
}

fn percent(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = after;
        }
    }
    bytes
}

/// What the shop does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    Body(u16, Vec<u8>),
    Hang,
}

#[derive(Clone)]
pub struct Shop {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

impl Shop {
    /// Answers `usual` when nothing is lined up.
    pub async fn open(usual: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/notify/1", listener.local_addr().unwrap());
        let shop = Self { url, seen: Arc::default(), replies: Arc::default() };
        let (own, usual) = (shop.clone(), usual.as_bytes().to_vec());
        tokio::spawn(async move {
            while let Ok((stream, from)) = listener.accept().await {
                tokio::spawn(own.clone().serve(stream, from, usual.clone()));
            }
        });
        shop
    }

    pub fn next(&self, reply: Reply) {
        self.replies.lock().unwrap().push_back(reply);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    async fn serve(self, mut stream: TcpStream, from: SocketAddr, usual: Vec<u8>) {
        let mut bytes = Vec::new();
        let mut part = [0_u8; 65536];
        let (head, body) = loop {
            let n = stream.read(&mut part).await.unwrap();
            bytes.extend_from_slice(&part[..n]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.to_ascii_lowercase();
                let length = length
                    .split("content-length: ")
                    .nth(1)
                    .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
                if body.len() >= length {
                    break (head.to_owned(), body.to_owned());
                }
            }
            assert!(n > 0, "cut off: {text}");
        };
        self.seen.lock().unwrap().push(Seen { from: from.ip(), head, body });
        let reply = self.replies.lock().unwrap().pop_front().unwrap_or(Reply::Body(200, usual));
        match reply {
            Reply::Hang => std::future::pending::<()>().await,
            Reply::Body(status, body) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
            }
        }
    }
}

impl Rig {
    /// Changes switches of accounts and notices.
    pub async fn switch(&self, patch: Value) -> Value {
        let answer = self.http.patch(self.url("/_sim/vbank/settings")).json(&patch).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{patch}");
        answer.json().await.unwrap()
    }

    /// A simulator whose test merchant tells this shop.
    pub async fn telling(shop: &Shop) -> Self {
        let rig = Self::start().await;
        rig.switch(json!({"urls": {MID: shop.url}})).await;
        rig
    }

    /// Opens an account in the window of a PC.
    pub async fn pc_account(&self, oid: &str, price: &str) -> Value {
        let mut form = self.form(MID, oid, price);
        set(&mut form, "gopaymethod", "VBank");
        let choice = json!({"choice": "pay", "bank": "88", "depositor": "김입금"});
        let post = self.posted(&form, choice).await;
        let answer = self.form_json(get(&post, "authUrl"), &self.approval(&post, 3)).await;
        assert_eq!(answer["resultCode"], "0000", "{answer}");
        answer
    }

    /// A call of the control API that must do.
    pub async fn control(&self, path: &str, body: Value) -> Value {
        let answer = self.post_control(path, &body).await;
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{path} {body}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Why a call of the control API is refused.
    pub async fn control_refused(&self, path: &str, body: Value) -> String {
        let answer = self.post_control(path, &body).await;
        assert_eq!(answer.status().as_u16(), 422, "{path} {body}");
        let answer: Value = answer.json().await.unwrap();
        answer["refused"]["message"].as_str().unwrap().to_owned()
    }

    pub async fn pay_in(&self, body: Value) -> Value {
        self.control("/_sim/deposit", body).await
    }

    /// Waits until every notice that is due was sent.
    pub async fn settled(&self) {
        assert_eq!(self.control("/_sim/notices/settle", json!({})).await["settled"], true);
    }

    pub async fn notices(&self, query: &str) -> Vec<Value> {
        let answer = self.http.get(self.url(&format!("/_sim/notices{query}"))).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        body["notices"].as_array().unwrap().clone()
    }
}

/// A phone's form for an account, whose notices go to this shop.
pub fn phone_vbank(rig: &Rig, shop: &Shop, oid: &str, amount: &str) -> Pairs {
    let mut form = rig.phone_form("VBANK", oid, amount);
    set(&mut form, "P_NOTI_URL", &shop.url);
    form
}

/// Names of a form in their order.
pub fn names(form: &Pairs) -> Vec<&str> {
    form.iter().map(|(name, _)| name.as_str()).collect()
}

/// A v1 call to `/api/v1/formpay` with a correct hash.
pub fn formpay(rig: &Rig, changes: &[(&str, &str)]) -> Pairs {
    let timestamp = rig.kst14();
    let mut form = pairs([
        ("type", "Pay"),
        ("paymethod", "Vacct"),
        ("timestamp", &timestamp),
        ("clientIp", "192.0.2.10"),
        ("mid", MID),
        ("url", "shop.example.com"),
        ("moid", "O-1"),
        ("goodName", "테스트 상품"),
        ("buyerName", "홍길동"),
        ("buyerEmail", "buyer@example.com"),
        ("buyerTel", "01012345678"),
        ("price", "30000"),
        ("currency", "WON"),
        ("bankCode", "88"),
        ("dtInput", "20991231"),
        ("tmInput", "2359"),
        ("nmInput", "김입금"),
        ("flgCash", "0"),
    ]);
    for (name, value) in changes {
        set(&mut form, name, value);
    }
    let hashed =
        ["type", "paymethod", "timestamp", "clientIp", "mid", "moid", "price"].map(|name| get(&form, name));
    let hash = inicis_sim::hash::iniapi_v1(crate::rig::API_KEY, &hashed);
    if !changes.iter().any(|(name, _)| *name == "hashData") {
        set(&mut form, "hashData", &hash);
    }
    form
}
