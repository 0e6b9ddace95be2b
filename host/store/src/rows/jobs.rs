//! `job`: work that must be done, whatever is killed. Invariant: a job that was enqueued runs at least once after its last
//! enqueue; of those who run it only the one with the newest token may end it.
//!
//! A job is claimed by moving its `due_us` to the end of the lease, so an abandoned one falls due by itself.
//!
//! Jobs are claimed by shop ([`look`], then [`claim`]): however many are due of one, a look reads a bounded part of them, sees
//! the others within a few looks, and a claim reads what it takes.

use std::collections::HashMap;

use payhost_core::id::{JobId, ShopId};

use crate::table::{Table, table, word};
use crate::{Error, Json, Later, Sealed, ToValue, Tx, Value, params};

word! {
    /// How a job stands.
    pub enum JobState {
        /// To be done, or being done.
        Waiting = "waiting",
        /// Done.
        Done = "done",
        /// Given up; a person must look.
        Dead = "dead",
    }
}

word! {
    /// Jobs of one lane never wait for those of another.
    pub enum Lane {
        /// Everything that money waits for.
        Work = "work",
        /// Messages that are sent on to somebody else's server, which may be slow.
        Forward = "forward",
    }
}

table! {
    /// One job.
    pub struct Job in "job" {
        /// Its id.
        id: JobId,
        /// In which lane it is done.
        lane: Lane,
        /// What to do.
        kind: String,
        /// What it is about: a shop has one job per key.
        key: String,
        /// Whose.
        shop_id: ShopId,
        /// What the doer needs to know.
        payload: Json,
        /// When to do it; while it is being done: when to do it again if nothing is heard.
        due_us: i64,
        /// When to do it again because it was enqueued while it was being done.
        again_us: Option<i64>,
        /// How often it was claimed.
        tries: i64,
        /// Until when it is somebody's.
        lease_until_us: Option<i64>,
        /// Whose: the token that ends it.
        lease_token: Option<String>,
        /// How it stands.
        state: JobState,
        /// Why it did not work the last time.
        last_error: Option<Sealed>,
        /// The gateway that it asks, once it did not answer.
        gateway: Option<String>,
        /// Since when that gateway does not answer it.
        silent_us: Option<i64>,
        /// When it was made.
        created_us: i64,
        /// When it was changed.
        updated_us: i64,
    }
}

impl Job {
    /// Whether it is at work, or to be done until a time.
    pub fn is_pending(&self, until_us: i64) -> bool {
        self.state == JobState::Waiting && (self.lease_token.is_some() || self.due_us <= until_us)
    }
}

/// A job to be enqueued.
#[derive(Debug, Clone)]
pub struct NewJob<'a> {
    /// Its id (kept only when the key is new).
    pub id: JobId,
    /// In which lane to do it (kept only when the key is new).
    pub lane: Lane,
    /// What to do.
    pub kind: &'a str,
    /// What it is about.
    pub key: &'a str,
    /// Whose.
    pub shop_id: ShopId,
    /// What the doer needs to know.
    pub payload: Json,
    /// When to do it.
    pub due_us: i64,
}

/// Enqueues a job. If there is one with this key:
/// waiting → it is due at the earlier of both times, with the new payload;
/// being done → it is done once more afterwards, at this time or when it retries, whichever is earlier, with the new payload;
/// done or dead → it starts anew.
pub fn enqueue(tx: &mut Tx<'_>, job: &NewJob<'_>, now_us: i64) -> Result<(), Error> {
    let sql = "INSERT INTO job (id, lane, kind, key, shop_id, payload, due_us, tries, state, created_us, updated_us) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 'waiting', $8, $8) ON CONFLICT (shop_id, key) DO UPDATE SET \
               kind = excluded.kind, payload = excluded.payload, updated_us = excluded.updated_us, state = 'waiting', \
               due_us = CASE WHEN job.state <> 'waiting' THEN excluded.due_us \
                   WHEN job.lease_token IS NOT NULL OR job.due_us < excluded.due_us THEN job.due_us \
                   ELSE excluded.due_us END, \
               again_us = CASE WHEN job.state <> 'waiting' OR job.lease_token IS NULL THEN NULL \
                   WHEN job.again_us < excluded.due_us THEN job.again_us ELSE excluded.due_us END, \
               tries = CASE WHEN job.state <> 'waiting' THEN 0 ELSE job.tries END, \
               last_error = CASE WHEN job.state <> 'waiting' THEN NULL ELSE job.last_error END";
    let values = params![job.id, job.lane, job.kind, job.key, job.shop_id, job.payload, job.due_us, now_us];
    tx.execute_later(sql, values)
}

