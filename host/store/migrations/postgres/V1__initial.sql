-- The same schema as migrations/sqlite, table by table and name by name (a test compares the catalogs). What differs:
-- TEXT sorts by bytes (COLLATE "C"), as SQLite's does; two foreign keys are deferrable, for `copy`; there are no triggers, which a distributed table cannot have.
-- Payments and checkouts have room in their pages, so that an update that changes no index stays there; records of calls stay
-- in their rows; `settings_change` is its own.
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
    key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE shop (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    public_url TEXT COLLATE "C",
    allowed_origins TEXT COLLATE "C" NOT NULL,
    private_webhooks BIGINT NOT NULL CONSTRAINT shop_private_webhooks_bool CHECK (private_webhooks IN (0, 1)),
    data_key BYTEA NOT NULL,
    created_us BIGINT NOT NULL,
    suspended_us BIGINT,
    removed_us BIGINT
);

CREATE TABLE api_key (
    id TEXT COLLATE "C" NOT NULL,
    shop_id TEXT COLLATE "C" NOT NULL REFERENCES shop (id),
    mode TEXT COLLATE "C" NOT NULL CONSTRAINT api_key_mode_known CHECK (mode IN ('test', 'live')),
    name TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL,
    hint TEXT COLLATE "C" NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT,
    revoked_us BIGINT,
    binding BYTEA NOT NULL,
    PRIMARY KEY (shop_id, id)
);
CREATE UNIQUE INDEX api_key_hash ON api_key (shop_id, hash);

CREATE TABLE operator_key (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL,
    hint TEXT COLLATE "C" NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT,
    revoked_us BIGINT,
    binding BYTEA NOT NULL
);
CREATE UNIQUE INDEX operator_key_hash ON operator_key (hash);

CREATE TABLE component (
    digest TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    plugin_id TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    bytes BYTEA NOT NULL,
    descriptor TEXT COLLATE "C" NOT NULL,
    interfaces TEXT COLLATE "C" NOT NULL,
    installed_us BIGINT NOT NULL
);
CREATE INDEX component_plugin ON component (plugin_id, installed_us);

CREATE TABLE plugin (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    active_digest TEXT COLLATE "C" NOT NULL REFERENCES component (digest),
    installed_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    removed_us BIGINT
);

CREATE TABLE plugin_grant (
    plugin_id TEXT COLLATE "C" NOT NULL REFERENCES plugin (id),
    kind TEXT COLLATE "C" NOT NULL CONSTRAINT plugin_grant_kind_known CHECK (kind IN ('host', 'browser')),
    origin TEXT COLLATE "C" NOT NULL,
    uses TEXT COLLATE "C" NOT NULL,
    granted_us BIGINT NOT NULL,
    -- Since when it is for calls about old sales alone, of channels that were removed: the plugin was removed, too.
    withdrawn_us BIGINT,
    PRIMARY KEY (plugin_id, kind, origin)
);

CREATE TABLE gateway_map (
    origin TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    connect TEXT COLLATE "C" NOT NULL,
    ca_pem TEXT COLLATE "C",
    browser_origin TEXT COLLATE "C",
    created_us BIGINT NOT NULL
);

CREATE TABLE channel (
    id TEXT COLLATE "C" NOT NULL,
    shop_id TEXT COLLATE "C" NOT NULL REFERENCES shop (id),
    plugin_id TEXT COLLATE "C" NOT NULL REFERENCES plugin (id),
    plugin_digest TEXT COLLATE "C" NOT NULL REFERENCES component (digest),
    name TEXT COLLATE "C" NOT NULL,
    mode TEXT COLLATE "C" NOT NULL CONSTRAINT channel_mode_known CHECK (mode IN ('test', 'live')),
    purposes TEXT COLLATE "C" NOT NULL,
    settings TEXT COLLATE "C" NOT NULL,
    enabled BIGINT NOT NULL CONSTRAINT channel_enabled_bool CHECK (enabled IN (0, 1)),
    watch BIGINT NOT NULL CONSTRAINT channel_watch_bool CHECK (watch IN (0, 1)),
    in_doubt TEXT COLLATE "C" NOT NULL CONSTRAINT channel_in_doubt_known CHECK (in_doubt IN ('undo', 'ask')),
    notice_forward_url TEXT COLLATE "C",
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    removed_us BIGINT,
    PRIMARY KEY (shop_id, id)
);

