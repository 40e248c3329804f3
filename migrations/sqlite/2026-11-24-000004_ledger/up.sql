-- The book at full strength: moments in order per account, periods, references between
-- transactions, records that explain them, blocks that prove them. The hot tables are rebuilt
-- without row ids: one tree less to write for each row.

CREATE TABLE balance_new (
    account_id BLOB PRIMARY KEY,
    -- Debits minus credits.
    posted     INTEGER NOT NULL,
    -- What open holds still keep back, never negative.
    held       INTEGER NOT NULL CHECK (held >= 0),
    -- Number of the account's last entry.
    entries    INTEGER NOT NULL CHECK (entries >= 0),
    -- The moment of the account's last entry: an account's entries are in order of time.
    last_posted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO balance_new
    SELECT account_id, posted, held, entries, COALESCE((
        SELECT MAX(t.posted_at) FROM entry e JOIN ledger_transaction t ON t.id = e.transaction_id
        WHERE e.account_id = balance.account_id), 0)
    FROM balance;
DROP TABLE balance;
ALTER TABLE balance_new RENAME TO balance;

CREATE TABLE ledger_transaction_new (
    id           BLOB PRIMARY KEY,
    -- Idempotency key of the command that made it.
    key          TEXT NOT NULL UNIQUE,
    fingerprint  BLOB NOT NULL,
    kind         TEXT NOT NULL,
    -- TypeID of what it is about: a lease, a deposit, a payout.
    subject      TEXT NOT NULL,
    posted_at    INTEGER NOT NULL,
    effective_at INTEGER NOT NULL,
    -- Day of the books, counted from 1970-01-01 UTC: the day of effective_at, or if its month was
    -- closed, the first day of the next month that was open.
    booked_on    INTEGER NOT NULL,
    relation     TEXT CHECK (relation IN ('reverses', 'refunds', 'corrects')),
    refers_to    BLOB,
    CHECK ((relation IS NULL) = (refers_to IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO ledger_transaction_new
    SELECT id, key, fingerprint, kind, subject, posted_at, effective_at,
        effective_at / 86400000000, NULL, NULL
    FROM ledger_transaction;
DROP TABLE ledger_transaction;
ALTER TABLE ledger_transaction_new RENAME TO ledger_transaction;
-- What most transactions are about is their key: those are found by it.
CREATE INDEX ledger_transaction_subject ON ledger_transaction (subject) WHERE subject <> key;
CREATE INDEX ledger_transaction_refers ON ledger_transaction (refers_to)
    WHERE refers_to IS NOT NULL;
CREATE UNIQUE INDEX ledger_transaction_reversal ON ledger_transaction (refers_to)
    WHERE relation = 'reverses';
-- Late entries: booked after the day on which they count.
CREATE INDEX ledger_transaction_late ON ledger_transaction (booked_on)
    WHERE booked_on > effective_at / 86400000000;

CREATE TABLE entry_new (
    transaction_id BLOB NOT NULL,
    line           INTEGER NOT NULL,
    account_id     BLOB NOT NULL,
    amount         INTEGER NOT NULL CHECK (amount <> 0),
    -- Position in the account's history, from 1, and the balance after it (debits minus credits).
    number         INTEGER NOT NULL CHECK (number > 0),
    balance_after  INTEGER NOT NULL,
    PRIMARY KEY (transaction_id, line)
) STRICT, WITHOUT ROWID;
INSERT INTO entry_new
    SELECT transaction_id, line, account_id, amount, number, balance_after FROM entry;
DROP TABLE entry;
ALTER TABLE entry_new RENAME TO entry;
CREATE UNIQUE INDEX entry_account ON entry (account_id, number);

-- What callers want to find a transaction by.
CREATE TABLE transaction_metadata (
    transaction_id BLOB NOT NULL,
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (transaction_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX transaction_metadata_value ON transaction_metadata (name, value, transaction_id);

-- Why a settlement moved what it moved. Rates are parts per million.
CREATE TABLE settlement_record (
    transaction_id BLOB PRIMARY KEY,
    lease_id       BLOB NOT NULL,
    -- Billed time, and the clearing price per lane-hour in micro-units.
    seconds        INTEGER NOT NULL CHECK (seconds >= 0),
    price          INTEGER NOT NULL CHECK (price >= 0),
    fee_ppm        INTEGER NOT NULL,
    -- NULL: paid in cash.
    bonus_ppm      INTEGER,
    redemption_ppm INTEGER
) STRICT, WITHOUT ROWID;

-- At which rate a transaction changed one asset into another:
-- bought = sold * rate_ppm / 1e6, rounded half to even.
CREATE TABLE conversion_record (
    transaction_id BLOB PRIMARY KEY,
    sold_asset     TEXT NOT NULL,
    sold           INTEGER NOT NULL CHECK (sold > 0),
    bought_asset   TEXT NOT NULL,
    bought         INTEGER NOT NULL CHECK (bought > 0),
    rate_ppm       INTEGER NOT NULL CHECK (rate_ppm > 0)
) STRICT, WITHOUT ROWID;

-- An event has an id in order of time, so that what happened since can be read.
CREATE TABLE hold_event_new (
    hold_id        BLOB NOT NULL,
    number         INTEGER NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('placed', 'captured', 'released', 'expired')),
    amount         INTEGER NOT NULL CHECK (amount > 0),
    transaction_id BLOB,
    at             INTEGER NOT NULL,
    id             BLOB PRIMARY KEY,
    UNIQUE (hold_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO hold_event_new
    SELECT hold_id, number, kind, amount, transaction_id, at,
        unhex(printf('%012x', at / 1000) || substr(hex(hold_id), 13, 12) || printf('%08x', number))
    FROM hold_event;
DROP TABLE hold_event;
ALTER TABLE hold_event_new RENAME TO hold_event;
CREATE INDEX hold_expiry ON hold (expires_at) WHERE open AND expires_at IS NOT NULL;

-- Months that are not open, and what was done to them. A month is year * 12 + month - 1.
CREATE TABLE period (
    month INTEGER PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('closed', 'reopening', 'open'))
) STRICT, WITHOUT ROWID;
CREATE TABLE period_event (
    id     BLOB PRIMARY KEY,
    month  INTEGER NOT NULL,
    kind   TEXT NOT NULL CHECK (kind IN ('closed', 'reopen_asked', 'reopened')),
    -- Who did it: a party's id.
    by_id  BLOB NOT NULL,
    reason TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The chain over committed rows. Its one writer holds the row of block_head.
CREATE TABLE block (
    number    INTEGER PRIMARY KEY,
    previous  BLOB NOT NULL,
    -- Kind (1 byte), id (16) and digest (32) of each record, one after another.
    records   BLOB NOT NULL,
    -- Digest of the roots of what was owed, if this block has them.
    liabilities BLOB,
    sealed_at INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    key_id    TEXT NOT NULL,
    signature BLOB NOT NULL
) STRICT;
CREATE TABLE block_head (
    id     TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    -- Everything with an id of an earlier moment is in a block, but for what commits that late.
    watermark INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO block_head (id, number, watermark) VALUES ('head', 0, 0);
-- How many records a block has of a kind and a moment (the first 5 bytes of their ids, 256 ms): what
-- is in no block is found by counting.
CREATE TABLE block_span (
    kind    INTEGER NOT NULL,
    moment  BLOB NOT NULL,
    block   INTEGER NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (kind, moment, block)
) STRICT, WITHOUT ROWID;

-- What was owed at a block: a Merkle-sum tree per asset, kept as pages of leaves.
CREATE TABLE liability_root (
    block    INTEGER NOT NULL,
    asset    TEXT NOT NULL,
    accounts INTEGER NOT NULL,
    total    INTEGER NOT NULL,
    root     BLOB NOT NULL,
    PRIMARY KEY (block, asset)
) STRICT, WITHOUT ROWID;
CREATE TABLE liability_page (
    block  INTEGER NOT NULL,
    asset  TEXT NOT NULL,
    page   INTEGER NOT NULL,
    -- First and last account of the page, and each leaf: account (16), party (16), code (1), balance
    -- (8, big-endian).
    first_id BLOB NOT NULL,
    last_id  BLOB NOT NULL,
    leaves BLOB NOT NULL,
    total  INTEGER NOT NULL,
    hash   BLOB NOT NULL,
    PRIMARY KEY (block, asset, page)
) STRICT;

-- What an account's entries up to the one numbered upto came to, by the day of the books: written
-- behind the book by the sealer, so that a balance of any day reads days, not entries. The largest
-- upto of an account says how far it is counted.
CREATE TABLE day_balance (
    account_id BLOB NOT NULL,
    day        INTEGER NOT NULL,
    net        INTEGER NOT NULL,
    upto       INTEGER NOT NULL,
    PRIMARY KEY (account_id, day)
) STRICT, WITHOUT ROWID;