/// Due jobs that a look reads, the oldest first. When there are fewer, it saw all of them.
const OLDEST: i64 = 128;
/// And the newest, when there are more: what came just now is there, however much waits before it.
const NEWEST: i64 = 32;
/// Shops that a look goes past then, from where the last look ended: whatever stands in the way, each has its turn.
const WALK: i64 = 256;

/// What is due in a lane, as far as one look sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Shops with something due, in no order, each once, and how many of its jobs there may be.
    pub shops: Vec<(ShopId, i64)>,
    /// Where the next look goes on.
    pub walked: Option<ShopId>,
    /// When the next job falls due, if none is.
    pub next_us: Option<i64>,
}

/// Looks for what is due; `walked` is the last look's.
pub fn look(tx: &mut Tx<'_>, lane: Lane, now_us: i64, walked: Option<ShopId>) -> Result<Due, Error> {
    let mut found = HashMap::new();
    let oldest = ends(tx, lane, now_us, ("", OLDEST), &mut found)?;
    if oldest < OLDEST {
        let next_us = if oldest == 0 { next_due_in(tx, lane)? } else { None };
        return Ok(Due { shops: found.into_iter().collect(), walked, next_us });
    }
    ends(tx, lane, now_us, ("DESC ", NEWEST), &mut found)?;
    let (shops, walked) = walk(tx, lane, now_us, walked)?;
    found.extend(shops.into_iter().map(|shop| (shop, 0)));
    // How many there are of each was not counted.
    Ok(Due { shops: found.into_keys().map(|shop| (shop, i64::MAX)).collect(), walked, next_us: None })
}

/// Counts the shops of the jobs at one end of what is due; how many jobs that were.
fn ends(
    tx: &mut Tx<'_>,
    lane: Lane,
    now_us: i64,
    (order, limit): (&str, i64),
    found: &mut HashMap<ShopId, i64>,
) -> Result<i64, Error> {
    let sql = format!(
        "SELECT shop_id FROM job WHERE lane = $1 AND state = 'waiting' AND tries >= 0 AND due_us <= $2 \
         ORDER BY due_us {order}LIMIT $3"
    );
    let shops = tx.query(&sql, params![lane, now_us, limit], |row| row.get::<ShopId>(0))?;
    let count = i64::try_from(shops.len()).unwrap_or(i64::MAX);
    for shop in shops {
        let jobs = found.entry(shop).or_insert(0_i64);
        *jobs = jobs.saturating_add(1);
    }
    Ok(count)
}

/// Goes from shop to shop in the index, without reading the jobs between; gives those with something due, and where to go on.
fn walk(
    tx: &mut Tx<'_>,
    lane: Lane,
    now_us: i64,
    from: Option<ShopId>,
) -> Result<(Vec<ShopId>, Option<ShopId>), Error> {
    let next = |after: &str| {
        format!(
            "SELECT job.shop_id FROM job WHERE job.lane = $1 AND job.state = 'waiting' AND job.shop_id > {after} \
             ORDER BY job.shop_id LIMIT 1"
        )
    };
    // The first due time of each, and not EXISTS: for that PostgreSQL would read all due jobs into a table of its own.
    let sql = format!(
        "WITH RECURSIVE walk (shop_id, step) AS (SELECT ({}), 1 UNION ALL SELECT ({}), walk.step + 1 FROM walk \
         WHERE walk.shop_id IS NOT NULL AND walk.step < $3) \
         SELECT walk.shop_id, (SELECT job.due_us FROM job WHERE job.lane = $1 AND job.state = 'waiting' \
         AND job.shop_id = walk.shop_id ORDER BY job.due_us LIMIT 1) FROM walk WHERE walk.shop_id IS NOT NULL",
        next("$2"),
        next("walk.shop_id"),
    );
    let from = from.map_or(Value::Text(String::new()), |shop| shop.to_value());
    let values = [lane.to_value(), from, WALK.to_value()];
    let passed = tx.query(&sql, &values, |row| Ok((row.get::<ShopId>(0)?, row.get::<Option<i64>>(1)?)))?;
    let end = i64::try_from(passed.len()).unwrap_or(i64::MAX) < WALK;
    let last = passed.last().map(|(shop, _)| *shop).filter(|_| !end);
    let due = passed.into_iter().filter(|(_, due_us)| due_us.is_some_and(|due_us| due_us <= now_us));
    Ok((due.map(|(shop, _)| shop).collect(), last))
}