CREATE TABLE channel_default (
    shop_id TEXT COLLATE "C" NOT NULL,
    mode TEXT COLLATE "C" NOT NULL CONSTRAINT channel_default_mode_known CHECK (mode IN ('test', 'live')),
    purpose TEXT COLLATE "C" NOT NULL,
    channel_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (shop_id, mode, purpose),
    FOREIGN KEY (shop_id, channel_id) REFERENCES channel (shop_id, id)
);

-- A secret that was changed or taken away stays, retired, while a payment may need it: what is in doubt is asked about and
-- undone with the very keys that it was made with.
CREATE TABLE channel_secret (
    shop_id TEXT COLLATE "C" NOT NULL,
    channel_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL,
    updated_us BIGINT NOT NULL,
    retired_us BIGINT,
    PRIMARY KEY (shop_id, channel_id, name, version),
    FOREIGN KEY (shop_id, channel_id) REFERENCES channel (shop_id, id)
);
CREATE UNIQUE INDEX channel_secret_current ON channel_secret (shop_id, channel_id, name) WHERE retired_us IS NULL;

-- What a channel was set to, and with which versions of its secrets: checkouts and attempts name the one that they use.
CREATE TABLE channel_revision (
    shop_id TEXT COLLATE "C" NOT NULL,
    channel_id TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL CONSTRAINT channel_revision_number_positive CHECK (number >= 1),
    settings TEXT COLLATE "C" NOT NULL,
    secrets TEXT COLLATE "C" NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (shop_id, channel_id, number),
    FOREIGN KEY (shop_id, channel_id) REFERENCES channel (shop_id, id)
);

