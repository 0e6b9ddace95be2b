//! Whether what a database holds fits together. Invariant: every amount of a payment, every ledger line and every event's number
//! follows from the facts; whatever was changed, added or removed by hand beside the program contradicts something, and is found.
//!
//! The check reads each shop in a transaction of its own, so hosts may go on working.

use payhost_core::id::{PaymentId, ShopId};

use crate::rows::shops;
use crate::{Error, Store, Tx, params};

/// Shops of a page, and contradictions that are told of each rule and shop.
const PAGE: i64 = 100;

/// A contradiction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// Whose.
    pub shop: ShopId,
    /// Of which payment.
    pub payment: PaymentId,
    /// A stable word for the rule.
    pub rule: &'static str,
    /// The fact or the number that it is about.
    pub detail: String,
}

/// What a check read and found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Shops.
    pub shops: u64,
    /// Payments.
    pub payments: u64,
    /// Facts.
    pub facts: u64,
    /// What does not fit; of each shop and rule the first hundred.
    pub contradictions: Vec<Contradiction>,
}

/// A rule and the statement that finds what breaks it: payment and detail of each.
struct Rule {
    word: &'static str,
    sql: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        word: "ledger_differs_from_fact",
        sql: "SELECT f.payment_id, f.id FROM fact f LEFT JOIN (SELECT fact_id, COUNT(*) AS count, \
              SUM(amount) AS sum, SUM(CASE WHEN account = 'gateway' THEN amount ELSE 0 END) AS gateway, \
              MIN(CASE WHEN account IN ('gateway', 'sales', 'refunds') THEN 1 ELSE 0 END) AS known \
              FROM ledger_entry WHERE shop_id = $1 GROUP BY fact_id) l ON l.fact_id = f.id WHERE f.shop_id = $1 AND CASE \
              WHEN f.kind IN ('approved', 'deposited') THEN COALESCE(l.count, 0) <> 2 OR l.sum <> 0 OR l.gateway <> f.amount OR l.known = 0 \
              WHEN f.kind IN ('cancelled', 'deposit_cancelled') THEN COALESCE(l.count, 0) <> 2 OR l.sum <> 0 OR l.gateway <> -f.amount OR l.known = 0 \
              ELSE l.count IS NOT NULL END ORDER BY f.id LIMIT $2",
    },
    Rule {
        word: "ledger_without_fact",
        sql: "SELECT l.payment_id, l.fact_id FROM ledger_entry l WHERE l.shop_id = $1 AND NOT EXISTS (SELECT 1 FROM fact f \
              WHERE f.shop_id = $1 AND f.id = l.fact_id AND f.payment_id = l.payment_id AND f.kind = l.fact_kind \
              AND f.amount = l.fact_amount AND f.currency = l.currency) ORDER BY l.fact_id LIMIT $2",
    },
    Rule {
        word: "payment_differs_from_facts",
        sql: "SELECT p.id, p.id FROM payment p LEFT JOIN (SELECT payment_id, \
              SUM(CASE WHEN kind IN ('approved', 'deposited') THEN amount ELSE 0 END) AS paid, \
              SUM(CASE WHEN kind IN ('cancelled', 'deposit_cancelled') THEN amount ELSE 0 END) AS cancelled \
              FROM fact WHERE shop_id = $1 GROUP BY payment_id) f ON f.payment_id = p.id WHERE p.shop_id = $1 \
              AND (p.paid <> COALESCE(f.paid, 0) OR p.cancelled <> COALESCE(f.cancelled, 0)) ORDER BY p.id LIMIT $2",
    },
    Rule {
        word: "fact_without_payment",
        sql: "SELECT f.payment_id, f.id FROM fact f WHERE f.shop_id = $1 AND NOT EXISTS (SELECT 1 FROM payment p \
              WHERE p.shop_id = $1 AND p.id = f.payment_id) ORDER BY f.id LIMIT $2",
    },
    Rule {
        word: "events_have_a_gap",
        sql: "SELECT p.id, p.id FROM payment p LEFT JOIN (SELECT payment_id, COUNT(*) AS count, MIN(sequence) AS first, \
              MAX(sequence) AS last FROM event WHERE shop_id = $1 AND payment_id IS NOT NULL GROUP BY payment_id) e \
              ON e.payment_id = p.id WHERE p.shop_id = $1 AND (COALESCE(e.count, 0) <> p.next_event - 1 \
              OR COALESCE(e.first, 1) <> 1 OR COALESCE(e.last, 0) <> p.next_event - 1) ORDER BY p.id LIMIT $2",
    },
    Rule {
        word: "event_without_payment",
        sql: "SELECT e.payment_id, e.id FROM event e WHERE e.shop_id = $1 AND e.payment_id IS NOT NULL AND NOT EXISTS \
              (SELECT 1 FROM payment p WHERE p.shop_id = $1 AND p.id = e.payment_id) ORDER BY e.id LIMIT $2",
    },
];

/// Checks all shops of a store.
pub async fn check(store: &Store) -> Result<Checked, Error> {
    let mut checked = Checked::default();
    for removed in [false, true] {
        let mut after = None;
        loop {
            let page = store.read(move |tx| shops::list(tx, removed, after, PAGE)).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for shop in page {
                let found = store.read(move |tx| check_shop(tx, shop.id)).await?;
                checked.shops = checked.shops.saturating_add(1);
                checked.payments = checked.payments.saturating_add(found.payments);
                checked.facts = checked.facts.saturating_add(found.facts);
                checked.contradictions.extend(found.contradictions);
            }
        }
    }
    Ok(checked)
}

fn check_shop(tx: &mut Tx<'_>, shop: ShopId) -> Result<Checked, Error> {
    let mut count = |sql: &str| -> Result<u64, Error> {
        let rows: i64 = tx.query_one(sql, params![shop], |row| row.get(0))?;
        Ok(u64::try_from(rows).unwrap_or(0))
    };
    let payments = count("SELECT COUNT(*) FROM payment WHERE shop_id = $1")?;
    let facts = count("SELECT COUNT(*) FROM fact WHERE shop_id = $1")?;
    let mut contradictions = Vec::new();
    for rule in RULES {
        let found = tx.query(rule.sql, params![shop, PAGE], |row| {
            Ok(Contradiction { shop, payment: row.get(0)?, rule: rule.word, detail: row.get(1)? })
        })?;
        contradictions.extend(found);
    }
    Ok(Checked { shops: 1, payments, facts, contradictions })
}