/// Who claims, and until when.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// In which lane.
    pub lane: Lane,
    /// Now.
    pub now_us: i64,
    /// The jobs are the claimer's until then.
    pub lease_until_us: i64,
    /// Random and new for each claim; it fences: whoever claims a job later makes it worthless.
    pub token: &'a str,
}

/// Claims due jobs of shops, of each up to so many, the earliest first.
pub fn claim(tx: &mut Tx<'_>, by: &Claim<'_>, shops: &[(ShopId, i64)]) -> Result<Vec<Job>, Error> {
    let mut asked = Vec::with_capacity(shops.len());
    for (shop, limit) in shops {
        asked.push(claim_of(tx, by, *shop, *limit)?);
    }
    let mut jobs = Vec::new();
    for claimed in asked {
        jobs.extend(claimed.all(tx)?);
    }
    // RETURNING promises no order.
    jobs.sort_by_key(|job| (job.created_us, job.id));
    Ok(jobs)
}

fn claim_of(tx: &mut Tx<'_>, by: &Claim<'_>, shop: ShopId, limit: i64) -> Result<Later<Job>, Error> {
    let Claim { lane, now_us, lease_until_us, token } = *by;
    // Materialized, so that PostgreSQL looks for due jobs once: a subquery that locks could run again and claim more.
    let sql = format!(
        "WITH due AS MATERIALIZED (SELECT id FROM job WHERE lane = $1 AND shop_id = $2 AND state = 'waiting' \
         AND due_us <= $3 ORDER BY due_us LIMIT $4{}) \
         UPDATE job SET due_us = $5, lease_until_us = $5, lease_token = $6, tries = tries + 1, \
         updated_us = $3 WHERE shop_id = $2 AND id IN (SELECT id FROM due) RETURNING {}",
        tx.for_update_skip_locked(),
        Job::COLUMNS,
    );
    tx.query_later(&sql, params![lane, shop, now_us, limit, lease_until_us, token], Job::read)
}

// A row that is named by its key has its state compared as a parameter: beside a literal PostgreSQL may take the partial index
// of all that wait, as long as its statistics know of none.

/// Ends a job (or, if it was enqueued meanwhile, lets it wait for its next time). `false`: somebody else has it now.
#[must_use = "false means that this work was fenced off"]
pub fn finish(tx: &mut Tx<'_>, (shop, id): (ShopId, JobId), token: &str, now_us: i64) -> Result<bool, Error> {
    let sql = "UPDATE job SET state = CASE WHEN again_us IS NULL THEN 'done' ELSE 'waiting' END, \
               due_us = COALESCE(again_us, due_us), tries = CASE WHEN again_us IS NULL THEN tries ELSE 0 END, \
               again_us = NULL, lease_until_us = NULL, lease_token = NULL, last_error = NULL, silent_us = NULL, updated_us = $1 \
               WHERE shop_id = $2 AND id = $3 AND lease_token = $4 AND state = $5";
    tx.execute(sql, params![now_us, shop, id, token, JobState::Waiting]).map(|rows| rows == 1)
}

/// Puts a job off. `false`: somebody else has it now.
#[must_use = "false means that this work was fenced off"]
pub fn retry_at(
    tx: &mut Tx<'_>,
    (shop, id, token): (ShopId, JobId, &str),
    due_us: i64,
    error: Option<&Sealed>,
    now_us: i64,
) -> Result<bool, Error> {
    let sql = "UPDATE job SET due_us = CASE WHEN again_us < $1 THEN again_us ELSE $1 END, again_us = NULL, \
               lease_until_us = NULL, lease_token = NULL, last_error = $2, updated_us = $3 \
               WHERE shop_id = $4 AND id = $5 AND lease_token = $6 AND state = $7";
    tx.execute(sql, params![due_us, error, now_us, shop, id, token, JobState::Waiting]).map(|rows| rows == 1)
}

/// Gives a job up. `false`: somebody else has it now.
#[must_use = "false means that this work was fenced off"]
pub fn give_up(
    tx: &mut Tx<'_>,
    (shop, id): (ShopId, JobId),
    token: &str,
    error: &Sealed,
    now_us: i64,
) -> Result<bool, Error> {
    let sql = "UPDATE job SET state = 'dead', again_us = NULL, lease_until_us = NULL, lease_token = NULL, \
               last_error = $1, updated_us = $2 WHERE shop_id = $3 AND id = $4 AND lease_token = $5 AND state = $6";
    tx.execute(sql, params![error, now_us, shop, id, token, JobState::Waiting]).map(|rows| rows == 1)
}

