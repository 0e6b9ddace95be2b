//! `ledger_entry`: double entry. Invariant: the lines of every fact sum to zero, so every payment, shop and the whole do.
//! Lines are written by [`super::facts::record`] alone; the database accepts only the two lines that a fact requires, and only both of
//! them: each repeats its fact's kind and amount under a foreign key, a CHECK compares, and `against` is a foreign key, too.

use payhost_core::id::{FactId, PaymentId, ShopId};
use payhost_core::ledger::{Line, lines};
use payhost_core::{Currency, FactKind};

use super::facts::FactRow;
use crate::table::{Table, table};
use crate::{Error, Tx, Value, params};

table! {
    /// One line; its key is its fact and account.
    pub struct LedgerEntry in "ledger_entry" {
        /// Whose.
        shop_id: ShopId,
        /// Of which fact.
        fact_id: FactId,
        /// `gateway`, `sales` or `refunds`.
        account: String,
        /// The account of the fact's other line.
        against: String,
        /// Of which payment.
        payment_id: PaymentId,
        /// Minor units, signed: debits are positive.
        amount: i64,
        /// Of what.
        currency: Currency,
        /// When it was written.
        created_us: i64,
        /// The fact's kind, which says what the line must be.
        fact_kind: FactKind,
        /// The fact's amount.
        fact_amount: i64,
    }
}

pub(super) fn write(tx: &mut Tx<'_>, fact: &FactRow) -> Result<(), Error> {
    let lines = lines(fact.fact());
    let entry = |line: &Line| {
        // A line without another names itself, which the database refuses.
        let other = lines.iter().find(|other| other.account != line.account).unwrap_or(line);
        LedgerEntry {
            shop_id: fact.shop_id,
            fact_id: fact.id,
            account: line.account.as_str().to_owned(),
            against: other.account.as_str().to_owned(),
            payment_id: fact.payment_id,
            amount: line.amount,
            currency: fact.currency,
            created_us: fact.created_us,
            fact_kind: fact.kind,
            fact_amount: fact.amount,
        }
    };
    LedgerEntry::insert_all_later(&lines.iter().map(entry).collect::<Vec<_>>(), tx)
}

/// What is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// One payment of a shop.
    Payment(ShopId, PaymentId),
    /// A shop.
    Shop(ShopId),
    /// Everything.
    All,
}

/// The balance of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// Of what.
    pub currency: Currency,
    /// `gateway`, `sales` or `refunds`.
    pub account: String,
    /// Minor units, signed.
    pub amount: i64,
}

/// Balances by currency and account. Those of one currency sum to zero.
pub fn balances(tx: &mut Tx<'_>, of: Of) -> Result<Vec<Balance>, Error> {
    let (condition, values): (&str, Vec<Value>) = match of {
        Of::Payment(shop, payment) => {
            ("WHERE shop_id = $1 AND payment_id = $2 ", params![shop, payment].to_vec())
        }
        Of::Shop(shop) => ("WHERE shop_id = $1 ", params![shop].to_vec()),
        Of::All => ("", Vec::new()),
    };
    // The cast: a SUM of BIGINT is NUMERIC on PostgreSQL.
    let sql = format!(
        "SELECT currency, account, CAST(SUM(amount) AS BIGINT) FROM ledger_entry {condition}\
         GROUP BY currency, account ORDER BY currency, account"
    );
    tx.query(&sql, &values, |row| {
        Ok(Balance { currency: row.get(0)?, account: row.get(1)?, amount: row.get(2)? })
    })
}

/// A payment's lines, in the order of their facts.
pub fn of_payment(tx: &mut Tx<'_>, shop: ShopId, payment: PaymentId) -> Result<Vec<LedgerEntry>, Error> {
    let tail = "WHERE shop_id = $1 AND payment_id = $2 ORDER BY fact_id, account";
    LedgerEntry::select(tx, tail, params![shop, payment])
}