CREATE TABLE payment (
    id TEXT COLLATE "C" NOT NULL,
    shop_id TEXT COLLATE "C" NOT NULL,
    channel_id TEXT COLLATE "C" NOT NULL,
    mode TEXT COLLATE "C" NOT NULL,
    order_id TEXT COLLATE "C" NOT NULL,
    order_name TEXT COLLATE "C" NOT NULL,
    total BIGINT NOT NULL CONSTRAINT payment_total_positive CHECK (total > 0),
    currency TEXT COLLATE "C" NOT NULL CONSTRAINT payment_currency_length CHECK (length(currency) = 3),
    tax_free BIGINT CONSTRAINT payment_tax_free_range CHECK (tax_free >= 0 AND tax_free <= total),
    vat BIGINT CONSTRAINT payment_vat_range CHECK (vat >= 0 AND vat <= total),
    method TEXT COLLATE "C",
    buyer BYTEA NOT NULL,
    options BYTEA NOT NULL,
    metadata BYTEA NOT NULL,
    language TEXT COLLATE "C" NOT NULL,
    confirm TEXT COLLATE "C" NOT NULL,
    return_url TEXT COLLATE "C",
    webhook_url TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,
    resolution TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    paid BIGINT NOT NULL CONSTRAINT payment_paid_not_negative CHECK (paid >= 0),
    cancelled BIGINT NOT NULL CONSTRAINT payment_cancelled_not_negative CHECK (cancelled >= 0),
    cancelled_tax_free BIGINT NOT NULL CONSTRAINT payment_cancelled_tax_free_not_negative CHECK (cancelled_tax_free >= 0),
    cancelled_vat BIGINT NOT NULL CONSTRAINT payment_cancelled_vat_not_negative CHECK (cancelled_vat >= 0),
    gateway_ref TEXT COLLATE "C",
    approved_checkout_id TEXT COLLATE "C",
    approved_at_us BIGINT,
    paid_method TEXT COLLATE "C",
    details BYTEA,
    opened BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    expired BIGINT NOT NULL,
    given_up BIGINT NOT NULL,
    -- Since when a person must say what becomes of money that came after the end.
    late_us BIGINT,
    last_failure BYTEA,
    expires_us BIGINT NOT NULL,
    deposit_deadline_us BIGINT,
    next_event BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    -- Indexes ask for this and not for the state: what most updates change must stand in no index. `open` and `awaiting` hold
    -- the order; `awaiting` and `late` may get a deposit.
    stage TEXT COLLATE "C" NOT NULL GENERATED ALWAYS AS (CASE
        WHEN state = 'awaiting_deposit' AND (expired = 1 OR given_up = 1) THEN 'late'
        WHEN state = 'awaiting_deposit' THEN 'awaiting'
        WHEN state IN ('cancelled', 'failed', 'expired') OR expired = 1 OR given_up = 1 THEN 'over'
        ELSE 'open' END) STORED,
    PRIMARY KEY (shop_id, id),
    -- Facts may arrive in any order, so a refund may be known before its approval is (a deposit's notice is late, a sale is
    -- found by reconciliation): the fact must be kept. But such a payment is not settled, and must be marked so that
    -- somebody looks: nobody can write more given back than taken and call it done.
    CONSTRAINT payment_cancelled_within_paid CHECK (cancelled <= paid OR resolution <> 'none'),
    FOREIGN KEY (shop_id, channel_id) REFERENCES channel (shop_id, id)
) WITH (fillfactor = 50);
-- One charge per order (design.md "Money" 6).
CREATE UNIQUE INDEX payment_open_order ON payment (shop_id, mode, order_id)
    WHERE stage IN ('open', 'awaiting');
CREATE INDEX payment_list ON payment (shop_id, mode, id);
CREATE INDEX payment_order ON payment (shop_id, mode, order_id, id);
-- For the figures: how many payments are in doubt, and who waits for a person.
CREATE INDEX payment_unresolved ON payment (resolution) WHERE resolution <> 'none';
-- Accounts that a notice may be about.
CREATE INDEX payment_awaiting ON payment (shop_id, channel_id) WHERE stage IN ('awaiting', 'late');

CREATE TABLE checkout (
    id TEXT COLLATE "C" NOT NULL,
    shop_id TEXT COLLATE "C" NOT NULL,
    payment_id TEXT COLLATE "C" NOT NULL,
    channel_id TEXT COLLATE "C" NOT NULL,
    plugin_digest TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    order_ref TEXT COLLATE "C" NOT NULL CONSTRAINT checkout_order_ref_length CHECK (length(order_ref) BETWEEN 1 AND 40),
    device TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    order_json BYTEA NOT NULL,
    callback BYTEA,
    close_script TEXT COLLATE "C",
    result BYTEA,
    opened_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (shop_id, id),
    FOREIGN KEY (shop_id, payment_id) REFERENCES payment (shop_id, id),
    FOREIGN KEY (shop_id, channel_id, revision) REFERENCES channel_revision (shop_id, channel_id, number)
) WITH (fillfactor = 50);
ALTER TABLE payment ADD FOREIGN KEY (shop_id, approved_checkout_id) REFERENCES checkout (shop_id, id) DEFERRABLE;
-- The number that the gateway knows it by. Addresses that gateways call name the shop.
CREATE UNIQUE INDEX checkout_order_ref ON checkout (shop_id, order_ref);
CREATE INDEX checkout_payment ON checkout (shop_id, payment_id, id);