/// When the next job falls due (perhaps in the past).
pub fn next_due(tx: &mut Tx<'_>) -> Result<Option<i64>, Error> {
    let mut next_us = None;
    for (lane, _) in Lane::TABLE {
        next_us = next_us.into_iter().chain(next_due_in(tx, *lane)?).min();
    }
    Ok(next_us)
}

fn next_due_in(tx: &mut Tx<'_>, lane: Lane) -> Result<Option<i64>, Error> {
    // Not MIN, for which PostgreSQL reads all of them as long as it knows nothing of the table.
    let sql =
        "SELECT due_us FROM job WHERE lane = $1 AND state = 'waiting' AND tries >= 0 ORDER BY due_us LIMIT 1";
    tx.query_opt(sql, params![lane], |row| row.get(0))
}

/// The job of a key.
pub fn get(tx: &mut Tx<'_>, shop: ShopId, key: &str) -> Result<Option<Job>, Error> {
    Job::select_opt(tx, "WHERE shop_id = $1 AND key = $2", params![shop, key])
}

/// Notes that the gateway did not answer a job (`None`: that it did). Tells whether no job of the gateway waits for an answer
/// for longer.
pub fn silence(
    tx: &mut Tx<'_>,
    (shop, key): (ShopId, &str),
    gateway: Option<&str>,
    now_us: i64,
) -> Result<bool, Error> {
    let Some(gateway) = gateway else {
        let sql = "UPDATE job SET silent_us = NULL WHERE shop_id = $1 AND key = $2 AND silent_us IS NOT NULL";
        return tx.execute(sql, params![shop, key]).map(|_| false);
    };
    let sql = "UPDATE job SET gateway = $1, silent_us = COALESCE(silent_us, $2) \
               WHERE shop_id = $3 AND key = $4 AND state = $5";
    tx.execute(sql, params![gateway, now_us, shop, key, JobState::Waiting])?;
    let sql = "SELECT shop_id, key FROM job WHERE gateway = $1 AND silent_us IS NOT NULL AND state = 'waiting' \
               ORDER BY silent_us, id, shop_id LIMIT 1";
    let oldest = tx.query_opt(sql, params![gateway], |row| Ok((row.get(0)?, row.get::<String>(1)?)))?;
    Ok(oldest.is_some_and(|oldest| oldest == (shop, key.to_owned())))
}

/// The gateway answers again: its waiting jobs fall due, one every `apart_us`, but none sooner than `rest_us` after it asked,
/// so that one that is never answered does not ask without a pause. Tells how many.
pub fn wake(tx: &mut Tx<'_>, gateway: &str, now_us: i64, apart_us: i64, rest_us: i64) -> Result<u64, Error> {
    let sql = "UPDATE job SET due_us = woken.due_us, silent_us = NULL FROM \
               (SELECT shop_id, id, CASE WHEN slot_us < updated_us + $1 THEN updated_us + $1 ELSE slot_us END AS due_us FROM \
               (SELECT shop_id, id, updated_us, $2 + (ROW_NUMBER() OVER (ORDER BY silent_us, id, shop_id) - 1) * $3 AS slot_us FROM job \
               WHERE gateway = $4 AND silent_us IS NOT NULL AND state = 'waiting' AND lease_token IS NULL) AS slots) \
               AS woken WHERE job.shop_id = woken.shop_id AND job.id = woken.id AND job.due_us > woken.due_us AND job.lease_token IS NULL";
    tx.execute(sql, params![rest_us, now_us, apart_us, gateway])
}

/// Takes a job back that nobody began.
pub fn take_back(tx: &mut Tx<'_>, shop: ShopId, key: &str) -> Result<(), Error> {
    let sql = "DELETE FROM job WHERE shop_id = $1 AND key = $2 AND state = 'waiting' AND lease_token IS NULL";
    tx.execute(sql, params![shop, key]).map(|_| ())
}

/// Forgets up to `limit` jobs that were done before a time; tells how many.
pub fn purge_done(tx: &mut Tx<'_>, before_us: i64, limit: i64) -> Result<u64, Error> {
    let sql = "WITH old AS MATERIALIZED (SELECT shop_id, id FROM job WHERE state = 'done' AND updated_us < $1 \
               ORDER BY updated_us LIMIT $2) DELETE FROM job WHERE state = 'done' AND (shop_id, id) IN (SELECT shop_id, id FROM old)";
    tx.execute(sql, params![before_us, limit])
}
