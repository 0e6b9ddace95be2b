-- Times are microseconds since 1970 (…_us), money is minor units, JSON is TEXT.
-- What is about a person (a buyer, a depositor: name, telephone, e-mail, account) and every token and secret is sealed with
-- its shop's key, in the places of host/server/src/sealed.rs: who buys; orders; what browsers, gateways and receivers said;
-- what plugins were asked and said; what people noted; answers and events; and a shop's own options and metadata, which may be
-- anything.
-- Plain stays what statements look up, sort, sum or compare: ids, states, amounts, times, methods, numbers of gateways
-- (fact.detail has numbers and words of ours only), order_id and order_name, in which shops search, and idempotency.key; what
-- shops and operators set up: names, settings (without secrets), addresses (return_url, webhook_url, payment_url, url,
-- close_script); what a gateway's protocol wants to hear (notice.reply); and the host's own words, which name nobody (error,
-- last_error and disabled_reason of an endpoint). A job's payload is ids. API keys, the requests of idempotency keys and the
-- digests of notices are MACs: a plain hash of what can be guessed is as good as itself.
-- In a table with shop_id every primary key, unique rule and foreign key begins with it (but for foreign keys to the host's own
-- small tables, which have none): rows can be distributed by shop, an id is unique within its shop only, and no row can point
-- into another shop.
-- What every payment writes has few constraints: amounts, belonging, shape. A word or a flag is guarded by its type (an unknown
-- one is refused when it is read). A foreign key is left out where another or a trigger implies it (a payment's shop is its
-- channel's, a ledger line's payment its fact's), and where code alone names the row (a component's digest, the shop of a call
-- or a job; the payment of an event, the channel and the attempt of a fact, which are written from rows that the transaction
-- holds). PostgreSQL parses each CHECK anew for each statement.

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE shop (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    public_url TEXT,
    allowed_origins TEXT NOT NULL,
    private_webhooks INTEGER NOT NULL CONSTRAINT shop_private_webhooks_bool CHECK (private_webhooks IN (0, 1)),
    data_key BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    suspended_us INTEGER,
    removed_us INTEGER
) STRICT;

CREATE TABLE api_key (
    id TEXT NOT NULL,
    shop_id TEXT NOT NULL REFERENCES shop (id),
    mode TEXT NOT NULL CONSTRAINT api_key_mode_known CHECK (mode IN ('test', 'live')),
    name TEXT NOT NULL,
    hash BLOB NOT NULL,
    hint TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER,
    revoked_us INTEGER,
    binding BLOB NOT NULL,
    PRIMARY KEY (shop_id, id)
) STRICT;
CREATE UNIQUE INDEX api_key_hash ON api_key (shop_id, hash);