CREATE TABLE attempt (
    id TEXT COLLATE "C" NOT NULL,
    shop_id TEXT COLLATE "C" NOT NULL,
    payment_id TEXT COLLATE "C" NOT NULL,
    checkout_id TEXT COLLATE "C",
    parent_id TEXT COLLATE "C",
    kind TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    call_id TEXT COLLATE "C" NOT NULL,
    plugin_digest TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    request BYTEA NOT NULL,
    callback BYTEA,
    now_ms BIGINT NOT NULL,
    seed TEXT COLLATE "C" NOT NULL,
    lease_until_us BIGINT NOT NULL,
    lease_token TEXT COLLATE "C" NOT NULL,
    outcome BYTEA,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (shop_id, id),
    CONSTRAINT attempt_complete_has_checkout CHECK (kind <> 'complete' OR checkout_id IS NOT NULL),
    CONSTRAINT attempt_undo_has_parent CHECK (kind <> 'undo' OR parent_id IS NOT NULL),
    FOREIGN KEY (shop_id, payment_id) REFERENCES payment (shop_id, id),
    FOREIGN KEY (shop_id, checkout_id) REFERENCES checkout (shop_id, id),
    FOREIGN KEY (shop_id, parent_id) REFERENCES attempt (shop_id, id) DEFERRABLE
);
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
    id TEXT COLLATE "C" NOT NULL,
    shop_id TEXT COLLATE "C" NOT NULL,
    channel_id TEXT COLLATE "C" NOT NULL,
    payment_id TEXT COLLATE "C" NOT NULL,
    attempt_id TEXT COLLATE "C",
    kind TEXT COLLATE "C" NOT NULL,
    gateway_ref TEXT COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL CONSTRAINT fact_sequence_not_negative CHECK (sequence >= 0),
    amount BIGINT NOT NULL CONSTRAINT fact_amount_not_negative CHECK (amount >= 0),
    currency TEXT COLLATE "C" NOT NULL CONSTRAINT fact_currency_length CHECK (length(currency) = 3),
    at_us BIGINT NOT NULL,
    detail TEXT COLLATE "C" NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (shop_id, id),
    FOREIGN KEY (shop_id, payment_id) REFERENCES payment (shop_id, id)
);
CREATE UNIQUE INDEX fact_once ON fact (shop_id, channel_id, kind, gateway_ref, sequence);
-- What a gateway did in a time: its list is compared with this.
CREATE INDEX fact_time ON fact (shop_id, channel_id, at_us);
CREATE INDEX fact_payment ON fact (shop_id, payment_id, id);
-- What a ledger line repeats of its fact.
CREATE UNIQUE INDEX fact_money ON fact (shop_id, id, payment_id, kind, amount, currency);

CREATE TABLE ledger_entry (
    shop_id TEXT COLLATE "C" NOT NULL,
    fact_id TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    against TEXT COLLATE "C" NOT NULL,
    payment_id TEXT COLLATE "C" NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    created_us BIGINT NOT NULL,
    fact_kind TEXT COLLATE "C" NOT NULL,
    fact_amount BIGINT NOT NULL,
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
);
CREATE INDEX ledger_payment ON ledger_entry (shop_id, payment_id);

-- What a shop is told. Events without a payment are about an endpoint, or samples.
CREATE TABLE event (
    id TEXT COLLATE "C" NOT NULL,
    shop_id TEXT COLLATE "C" NOT NULL,
    mode TEXT COLLATE "C" NOT NULL,
    payment_id TEXT COLLATE "C",
    sequence BIGINT,
    name TEXT COLLATE "C" NOT NULL,
    payload BYTEA NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (shop_id, id),
    CONSTRAINT event_of_payment_is_numbered CHECK ((payment_id IS NULL) = (sequence IS NULL))
) WITH (toast_tuple_target = 8160);
ALTER TABLE event ALTER COLUMN payload SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX event_sequence ON event (shop_id, payment_id, sequence);
-- Samples are counted: events stay for ever.
CREATE INDEX event_loose ON event (shop_id, id) WHERE payment_id IS NULL;

