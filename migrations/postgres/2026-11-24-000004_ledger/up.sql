-- The book at full strength: moments in order per account, periods, references between
-- transactions, records that explain them, blocks that prove them.

-- The moment of the account's last entry: an account's entries are in order of time.
ALTER TABLE balance ADD COLUMN last_posted_at BIGINT NOT NULL DEFAULT 0;
UPDATE balance SET last_posted_at = COALESCE((
    SELECT MAX(t.posted_at) FROM entry e JOIN ledger_transaction t ON t.id = e.transaction_id
    WHERE e.account_id = balance.account_id), 0);
ALTER TABLE balance ALTER COLUMN last_posted_at DROP DEFAULT;

ALTER TABLE ledger_transaction
    -- Day of the books, counted from 1970-01-01 UTC: the day of effective_at, or if its month was
    -- closed, the first day of the next month that was open.
    ADD COLUMN booked_on INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN relation TEXT COLLATE "C" CHECK (relation IN ('reverses', 'refunds', 'corrects')),
    ADD COLUMN refers_to BYTEA,
    ADD CHECK ((relation IS NULL) = (refers_to IS NULL));
UPDATE ledger_transaction SET booked_on = effective_at / 86400000000;
ALTER TABLE ledger_transaction ALTER COLUMN booked_on DROP DEFAULT;
-- What most transactions are about is their key: those are found by it.
DROP INDEX ledger_transaction_subject;
CREATE INDEX ledger_transaction_subject ON ledger_transaction (subject) WHERE subject <> key;
CREATE INDEX ledger_transaction_refers ON ledger_transaction (refers_to)
    WHERE refers_to IS NOT NULL;
CREATE UNIQUE INDEX ledger_transaction_reversal ON ledger_transaction (refers_to)
    WHERE relation = 'reverses';
-- Late entries: booked after the day on which they count.
CREATE INDEX ledger_transaction_late ON ledger_transaction (booked_on)
    WHERE booked_on > effective_at / 86400000000;

-- What callers want to find a transaction by.
CREATE TABLE transaction_metadata (
    transaction_id BYTEA NOT NULL,
    name  TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (transaction_id, name)
);
CREATE INDEX transaction_metadata_value ON transaction_metadata (name, value, transaction_id);

-- Why a settlement moved what it moved. Rates are parts per million.
CREATE TABLE settlement_record (
    transaction_id BYTEA PRIMARY KEY,
    lease_id       BYTEA NOT NULL,
    -- Billed time, and the clearing price per lane-hour in micro-units.
    seconds        BIGINT NOT NULL CHECK (seconds >= 0),
    price          BIGINT NOT NULL CHECK (price >= 0),
    fee_ppm        BIGINT NOT NULL,
    -- NULL: paid in cash.
    bonus_ppm      BIGINT,
    redemption_ppm BIGINT
);

-- At which rate a transaction changed one asset into another:
-- bought = sold * rate_ppm / 1e6, rounded half to even.
CREATE TABLE conversion_record (
    transaction_id BYTEA PRIMARY KEY,
    sold_asset     TEXT COLLATE "C" NOT NULL,
    sold           BIGINT NOT NULL CHECK (sold > 0),
    bought_asset   TEXT COLLATE "C" NOT NULL,
    bought         BIGINT NOT NULL CHECK (bought > 0),
    rate_ppm       BIGINT NOT NULL CHECK (rate_ppm > 0)
);

-- An event has an id in order of time, so that what happened since can be read.
ALTER TABLE hold_event ADD COLUMN id BYTEA;
UPDATE hold_event SET id = decode(
    lpad(to_hex(at / 1000), 12, '0') || substr(md5(hold_id || int4send(number)), 1, 20), 'hex');
ALTER TABLE hold_event DROP CONSTRAINT hold_event_pkey;
ALTER TABLE hold_event ADD PRIMARY KEY (id), ADD UNIQUE (hold_id, number);
CREATE INDEX hold_expiry ON hold (expires_at) WHERE open AND expires_at IS NOT NULL;

-- Months that are not open, and what was done to them. A month is year * 12 + month - 1.
CREATE TABLE period (
    month INTEGER PRIMARY KEY,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('closed', 'reopening', 'open'))
);
CREATE TABLE period_event (
    id     BYTEA PRIMARY KEY,
    month  INTEGER NOT NULL,
    kind   TEXT COLLATE "C" NOT NULL CHECK (kind IN ('closed', 'reopen_asked', 'reopened')),
    -- Who did it: a party's id.
    by_id  BYTEA NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    at     BIGINT NOT NULL
);

-- The chain over committed rows. Its one writer holds the row of block_head.
CREATE TABLE block (
    number    BIGINT PRIMARY KEY,
    previous  BYTEA NOT NULL,
    -- Kind (1 byte), id (16) and digest (32) of each record, one after another.
    records   BYTEA NOT NULL,
    -- Digest of the roots of what was owed, if this block has them.
    liabilities BYTEA,
    sealed_at BIGINT NOT NULL,
    hash      BYTEA NOT NULL,
    key_id    TEXT COLLATE "C" NOT NULL,
    signature BYTEA NOT NULL
);
CREATE TABLE block_head (
    id     TEXT COLLATE "C" PRIMARY KEY,
    number BIGINT NOT NULL,
    -- Everything with an id of an earlier moment is in a block, but for what commits that late.
    watermark BIGINT NOT NULL
);
INSERT INTO block_head (id, number, watermark) VALUES ('head', 0, 0);
-- How many records a block has of a kind and a moment (the first 5 bytes of their ids, 256 ms): what
-- is in no block is found by counting.
CREATE TABLE block_span (
    kind    INTEGER NOT NULL,
    moment  BYTEA NOT NULL,
    block   BIGINT NOT NULL,
    records BIGINT NOT NULL,
    PRIMARY KEY (kind, moment, block)
);

-- What was owed at a block: a Merkle-sum tree per asset, kept as pages of leaves.
CREATE TABLE liability_root (
    block    BIGINT NOT NULL,
    asset    TEXT COLLATE "C" NOT NULL,
    accounts BIGINT NOT NULL,
    total    BIGINT NOT NULL,
    root     BYTEA NOT NULL,
    PRIMARY KEY (block, asset)
);
CREATE TABLE liability_page (
    block  BIGINT NOT NULL,
    asset  TEXT COLLATE "C" NOT NULL,
    page   INTEGER NOT NULL,
    -- First and last account of the page, and each leaf: account (16), party (16), code (1), balance
    -- (8, big-endian).
    first_id BYTEA NOT NULL,
    last_id  BYTEA NOT NULL,
    leaves BYTEA NOT NULL,
    total  BIGINT NOT NULL,
    hash   BYTEA NOT NULL,
    PRIMARY KEY (block, asset, page)
);

-- What an account's entries up to the one numbered upto came to, by the day of the books: written
-- behind the book by the sealer, so that a balance of any day reads days, not entries. The largest
-- upto of an account says how far it is counted.
CREATE TABLE day_balance (
    account_id BYTEA NOT NULL,
    day        INTEGER NOT NULL,
    net        BIGINT NOT NULL,
    upto       BIGINT NOT NULL,
    PRIMARY KEY (account_id, day)
);