CREATE TABLE operator_key (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    hash BLOB NOT NULL,
    hint TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER,
    revoked_us INTEGER,
    binding BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX operator_key_hash ON operator_key (hash);

CREATE TABLE component (
    digest TEXT NOT NULL PRIMARY KEY,
    plugin_id TEXT NOT NULL,
    version TEXT NOT NULL,
    bytes BLOB NOT NULL,
    descriptor TEXT NOT NULL,
    interfaces TEXT NOT NULL,
    installed_us INTEGER NOT NULL
) STRICT;
CREATE INDEX component_plugin ON component (plugin_id, installed_us);

CREATE TABLE plugin (
    id TEXT NOT NULL PRIMARY KEY,
    active_digest TEXT NOT NULL REFERENCES component (digest),
    installed_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    removed_us INTEGER
) STRICT;

CREATE TABLE plugin_grant (
    plugin_id TEXT NOT NULL REFERENCES plugin (id),
    kind TEXT NOT NULL CONSTRAINT plugin_grant_kind_known CHECK (kind IN ('host', 'browser')),
    origin TEXT NOT NULL,
    uses TEXT NOT NULL,
    granted_us INTEGER NOT NULL,
    -- Since when it is for calls about old sales alone, of channels that were removed: the plugin was removed, too.
    withdrawn_us INTEGER,
    PRIMARY KEY (plugin_id, kind, origin)
) STRICT;

CREATE TABLE gateway_map (
    origin TEXT NOT NULL PRIMARY KEY,
    connect TEXT NOT NULL,
    ca_pem TEXT,
    browser_origin TEXT,
    created_us INTEGER NOT NULL
) STRICT;

CREATE TABLE channel (
    id TEXT NOT NULL,
    shop_id TEXT NOT NULL REFERENCES shop (id),
    plugin_id TEXT NOT NULL REFERENCES plugin (id),
    plugin_digest TEXT NOT NULL REFERENCES component (digest),
    name TEXT NOT NULL,
    mode TEXT NOT NULL CONSTRAINT channel_mode_known CHECK (mode IN ('test', 'live')),
    purposes TEXT NOT NULL,
    settings TEXT NOT NULL,
    enabled INTEGER NOT NULL CONSTRAINT channel_enabled_bool CHECK (enabled IN (0, 1)),
    watch INTEGER NOT NULL CONSTRAINT channel_watch_bool CHECK (watch IN (0, 1)),
    in_doubt TEXT NOT NULL CONSTRAINT channel_in_doubt_known CHECK (in_doubt IN ('undo', 'ask')),
    notice_forward_url TEXT,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    removed_us INTEGER,
    PRIMARY KEY (shop_id, id)
) STRICT;

CREATE TABLE channel_default (
    shop_id TEXT NOT NULL,
    mode TEXT NOT NULL CONSTRAINT channel_default_mode_known CHECK (mode IN ('test', 'live')),
    purpose TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    PRIMARY KEY (shop_id, mode, purpose),
    FOREIGN KEY (shop_id, channel_id) REFERENCES channel (shop_id, id)
) STRICT;

-- A secret that was changed or taken away stays, retired, while a payment may need it: what is in doubt is asked about and
-- undone with the very keys that it was made with.
CREATE TABLE channel_secret (
    shop_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    updated_us INTEGER NOT NULL,
    retired_us INTEGER,
    PRIMARY KEY (shop_id, channel_id, name, version),
    FOREIGN KEY (shop_id, channel_id) REFERENCES channel (shop_id, id)
) STRICT;
CREATE UNIQUE INDEX channel_secret_current ON channel_secret (shop_id, channel_id, name) WHERE retired_us IS NULL;

-- What a channel was set to, and with which versions of its secrets: checkouts and attempts name the one that they use.
CREATE TABLE channel_revision (
    shop_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    number INTEGER NOT NULL CONSTRAINT channel_revision_number_positive CHECK (number >= 1),
    settings TEXT NOT NULL,
    secrets TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (shop_id, channel_id, number),
    FOREIGN KEY (shop_id, channel_id) REFERENCES channel (shop_id, id)
) STRICT;

CREATE TABLE payment (
    id TEXT NOT NULL,
    shop_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    mode TEXT NOT NULL,
    order_id TEXT NOT NULL,
    order_name TEXT NOT NULL,
    total INTEGER NOT NULL CONSTRAINT payment_total_positive CHECK (total > 0),
    currency TEXT NOT NULL CONSTRAINT payment_currency_length CHECK (length(currency) = 3),
    tax_free INTEGER CONSTRAINT payment_tax_free_range CHECK (tax_free >= 0 AND tax_free <= total),
    vat INTEGER CONSTRAINT payment_vat_range CHECK (vat >= 0 AND vat <= total),
    method TEXT,
    buyer BLOB NOT NULL,
    options BLOB NOT NULL,
    metadata BLOB NOT NULL,
    language TEXT NOT NULL,
    confirm TEXT NOT NULL,
    return_url TEXT,
    webhook_url TEXT,
    state TEXT NOT NULL,
    resolution TEXT NOT NULL,
    version INTEGER NOT NULL,
    paid INTEGER NOT NULL CONSTRAINT payment_paid_not_negative CHECK (paid >= 0),
    cancelled INTEGER NOT NULL CONSTRAINT payment_cancelled_not_negative CHECK (cancelled >= 0),
    cancelled_tax_free INTEGER NOT NULL CONSTRAINT payment_cancelled_tax_free_not_negative CHECK (cancelled_tax_free >= 0),
    cancelled_vat INTEGER NOT NULL CONSTRAINT payment_cancelled_vat_not_negative CHECK (cancelled_vat >= 0),
    gateway_ref TEXT,
    approved_checkout_id TEXT,
    approved_at_us INTEGER,
    paid_method TEXT,
    details BLOB,
    opened INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    given_up INTEGER NOT NULL,
    -- Since when a person must say what becomes of money that came after the end.
    late_us INTEGER,
    last_failure BLOB,
    expires_us INTEGER NOT NULL,
    deposit_deadline_us INTEGER,
    next_event INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    -- Indexes ask for this and not for the state: what most updates change must stand in no index. `open` and `awaiting` hold
    -- the order; `awaiting` and `late` may get a deposit.
    stage TEXT NOT NULL GENERATED ALWAYS AS (CASE
        WHEN state = 'awaiting_deposit' AND (expired = 1 OR given_up = 1) THEN 'late'
        WHEN state = 'awaiting_deposit' THEN 'awaiting'
        WHEN state IN ('cancelled', 'failed', 'expired') OR expired = 1 OR given_up = 1 THEN 'over'
        ELSE 'open' END) STORED,
    PRIMARY KEY (shop_id, id),
    -- Facts may arrive in any order, so a refund may be known before its approval is (a deposit's notice is late, a sale is
    -- found by reconciliation): the fact must be kept. But such a payment is not settled, and must be marked so that
    -- somebody looks: nobody can write more given back than taken and call it done.
    CONSTRAINT payment_cancelled_within_paid CHECK (cancelled <= paid OR resolution <> 'none'),
    FOREIGN KEY (shop_id, channel_id) REFERENCES channel (shop_id, id),
    FOREIGN KEY (shop_id, approved_checkout_id) REFERENCES checkout (shop_id, id)
) STRICT;
-- One charge per order (design.md "Money" 6).
-- An expired payment, and one that was given up, stand outside: money that comes late is recorded, also when the order has another payment by then.
CREATE UNIQUE INDEX payment_open_order ON payment (shop_id, mode, order_id)
    WHERE stage IN ('open', 'awaiting');
CREATE INDEX payment_list ON payment (shop_id, mode, id);
CREATE INDEX payment_order ON payment (shop_id, mode, order_id, id);
-- For the figures: how many payments are in doubt, and who waits for a person.
CREATE INDEX payment_unresolved ON payment (resolution) WHERE resolution <> 'none';
-- Accounts that a notice may be about.
CREATE INDEX payment_awaiting ON payment (shop_id, channel_id) WHERE stage IN ('awaiting', 'late');

CREATE TABLE checkout (
    id TEXT NOT NULL,
    shop_id TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    plugin_digest TEXT NOT NULL,
    revision INTEGER NOT NULL,
    order_ref TEXT NOT NULL CONSTRAINT checkout_order_ref_length CHECK (length(order_ref) BETWEEN 1 AND 40),
    device TEXT NOT NULL,
    state TEXT NOT NULL,
    order_json BLOB NOT NULL,
    callback BLOB,
    close_script TEXT,
    result BLOB,
    opened_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id),
    FOREIGN KEY (shop_id, payment_id) REFERENCES payment (shop_id, id),
    FOREIGN KEY (shop_id, channel_id, revision) REFERENCES channel_revision (shop_id, channel_id, number)
) STRICT;
-- The number that the gateway knows it by. Addresses that gateways call name the shop.
CREATE UNIQUE INDEX checkout_order_ref ON checkout (shop_id, order_ref);
CREATE INDEX checkout_payment ON checkout (shop_id, payment_id, id);