-- Where a shop is told of events. Without url: at the address that each payment brings (payment.webhook_url).
CREATE TABLE webhook_endpoint (
    id TEXT COLLATE "C" NOT NULL,
    shop_id TEXT COLLATE "C" NOT NULL REFERENCES shop (id),
    mode TEXT COLLATE "C" NOT NULL CONSTRAINT webhook_endpoint_mode_known CHECK (mode IN ('test', 'live')),
    url TEXT COLLATE "C",
    name TEXT COLLATE "C" NOT NULL,
    events TEXT COLLATE "C" NOT NULL,
    secret BYTEA NOT NULL,
    old_secrets TEXT COLLATE "C" NOT NULL,
    enabled BIGINT NOT NULL CONSTRAINT webhook_endpoint_enabled_bool CHECK (enabled IN (0, 1)),
    disabled_reason TEXT COLLATE "C",
    disabled_us BIGINT,
    failing_since_us BIGINT,
    given_up BIGINT NOT NULL,
    slow_since_us BIGINT,
    last_error TEXT COLLATE "C",
    last_error_us BIGINT,
    due_us BIGINT,
    lease_until_us BIGINT,
    lease_token TEXT COLLATE "C",
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    deleted_us BIGINT,
    PRIMARY KEY (shop_id, id)
);
CREATE UNIQUE INDEX webhook_endpoint_of_payments ON webhook_endpoint (shop_id, mode)
    WHERE url IS NULL AND deleted_us IS NULL;
CREATE INDEX webhook_endpoint_due ON webhook_endpoint (due_us) WHERE due_us IS NOT NULL;
-- For the figures: receivers where nothing arrives, and those that are told nothing any more.
CREATE INDEX webhook_endpoint_failing ON webhook_endpoint (failing_since_us) WHERE failing_since_us IS NOT NULL;
CREATE INDEX webhook_endpoint_off ON webhook_endpoint (shop_id, id) WHERE disabled_reason IS NOT NULL;

-- Events that have not been handed to the shop's endpoints yet.
CREATE TABLE webhook_outbox (
    shop_id TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (shop_id, event_id),
    FOREIGN KEY (shop_id, event_id) REFERENCES event (shop_id, id)
);

