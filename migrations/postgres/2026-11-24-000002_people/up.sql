-- Who uses the platform, and what they asked of it. Personal data is in party_profile and
-- payout_account only; everything else carries ids.

CREATE TABLE party (
    id         BYTEA PRIMARY KEY,
    role       TEXT COLLATE "C" NOT NULL CHECK (role IN ('customer', 'owner', 'finance', 'operator')),
    created_at BIGINT NOT NULL
);

CREATE TABLE party_profile (
    party_id      BYTEA PRIMARY KEY REFERENCES party (id),
    -- Lower-cased, trimmed.
    email         TEXT COLLATE "C" NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    -- argon2id, PHC string.
    password_hash TEXT NOT NULL
);

CREATE TABLE payout_account (
    party_id   BYTEA PRIMARY KEY REFERENCES party (id),
    holder     TEXT NOT NULL,
    iban       TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Keys that sign access tokens. PKCS#8.
CREATE TABLE signing_key (
    id         TEXT COLLATE "C" PRIMARY KEY,
    private    BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- Who may read which blob; the bytes are in the blob store under their digest (SHA-256, hex).
CREATE TABLE blob (
    digest     TEXT COLLATE "C" NOT NULL,
    party_id   BYTEA NOT NULL,
    size       BIGINT NOT NULL CHECK (size >= 0),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (digest, party_id)
);

CREATE TABLE deposit (
    id             BYTEA PRIMARY KEY,
    customer_id    BYTEA NOT NULL,
    asset          TEXT COLLATE "C" NOT NULL,
    amount         BIGINT NOT NULL CHECK (amount > 0),
    source         TEXT COLLATE "C" NOT NULL CHECK (source IN ('bank_transfer', 'test')),
    -- What the customer writes on the transfer.
    reference      TEXT COLLATE "C" NOT NULL UNIQUE,
    state          TEXT COLLATE "C" NOT NULL CHECK (state IN ('pending', 'confirmed')),
    transaction_id BYTEA,
    confirmed_by   BYTEA,
    created_at     BIGINT NOT NULL,
    confirmed_at   BIGINT
);
CREATE INDEX deposit_customer ON deposit (customer_id, id);

-- A pain.001 file and what it pays.
CREATE TABLE bank_file (
    id         BYTEA PRIMARY KEY,
    content    TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE payout (
    id             BYTEA PRIMARY KEY,
    owner_id       BYTEA NOT NULL,
    asset          TEXT COLLATE "C" NOT NULL,
    -- Whole cents, in micro-units.
    amount         BIGINT NOT NULL CHECK (amount > 0 AND amount % 10000 = 0),
    state          TEXT COLLATE "C" NOT NULL CHECK (state IN ('requested', 'approved')),
    hold_id        BYTEA NOT NULL,
    transaction_id BYTEA,
    bank_file_id   BYTEA,
    approved_by    BYTEA,
    requested_at   BIGINT NOT NULL,
    approved_at    BIGINT
);
CREATE INDEX payout_owner ON payout (owner_id, id);

-- Answers already given, in the transaction of the work they answer.
CREATE TABLE idempotency (
    party_id    BYTEA NOT NULL,
    key         TEXT COLLATE "C" NOT NULL,
    fingerprint BYTEA NOT NULL,
    status      INTEGER NOT NULL,
    body        TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (party_id, key)
);

-- Mail to send. The address is looked up in party_profile at the time of sending.
CREATE TABLE outbox (
    id         BYTEA PRIMARY KEY,
    party_id   BYTEA NOT NULL,
    template   TEXT COLLATE "C" NOT NULL,
    payload    TEXT NOT NULL,
    state      TEXT COLLATE "C" NOT NULL CHECK (state IN ('pending', 'sent', 'dead')),
    attempts   INTEGER NOT NULL,
    next_at    BIGINT NOT NULL,
    last_error TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (next_at) WHERE state = 'pending';