CREATE TABLE attempt (
    id TEXT NOT NULL,
    shop_id TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    checkout_id TEXT,
    parent_id TEXT,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    call_id TEXT NOT NULL,
    plugin_digest TEXT NOT NULL,
    revision INTEGER NOT NULL,
    request BLOB NOT NULL,
    callback BLOB,
    now_ms INTEGER NOT NULL,
    seed TEXT NOT NULL,
    lease_until_us INTEGER NOT NULL,
    lease_token TEXT NOT NULL,
    outcome BLOB,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id),
    CONSTRAINT attempt_complete_has_checkout CHECK (kind <> 'complete' OR checkout_id IS NOT NULL),
    CONSTRAINT attempt_undo_has_parent CHECK (kind <> 'undo' OR parent_id IS NOT NULL),
    FOREIGN KEY (shop_id, payment_id) REFERENCES payment (shop_id, id),
    FOREIGN KEY (shop_id, checkout_id) REFERENCES checkout (shop_id, id),
    FOREIGN KEY (shop_id, parent_id) REFERENCES attempt (shop_id, id)
) STRICT;
-- At most one call at a time may change what a payment holds (rules 1, 6 and 8): a cancel or a second complete is refused
-- while one is open or in doubt. An undo is how a doubt ends, so it stands outside and has an index of its own.
CREATE UNIQUE INDEX attempt_open ON attempt (shop_id, payment_id)
    WHERE state IN ('intent', 'in_doubt') AND kind <> 'undo';
