-- Who uses the platform, and what they asked of it. Personal data is in party_profile and
-- payout_account only; everything else carries ids.

CREATE TABLE party (
    id         BLOB PRIMARY KEY,
    role       TEXT NOT NULL CHECK (role IN ('customer', 'owner', 'finance', 'operator')),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE party_profile (
    party_id      BLOB PRIMARY KEY REFERENCES party (id),
    -- Lower-cased, trimmed.
    email         TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    -- argon2id, PHC string.
    password_hash TEXT NOT NULL
) STRICT;

CREATE TABLE payout_account (
    party_id   BLOB PRIMARY KEY REFERENCES party (id),
    holder     TEXT NOT NULL,
    iban       TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- Keys that sign access tokens. PKCS#8.
CREATE TABLE signing_key (
    id         TEXT PRIMARY KEY,
    private    BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Who may read which blob; the bytes are in the blob store under their digest (SHA-256, hex).
CREATE TABLE blob (
    digest     TEXT NOT NULL,
    party_id   BLOB NOT NULL,
    size       INTEGER NOT NULL CHECK (size >= 0),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (digest, party_id)
) STRICT;

CREATE TABLE deposit (
    id             BLOB PRIMARY KEY,
    customer_id    BLOB NOT NULL,
    asset          TEXT NOT NULL,
    amount         INTEGER NOT NULL CHECK (amount > 0),
    source         TEXT NOT NULL CHECK (source IN ('bank_transfer', 'test')),
    -- What the customer writes on the transfer.
    reference      TEXT NOT NULL UNIQUE,
    state          TEXT NOT NULL CHECK (state IN ('pending', 'confirmed')),
    transaction_id BLOB,
    confirmed_by   BLOB,
    created_at     INTEGER NOT NULL,
    confirmed_at   INTEGER
) STRICT;
CREATE INDEX deposit_customer ON deposit (customer_id, id);

-- A pain.001 file and what it pays.
CREATE TABLE bank_file (
    id         BLOB PRIMARY KEY,
    content    TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE payout (
    id             BLOB PRIMARY KEY,
    owner_id       BLOB NOT NULL,
    asset          TEXT NOT NULL,
    -- Whole cents, in micro-units.
    amount         INTEGER NOT NULL CHECK (amount > 0 AND amount % 10000 = 0),
    state          TEXT NOT NULL CHECK (state IN ('requested', 'approved')),
    hold_id        BLOB NOT NULL,
    transaction_id BLOB,
    bank_file_id   BLOB,
    approved_by    BLOB,
    requested_at   INTEGER NOT NULL,
    approved_at    INTEGER
) STRICT;
CREATE INDEX payout_owner ON payout (owner_id, id);

-- Answers already given, in the transaction of the work they answer.
CREATE TABLE idempotency (
    party_id    BLOB NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    status      INTEGER NOT NULL,
    body        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (party_id, key)
) STRICT;

-- Mail to send. The address is looked up in party_profile at the time of sending.
CREATE TABLE outbox (
    id         BLOB PRIMARY KEY,
    party_id   BLOB NOT NULL,
    template   TEXT NOT NULL,
    payload    TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'dead')),
    attempts   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    last_error TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (next_at) WHERE state = 'pending';
