-- The book. Amounts are micro-units (scale 6) of the account's asset, times microseconds UTC.
-- An entry's amount is positive for a debit and negative for a credit, so a transaction sums to 0.

CREATE TABLE asset (
    code           TEXT COLLATE "C" PRIMARY KEY,
    scale          INTEGER NOT NULL CHECK (scale BETWEEN 0 AND 6),
    -- For credits: one unit is worth redemption_ppm / 1e6 units of redemption_asset.
    redemption_asset TEXT COLLATE "C" REFERENCES asset (code),
    redemption_ppm BIGINT CHECK (redemption_ppm > 0)
);

CREATE TABLE account (
    id           BYTEA PRIMARY KEY,
    code         TEXT COLLATE "C" NOT NULL,
    -- The platform's own accounts carry the nil id (16 zero bytes).
    party_id     BYTEA NOT NULL,
    asset        TEXT COLLATE "C" NOT NULL REFERENCES asset (code),
    side         TEXT COLLATE "C" NOT NULL CHECK (side IN ('debit', 'credit')),
    may_overdraw BOOLEAN NOT NULL,
    created_at   BIGINT NOT NULL,
    UNIQUE (code, party_id, asset)
);

-- Apart from account, so that the hot row carries no foreign key and no secondary index.
CREATE TABLE balance (
    account_id BYTEA PRIMARY KEY,
    -- Debits minus credits.
    posted     BIGINT NOT NULL,
    -- What open holds still keep back, never negative.
    held       BIGINT NOT NULL CHECK (held >= 0),
    -- Number of the account's last entry.
    entries    BIGINT NOT NULL CHECK (entries >= 0)
) WITH (fillfactor = 75);

CREATE TABLE ledger_transaction (
    id           BYTEA PRIMARY KEY,
    -- Idempotency key of the command that made it.
    key          TEXT COLLATE "C" NOT NULL UNIQUE,
    fingerprint  BYTEA NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL,
    -- TypeID of what it is about: a lease, a deposit, a payout.
    subject      TEXT COLLATE "C" NOT NULL,
    posted_at    BIGINT NOT NULL,
    effective_at BIGINT NOT NULL
);
CREATE INDEX ledger_transaction_subject ON ledger_transaction (subject);

CREATE TABLE entry (
    transaction_id BYTEA NOT NULL,
    line           INTEGER NOT NULL,
    account_id     BYTEA NOT NULL,
    amount         BIGINT NOT NULL CHECK (amount <> 0),
    -- Position in the account's history, from 1, and the balance after it (debits minus credits).
    number         BIGINT NOT NULL CHECK (number > 0),
    balance_after  BIGINT NOT NULL,
    PRIMARY KEY (transaction_id, line)
);
CREATE UNIQUE INDEX entry_account ON entry (account_id, number);

CREATE TABLE hold (
    id          BYTEA PRIMARY KEY,
    key         TEXT COLLATE "C" NOT NULL UNIQUE,
    fingerprint BYTEA NOT NULL,
    account_id  BYTEA NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount > 0),
    captured    BIGINT NOT NULL CHECK (captured >= 0),
    released    BIGINT NOT NULL CHECK (released >= 0),
    open        BOOLEAN NOT NULL,
    subject     TEXT COLLATE "C" NOT NULL,
    expires_at  BIGINT,
    created_at  BIGINT NOT NULL,
    ended_at    BIGINT,
    CHECK (captured + released <= amount),
    CHECK (open OR captured + released = amount)
);
CREATE INDEX hold_open ON hold (account_id) WHERE open;

-- History of a hold, append-only: what check folds.
CREATE TABLE hold_event (
    hold_id        BYTEA NOT NULL,
    number         INTEGER NOT NULL,
    kind           TEXT COLLATE "C" NOT NULL CHECK (kind IN ('placed', 'captured', 'released', 'expired')),
    amount         BIGINT NOT NULL CHECK (amount > 0),
    transaction_id BYTEA,
    at             BIGINT NOT NULL,
    PRIMARY KEY (hold_id, number)
);

INSERT INTO asset (code, scale, redemption_asset, redemption_ppm) VALUES
    ('USD', 6, NULL, NULL),
    ('EUR', 6, NULL, NULL),
    ('CREDIT', 6, 'USD', 1000000);
