//! Clients that ask twice, or for something else, or at the same time, or hang up (D1 to D6). Invariant: one key has one effect
//! and one answer, one order is charged once, and no outcome depends on whether anybody listens.

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::kill_points::order_id;
use super::world::{Device, Ready, World};
use super::{Asked, BACKENDS, Backend, Counting, Row, checker};
use crate::stage::http::{Answer, Call};
use crate::stage::text;

/// Clients of one key at once.
const MANY: usize = 100;

/// A row per experiment and database; D1 and D3 go to two hosts on PostgreSQL.
pub async fn run(asked: Asked) -> Vec<Row> {
    let mut rows = Vec::new();
    for backend in BACKENDS.into_iter().filter(|backend| asked.wants(&format!("clients/{}", backend.name())))
    {
        rows.extend(on(backend, asked).await);
    }
    rows
}

/// The same on one database.
pub async fn on(backend: Backend, asked: Asked) -> Vec<Row> {
    let mut world = World::start(backend).await;
    let second = (backend == Backend::Postgres).then(|| world.second());
    let mut bases = vec![world.url.clone()];
    bases.extend(second.as_ref().map(|(_, url)| url.clone()));
    let mut random = StdRng::seed_from_u64(asked.seed);
    let mut rows = Vec::new();
    for experiment in [D::SameKey, D::OtherBody, D::DoubleClick, D::HangUp, D::Concurrent, D::Returns] {
        let name = format!("clients/{}/{}", backend.name(), experiment.name());
        if !asked.wants(&name) {
            continue;
        }
        let mut counting = Counting::new(name);
        for run in 0..asked.runs(experiment.planned()) {
            let cell = format!("{} run {run} seed {}", experiment.name(), asked.seed);
            counting.run();
            let outcome = match experiment {
                D::SameKey => same_key(&world, &bases, &mut random).await,
                D::OtherBody => other_body(&world, &mut random).await,
                D::DoubleClick => double_click(&world, &bases, &mut random).await,
                D::HangUp => hang_up(&world, &mut random).await,
                D::Concurrent => concurrent(&world, &bases, &mut random).await,
                D::Returns => returns(&world, &bases, &mut random).await,
            };
            if let Err(words) = outcome {
                counting.wrong(&cell, "I7", words);
            }
        }
        if let Err(words) = world.rest().await {
            counting.wrong("at rest", "I10", words);
        }
        counting.found("at rest", checker::check(&world.dump()));
        rows.push(counting.end(format!("{} hosts, {}", bases.len(), checker::operator_calls(&world.dump()))));
    }
    drop(second);
    rows
}

#[derive(Clone, Copy)]
enum D {
    SameKey,
    OtherBody,
    DoubleClick,
    HangUp,
    Concurrent,
    Returns,
}

impl D {
    fn name(self) -> &'static str {
        match self {
            Self::SameKey => "D1-same-key",
            Self::OtherBody => "D2-other-body",
            Self::DoubleClick => "D3-double-click",
            Self::HangUp => "D4-hang-up",
            Self::Concurrent => "D5-concurrent",
            Self::Returns => "D6-returns",
        }
    }

    fn planned(self) -> u64 {
        match self {
            Self::SameKey => 20,
            Self::OtherBody => 100,
            Self::DoubleClick | Self::HangUp | Self::Returns => 100,
            Self::Concurrent => 200,
        }
    }
}

fn cancel(world: &World, base: &str, ready: &Ready, key: &str, body: &Value) -> Call {
    let path = format!("{base}/v1/payments/{}/cancel", text(&ready.created, "id"));
    world.call("POST", &path).key(&world.shops[ready.shop].key).header("idempotency-key", key).json(body)
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap_or_default().to_owned()
}

/// D1: one key, a hundred clients.
async fn same_key(world: &World, bases: &[String], random: &mut StdRng) -> Result<(), String> {
    let ready = world.paid(random.random_range(0..2), &order_id(random), 5_000).await?;
    let (key, body) = (order_id(random), json!({"amount": 1_000}));
    let calls =
        (0..MANY).map(|number| cancel(world, &bases[number % bases.len()], &ready, &key, &body).send());
    let answers = join_all(calls).await;
    let done: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    let others = answers.iter().filter(|answer| answer.status != 200);
    for other in others {
        if other.status != 409 || code(other) != "idempotency_running" {
            return Err(format!("{} {}", other.status, other.text));
        }
    }
    if done.is_empty() || done.iter().any(|answer| answer.json() != done[0].json()) {
        return Err(format!("{} answers that differ", done.len()));
    }
    let after = world.payment(&ready).await?;
    if after["amount"]["cancelled"] == 1_000 { Ok(()) } else { Err(after.to_string()) }
}

/// D2: one key, another body.
async fn other_body(world: &World, random: &mut StdRng) -> Result<(), String> {
    let ready = world.paid(random.random_range(0..2), &order_id(random), 5_000).await?;
    let key = order_id(random);
    let both = [json!({"amount": 1_000}), json!({"amount": 1_001})];
    let mut calls = both.iter().map(|body| cancel(world, &world.url, &ready, &key, body).send());
    let (one, other) = tokio::join!(calls.next().unwrap(), calls.next().unwrap());
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    if statuses != [200, 422] {
        return Err(format!("{} {} {} {}", one.status, one.text, other.status, other.text));
    }
    Ok(())
}