-- An undo whose answer got lost may be repeated (rule 5), but two may not run at once.
CREATE UNIQUE INDEX attempt_open_undo ON attempt (shop_id, parent_id) WHERE state = 'intent' AND kind = 'undo';
-- A browser return is completed once, whatever came of it; a reload finds this row (rule 1).
CREATE UNIQUE INDEX attempt_complete_once ON attempt (shop_id, checkout_id) WHERE kind = 'complete';
CREATE INDEX attempt_payment ON attempt (shop_id, payment_id, id);
CREATE INDEX attempt_undos ON attempt (shop_id, parent_id) WHERE kind = 'undo';

CREATE TABLE fact (
    id TEXT NOT NULL,
    shop_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    attempt_id TEXT,
    kind TEXT NOT NULL,
    gateway_ref TEXT NOT NULL,
    sequence INTEGER NOT NULL CONSTRAINT fact_sequence_not_negative CHECK (sequence >= 0),
    amount INTEGER NOT NULL CONSTRAINT fact_amount_not_negative CHECK (amount >= 0),
    currency TEXT NOT NULL CONSTRAINT fact_currency_length CHECK (length(currency) = 3),
    at_us INTEGER NOT NULL,
    detail TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id),
    FOREIGN KEY (shop_id, payment_id) REFERENCES payment (shop_id, id)
) STRICT;
CREATE UNIQUE INDEX fact_once ON fact (shop_id, channel_id, kind, gateway_ref, sequence);
-- What a gateway did in a time: its list is compared with this.
CREATE INDEX fact_time ON fact (shop_id, channel_id, at_us);
CREATE INDEX fact_payment ON fact (shop_id, payment_id, id);
-- What a ledger line repeats of its fact.
CREATE UNIQUE INDEX fact_money ON fact (shop_id, id, payment_id, kind, amount, currency);

CREATE TABLE ledger_entry (
    shop_id TEXT NOT NULL,
    fact_id TEXT NOT NULL,
    account TEXT NOT NULL,
    against TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    fact_kind TEXT NOT NULL,
    fact_amount INTEGER NOT NULL,
    PRIMARY KEY (shop_id, fact_id, account),
    CONSTRAINT ledger_against_gateway CHECK ((account = 'gateway') <> (against = 'gateway')),
    -- A line is one of the two that its fact requires, and repeats what it depends on.
    CONSTRAINT ledger_entry_follows_fact CHECK (CASE
        WHEN fact_kind IN ('approved', 'deposited') AND account = 'gateway' THEN amount = fact_amount
        WHEN fact_kind IN ('approved', 'deposited') AND account = 'sales' THEN amount = -fact_amount
        WHEN fact_kind IN ('cancelled', 'deposit_cancelled') AND account = 'gateway' THEN amount = -fact_amount
        WHEN fact_kind IN ('cancelled', 'deposit_cancelled') AND account = 'refunds' THEN amount = fact_amount
        ELSE 1 = 0 END),
    FOREIGN KEY (shop_id, fact_id, payment_id, fact_kind, fact_amount, currency)
        REFERENCES fact (shop_id, id, payment_id, kind, amount, currency),
    -- Double entry: a line without the line against it does not commit, so the lines of every fact sum to zero.
    FOREIGN KEY (shop_id, fact_id, against) REFERENCES ledger_entry (shop_id, fact_id, account) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX ledger_payment ON ledger_entry (shop_id, payment_id);

-- What a shop is told. Events without a payment are about an endpoint, or samples.
CREATE TABLE event (
    id TEXT NOT NULL,
    shop_id TEXT NOT NULL,
    mode TEXT NOT NULL,
    payment_id TEXT,
    sequence INTEGER,
    name TEXT NOT NULL,
    payload BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id),
    CONSTRAINT event_of_payment_is_numbered CHECK ((payment_id IS NULL) = (sequence IS NULL))
) STRICT;
CREATE UNIQUE INDEX event_sequence ON event (shop_id, payment_id, sequence);
-- Samples are counted: events stay for ever.
CREATE INDEX event_loose ON event (shop_id, id) WHERE payment_id IS NULL;

