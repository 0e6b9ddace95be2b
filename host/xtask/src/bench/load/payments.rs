//! Payments through all legs. Invariant: closed loop for the rate (64 buyers, each begins anew when it is done), open loop for
//! the times (a buyer every 20 ms, however slow the host is), and nobody is left out of either.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::books;
use super::buyer::{Made, Orders, whole};
use super::figures::{Figures, Times};
use super::place::{Backend, Built, Place};

/// Buyers in flight.
const BUYERS: usize = 64;
/// Before the clock runs: connections, prepared statements, pages of the database.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long buyers begin.
const MEASURED: Duration = Duration::from_secs(15);
/// Buyers of the open loop, and the time between two of them: 50/s.
const ARRIVALS: u32 = 1_000;
const BETWEEN: Duration = Duration::from_millis(20);

/// `payments.sqlite` or `payments.postgres`: payments that were begun in the measured time, by the time until the last of
/// them is back.
pub async fn rate(built: &Built, backend: Backend, figures: &mut Figures) {
    let (name, must) = match backend {
        Backend::Sqlite => ("payments.sqlite", 300.0),
        Backend::Postgres => ("payments.postgres", 250.0),
    };
    let mut place = Arc::new(Place::start(built, backend).await);
    let orders = Arc::new(Orders::default());
    let mut made = buyers(&place, &orders, WARM_UP).await;
    let begun = Instant::now();
    let measured = buyers(&place, &orders, MEASURED).await;
    let took = begun.elapsed();
    figures.add(name, measured.len() as f64 / took.as_secs_f64(), "/s", None, Some(must));
    for (at, leg) in ["create", "open", "window (simulator)", "return"].iter().enumerate() {
        let mut times = Times::default();
        measured.iter().for_each(|made| times.push(made.legs[at]));
        let [p50, p99] = [0.5, 0.99].map(|share| times.percentile(share) / 1000.0);
        println!("    {leg:<20} p50 {p50:>7.1} ms  p99 {p99:>7.1} ms");
    }
    made.extend(measured);
    let own = Arc::get_mut(&mut place).expect("all buyers are back");
    own.stop_host();
    books::reconcile(own, &made, "approved").await;
}

async fn buyers(place: &Arc<Place>, orders: &Arc<Orders>, how_long: Duration) -> Vec<Made> {
    let until = Instant::now() + how_long;
    let buyers = (0..BUYERS).map(|_| {
        let (place, orders) = (Arc::clone(place), Arc::clone(orders));
        tokio::spawn(async move {
            let mut made = Vec::new();
            while Instant::now() < until {
                made.push(whole(&place, &orders).await);
            }
            made
        })
    });
    let mut all = Vec::new();
    for buyer in buyers.collect::<Vec<_>>() {
        all.extend(buyer.await.expect("a buyer was answered as it should be"));
    }
    all
}

/// `payments.return-leg-p50` and `-p99`: the host's own time of `POST /return` while a buyer comes every 20 ms and takes all
/// legs. It is what the browser waited, less what the gateway took: from the request that left until its answer, in whole
/// milliseconds, as the host's network wrote it into the attempt. The plugin's run, the journal and both commits are in it.
pub async fn return_leg(built: &Built, figures: &mut Figures) {
    let mut place = Arc::new(Place::start(built, Backend::Sqlite).await);
    let orders = Arc::new(Orders::default());
    let mut made = buyers(&place, &orders, WARM_UP).await;
    let begun = tokio::time::Instant::now();
    let mut arrived = Vec::new();
    for number in 0..ARRIVALS {
        tokio::time::sleep_until(begun + BETWEEN * number).await;
        let (place, orders) = (Arc::clone(&place), Arc::clone(&orders));
        arrived.push(tokio::spawn(async move { whole(&place, &orders).await }));
    }
    let mut measured = Vec::new();
    for buyer in arrived {
        measured.push(buyer.await.expect("a buyer was answered as it should be"));
    }
    let own = Arc::get_mut(&mut place).expect("all buyers are back");
    own.stop_host();
    let gateway_ms = books::gateway_ms(own);
    let (mut times, mut gateway) = (Times::default(), Times::default());
    for made in &measured {
        let theirs = Duration::from_secs_f64(gateway_ms[&made.payment] / 1000.0);
        times.push(made.legs[3].saturating_sub(theirs));
        gateway.push(theirs);
    }
    for (name, share, must) in [("p50", 0.5, 12.0), ("p99", 0.99, 40.0)] {
        let ms = times.percentile(share) / 1000.0;
        figures.add(&format!("payments.return-leg-{name}"), ms, "ms", None, Some(must));
    }
    println!("    the gateway's time, not counted: p50 {:.0} ms", gateway.percentile(0.5) / 1000.0);
    made.extend(measured);
    books::reconcile(own, &made, "approved").await;
}