CREATE TABLE webhook_delivery (
    shop_id TEXT COLLATE "C" NOT NULL,
    endpoint_id TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    payment_url TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL CONSTRAINT webhook_delivery_state_known CHECK (state IN ('waiting', 'delivered', 'failed')),
    tries BIGINT NOT NULL,
    due_us BIGINT NOT NULL,
    tried_us BIGINT,
    took_us BIGINT,
    status BIGINT,
    error TEXT COLLATE "C",
    answer BYTEA,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (shop_id, endpoint_id, event_id),
    FOREIGN KEY (shop_id, endpoint_id) REFERENCES webhook_endpoint (shop_id, id),
    FOREIGN KEY (shop_id, event_id) REFERENCES event (shop_id, id)
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (shop_id, endpoint_id, due_us) WHERE state = 'waiting';

CREATE TABLE idempotency (
    shop_id TEXT COLLATE "C" NOT NULL REFERENCES shop (id),
    mode TEXT COLLATE "C" NOT NULL CONSTRAINT idempotency_mode_known CHECK (mode IN ('test', 'live')),
    key TEXT COLLATE "C" NOT NULL,
    request_hash BYTEA NOT NULL,
    state TEXT COLLATE "C" NOT NULL CONSTRAINT idempotency_state_known CHECK (state IN ('running', 'done')),
    status BIGINT,
    body BYTEA,
    payment_id TEXT COLLATE "C",
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    PRIMARY KEY (shop_id, mode, key),
    CONSTRAINT idempotency_done_has_answer CHECK (state <> 'done' OR (status IS NOT NULL AND body IS NOT NULL))
) WITH (toast_tuple_target = 8160);
ALTER TABLE idempotency ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX idempotency_expiry ON idempotency (expires_us);

CREATE TABLE notice (
    id TEXT COLLATE "C" NOT NULL,
    shop_id TEXT COLLATE "C" NOT NULL,
    channel_id TEXT COLLATE "C" NOT NULL,
    mode TEXT COLLATE "C" NOT NULL CONSTRAINT notice_mode_known CHECK (mode IN ('test', 'live')),
    digest TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    listed BIGINT NOT NULL CONSTRAINT notice_listed_bool CHECK (listed IN (0, 1)),
    size BIGINT NOT NULL,
    order_ref TEXT COLLATE "C",
    raw BYTEA,
    times BIGINT NOT NULL CONSTRAINT notice_times_positive CHECK (times >= 1),
    state TEXT COLLATE "C" NOT NULL CONSTRAINT notice_state_known CHECK (state IN (
        'received', 'read', 'doubted', 'applied', 'ignored', 'unknown_order', 'mismatched', 'held', 'unconfirmed', 'refused',
        'unreadable', 'dismissed')),
    reading BYTEA,
    reply TEXT COLLATE "C",
    reply_type TEXT COLLATE "C",
    summary BYTEA NOT NULL,
    payment_id TEXT COLLATE "C",
    reason BYTEA,
    forward TEXT COLLATE "C" CONSTRAINT notice_forward_known CHECK (forward IN ('waiting', 'forwarded', 'failed')),
    forward_status BIGINT,
    forwarded_us BIGINT,
    since_us BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (shop_id, id),
    FOREIGN KEY (shop_id, channel_id) REFERENCES channel (shop_id, id),
    FOREIGN KEY (shop_id, payment_id) REFERENCES payment (shop_id, id)
);
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
    id TEXT COLLATE "C" NOT NULL,
    shop_id TEXT COLLATE "C" NOT NULL,
    channel_id TEXT COLLATE "C",
    payment_id TEXT COLLATE "C",
    attempt_id TEXT COLLATE "C",
    plugin_digest TEXT COLLATE "C" NOT NULL,
    interface TEXT COLLATE "C" NOT NULL,
    function TEXT COLLATE "C" NOT NULL,
    at_us BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    cpu_us BIGINT NOT NULL,
    memory_bytes BIGINT NOT NULL,
    fault BYTEA,
    record BYTEA,
    record_digest TEXT COLLATE "C",
    kept_until_us BIGINT NOT NULL,
    PRIMARY KEY (shop_id, id)
) WITH (toast_tuple_target = 8160);
-- Sealed, so there is nothing to compress.
ALTER TABLE call ALTER COLUMN record SET STORAGE EXTERNAL;
CREATE INDEX call_payment ON call (shop_id, payment_id, id);
CREATE INDEX call_kept ON call (kept_until_us) WHERE record IS NOT NULL;

CREATE TABLE job (
    id TEXT COLLATE "C" NOT NULL,
    lane TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    shop_id TEXT COLLATE "C" NOT NULL,
    payload TEXT COLLATE "C" NOT NULL,
    due_us BIGINT NOT NULL,
    again_us BIGINT,
    tries BIGINT NOT NULL,
    lease_until_us BIGINT,
    lease_token TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,
    last_error BYTEA,
    gateway TEXT COLLATE "C",
    silent_us BIGINT,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (shop_id, id)
);
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
    key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- While one is at it: when another one may begin if nothing is heard.
    due_us BIGINT NOT NULL,
    token TEXT COLLATE "C"
);

-- Which commit was the last that changed what shops and operators set. Hosts keep such rows in memory while it is the same
-- (postgres/settings.rs). The store's write functions raise it, as the last statement before the commit, so that the row is locked
-- briefly and setting things does not make transactions wait for each other in a circle.
CREATE TABLE settings_change (change BIGINT NOT NULL);
INSERT INTO settings_change (change) VALUES (0);

-- Facts, ledger and events are append-only by role: see postgres/roles.rs.