-- Where a shop is told of events. Without url: at the address that each payment brings (payment.webhook_url).
CREATE TABLE webhook_endpoint (
    id TEXT NOT NULL,
    shop_id TEXT NOT NULL REFERENCES shop (id),
    mode TEXT NOT NULL CONSTRAINT webhook_endpoint_mode_known CHECK (mode IN ('test', 'live')),
    url TEXT,
    name TEXT NOT NULL,
    events TEXT NOT NULL,
    secret BLOB NOT NULL,
    old_secrets TEXT NOT NULL,
    enabled INTEGER NOT NULL CONSTRAINT webhook_endpoint_enabled_bool CHECK (enabled IN (0, 1)),
    disabled_reason TEXT,
    disabled_us INTEGER,
    failing_since_us INTEGER,
    given_up INTEGER NOT NULL,
    slow_since_us INTEGER,
    last_error TEXT,
    last_error_us INTEGER,
    due_us INTEGER,
    lease_until_us INTEGER,
    lease_token TEXT,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    deleted_us INTEGER,
    PRIMARY KEY (shop_id, id)
) STRICT;
CREATE UNIQUE INDEX webhook_endpoint_of_payments ON webhook_endpoint (shop_id, mode)
    WHERE url IS NULL AND deleted_us IS NULL;
CREATE INDEX webhook_endpoint_due ON webhook_endpoint (due_us) WHERE due_us IS NOT NULL;
-- For the figures: receivers where nothing arrives, and those that are told nothing any more.
CREATE INDEX webhook_endpoint_failing ON webhook_endpoint (failing_since_us) WHERE failing_since_us IS NOT NULL;
CREATE INDEX webhook_endpoint_off ON webhook_endpoint (shop_id, id) WHERE disabled_reason IS NOT NULL;

-- Events that have not been handed to the shop's endpoints yet.
CREATE TABLE webhook_outbox (
    shop_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    PRIMARY KEY (shop_id, event_id),
    FOREIGN KEY (shop_id, event_id) REFERENCES event (shop_id, id)
) STRICT;

CREATE TABLE webhook_delivery (
    shop_id TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    name TEXT NOT NULL,
    payment_url TEXT,
    state TEXT NOT NULL CONSTRAINT webhook_delivery_state_known CHECK (state IN ('waiting', 'delivered', 'failed')),
    tries INTEGER NOT NULL,
    due_us INTEGER NOT NULL,
    tried_us INTEGER,
    took_us INTEGER,
    status INTEGER,
    error TEXT,
    answer BLOB,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (shop_id, endpoint_id, event_id),
    FOREIGN KEY (shop_id, endpoint_id) REFERENCES webhook_endpoint (shop_id, id),
    FOREIGN KEY (shop_id, event_id) REFERENCES event (shop_id, id)
) STRICT;
CREATE INDEX webhook_delivery_due ON webhook_delivery (shop_id, endpoint_id, due_us) WHERE state = 'waiting';

CREATE TABLE idempotency (
    shop_id TEXT NOT NULL REFERENCES shop (id),
    mode TEXT NOT NULL CONSTRAINT idempotency_mode_known CHECK (mode IN ('test', 'live')),
    key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    state TEXT NOT NULL CONSTRAINT idempotency_state_known CHECK (state IN ('running', 'done')),
    status INTEGER,
    body BLOB,
    payment_id TEXT,
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    PRIMARY KEY (shop_id, mode, key),
    CONSTRAINT idempotency_done_has_answer CHECK (state <> 'done' OR (status IS NOT NULL AND body IS NOT NULL))
) STRICT;
CREATE INDEX idempotency_expiry ON idempotency (expires_us);

CREATE TABLE notice (
    id TEXT NOT NULL,
    shop_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    mode TEXT NOT NULL CONSTRAINT notice_mode_known CHECK (mode IN ('test', 'live')),
    digest TEXT NOT NULL,
    source TEXT NOT NULL,
    listed INTEGER NOT NULL CONSTRAINT notice_listed_bool CHECK (listed IN (0, 1)),
    size INTEGER NOT NULL,
    order_ref TEXT,
    raw BLOB,
    times INTEGER NOT NULL CONSTRAINT notice_times_positive CHECK (times >= 1),
    state TEXT NOT NULL CONSTRAINT notice_state_known CHECK (state IN (
        'received', 'read', 'doubted', 'applied', 'ignored', 'unknown_order', 'mismatched', 'held', 'unconfirmed', 'refused',
        'unreadable', 'dismissed')),
    reading BLOB,
    reply TEXT,
    reply_type TEXT,
    summary BLOB NOT NULL,
    payment_id TEXT,
    reason BLOB,
    forward TEXT CONSTRAINT notice_forward_known CHECK (forward IN ('waiting', 'forwarded', 'failed')),
    forward_status INTEGER,
    forwarded_us INTEGER,
    since_us INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id),
    FOREIGN KEY (shop_id, channel_id) REFERENCES channel (shop_id, id),
    FOREIGN KEY (shop_id, payment_id) REFERENCES payment (shop_id, id)
) STRICT;
-- The same message is one row, however often the gateway repeats it.
CREATE UNIQUE INDEX notice_once ON notice (shop_id, channel_id, digest);
CREATE INDEX notice_list ON notice (shop_id, mode, id);
CREATE INDEX notice_payment ON notice (shop_id, payment_id) WHERE payment_id IS NOT NULL;
-- What strangers send is counted, so that they cannot fill the disk: messages that name no order of the shop (those that name
-- one are counted by payment).
CREATE INDEX notice_strange ON notice (shop_id, channel_id, created_us, size) WHERE listed = 0 AND order_ref IS NULL;
CREATE INDEX notice_nobodys ON notice (created_us) WHERE order_ref IS NULL;
-- Those that wait for a person, over all shops, and of one channel about no payment.
CREATE INDEX notice_for_a_person ON notice (id)
    WHERE state IN ('mismatched', 'held', 'unconfirmed', 'unreadable');