/// D3: the same order from many clients, and the same return from two browsers.
async fn double_click(world: &World, bases: &[String], random: &mut StdRng) -> Result<(), String> {
    let (shop, order_id) = (random.random_range(0..2), order_id(random));
    let body = crate::stage::order(&order_id, json!({"amount": {"total": 7_000}}));
    let calls = (0..8).map(|number| {
        let base = &bases[number % bases.len()];
        world.call("POST", &format!("{base}/v1/payments")).key(&world.shops[shop].key).json(&body).send()
    });
    let mut ids: Vec<String> = Vec::new();
    let mut created = Value::Null;
    for answer in join_all(calls).await {
        if ![200, 201].contains(&answer.status) {
            return Err(format!("{} {}", answer.status, answer.text));
        }
        ids.push(text(&answer.json(), "id"));
        if answer.status == 201 {
            created = answer.json();
        }
    }
    ids.dedup();
    if ids.len() != 1 {
        return Err(format!("several payments for one order: {ids:?}"));
    }
    // Two windows, both paid in, both brought back twice at once.
    let (one, other) = (world.choose(shop, &created).await?, world.choose(shop, &created).await?);
    let backs = [&one, &other, &one, &other].into_iter().enumerate().map(|(number, ready)| {
        let url = ready.back.url.replace(&world.url, &bases[number % bases.len()]);
        world.call("POST", &url).form(&ready.back.fields).send()
    });
    for answer in join_all(backs).await {
        if answer.status != 303 {
            return Err(format!("{} {}", answer.status, answer.text));
        }
    }
    let after = world.payment(&one).await?;
    if after["state"] == "paid" { Ok(()) } else { Err(after.to_string()) }
}

/// D4: the client goes away after some byte of its request, or while it is answered.
async fn hang_up(world: &World, random: &mut StdRng) -> Result<(), String> {
    let ready = world.ready(random.random_range(0..2), &order_id(random), 9_000).await?;
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&ready.back.fields).finish();
    let path = ready.back.url.strip_prefix(&world.url).ok_or("another host")?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let address = world.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    // Half of the clients send everything and go while it is worked on.
    let sent = if random.random() { request.len() } else { random.random_range(0..request.len()) };
    stream.write_all(&request.as_bytes()[..sent]).await.map_err(|error| error.to_string())?;
    drop(stream);
    // Whether it was completed or never began (the server may see the end before it reads), the browser may come again.
    let answer = world.come_back(&ready).await?;
    let after = world.payment(&ready).await?;
    if answer.status == 303 && after["state"] == "paid" {
        Ok(())
    } else {
        Err(format!("{} {} {after}", answer.status, answer.text))
    }
}

/// D5: many cancels of parts at once, each with a key of its own; what was answered is what happened.
async fn concurrent(world: &World, bases: &[String], random: &mut StdRng) -> Result<(), String> {
    let ready = world.paid(random.random_range(0..2), &order_id(random), 10_000).await?;
    let amounts: Vec<i64> = (0..6).map(|_| random.random_range(1_000..6_000)).collect();
    let keys: Vec<String> = amounts.iter().map(|_| order_id(random)).collect();
    let calls = amounts.iter().zip(&keys).enumerate().map(|(number, (amount, key))| {
        let body = json!({"amount": amount});
        cancel(world, &bases[number % bases.len()], &ready, key, &body).send()
    });
    let answers = join_all(calls).await;
    let mut given_back = 0;
    for (answer, amount) in answers.iter().zip(&amounts) {
        match answer.status {
            200 => given_back += amount,
            400 | 409 => {}
            _ => return Err(format!("{} {}", answer.status, answer.text)),
        }
    }
    let after = world.payment(&ready).await?;
    if after["amount"]["cancelled"] == given_back {
        Ok(())
    } else {
        Err(format!("{given_back} was answered: {after}"))
    }
}

/// D6: a return that takes no money (a declined authentication, and one that waits for the shop) comes four times at once.
async fn returns(world: &World, bases: &[String], random: &mut StdRng) -> Result<(), String> {
    let shop = random.random_range(0..2);
    for (choice, confirm) in [("auth_fail", "automatic"), ("pay", "manual")] {
        let body = crate::stage::order(&order_id(random), json!({"confirm": confirm}));
        let created = world.call("POST", "/v1/payments").key(&world.shops[shop].key).json(&body).send().await;
        let created = created.expect(201);
        let window = world.open(&created, Device::Pc).await?;
        let back = world
            .decide_with(&window, json!({"choice": choice, "card": "04", "quota": "00"}))
            .await?
            .ok_or("the gateway did not send the browser back")?;
        let posts = (0..4).map(|number| {
            let url = back.url.replace(&world.url, &bases[number % bases.len()]);
            world.call("POST", &url).form(&back.fields).send()
        });
        for answer in join_all(posts).await {
            if answer.status != 303 {
                return Err(format!("{choice}: {} {}", answer.status, answer.text));
            }
        }
        let ready = Ready { shop, created, order_ref: window.order_ref, back };
        let after = world.payment(&ready).await?;
        if after["state"] != "pending" || after["amount"]["paid"] != 0 {
            return Err(format!("{choice}: {after}"));
        }
    }
    Ok(())
}