CREATE INDEX notice_about_none ON notice (shop_id, channel_id, id)
    WHERE payment_id IS NULL AND state IN ('mismatched', 'held', 'unconfirmed', 'unreadable');
-- What is over is thrown away, or loses its message; so is what strangers said, nobody believed and no person decided about.
CREATE INDEX notice_unbelieved ON notice (created_us)
    WHERE listed = 0 AND state IN ('mismatched', 'held', 'unconfirmed');
CREATE INDEX notice_kept ON notice (created_us) WHERE raw IS NOT NULL;

CREATE TABLE call (
    id TEXT NOT NULL,
    shop_id TEXT NOT NULL,
    channel_id TEXT,
    payment_id TEXT,
    attempt_id TEXT,
    plugin_digest TEXT NOT NULL,
    interface TEXT NOT NULL,
    function TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    cpu_us INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    fault BLOB,
    record BLOB,
    record_digest TEXT,
    kept_until_us INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX call_payment ON call (shop_id, payment_id, id);
CREATE INDEX call_kept ON call (kept_until_us) WHERE record IS NOT NULL;

CREATE TABLE job (
    id TEXT NOT NULL,
    lane TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    shop_id TEXT NOT NULL,
    payload TEXT NOT NULL,
    due_us INTEGER NOT NULL,
    again_us INTEGER,
    tries INTEGER NOT NULL,
    lease_until_us INTEGER,
    lease_token TEXT,
    state TEXT NOT NULL,
    last_error BLOB,
    gateway TEXT,
    silent_us INTEGER,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (shop_id, id)
) STRICT;
CREATE UNIQUE INDEX job_key ON job (shop_id, key);
-- Whose gateway did not answer: the oldest asks often, and when one is answered all fall due.
CREATE INDEX job_silent ON job (gateway, silent_us) WHERE silent_us IS NOT NULL;
-- What a shop has due, and which shop comes next: a claim reads no other shop's jobs.
CREATE INDEX job_shop ON job (lane, shop_id, due_us) WHERE state = 'waiting';
-- No job was tried less than never. Only who asks in order of time says so: no plan for one shop's jobs can take this index,
-- and read past a hundred thousand of another's.
CREATE INDEX job_due ON job (lane, due_us, shop_id) WHERE state = 'waiting' AND tries >= 0;
CREATE INDEX job_done ON job (updated_us) WHERE state = 'done';

-- What the host itself does again and again.
CREATE TABLE host_job (
    key TEXT NOT NULL PRIMARY KEY,
    -- While one is at it: when another one may begin if nothing is heard.
    due_us INTEGER NOT NULL,
    token TEXT
) STRICT;

-- What happened stays: nobody changes or removes it, not even a hand in a shell.
CREATE TRIGGER fact_append_only_update BEFORE UPDATE ON fact
BEGIN SELECT RAISE(ABORT, 'fact_append_only'); END;
CREATE TRIGGER fact_append_only_delete BEFORE DELETE ON fact
BEGIN SELECT RAISE(ABORT, 'fact_append_only'); END;
CREATE TRIGGER ledger_entry_append_only_update BEFORE UPDATE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'ledger_entry_append_only'); END;
CREATE TRIGGER ledger_entry_append_only_delete BEFORE DELETE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'ledger_entry_append_only'); END;
CREATE TRIGGER event_append_only_update BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'event_append_only'); END;
CREATE TRIGGER event_append_only_delete BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'event_append_only'); END;
