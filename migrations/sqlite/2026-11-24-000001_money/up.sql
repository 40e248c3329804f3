-- The book. Amounts are micro-units (scale 6) of the account's asset, times microseconds UTC.
-- An entry's amount is positive for a debit and negative for a credit, so a transaction sums to 0.

CREATE TABLE asset (
    code           TEXT PRIMARY KEY,
    scale          INTEGER NOT NULL CHECK (scale BETWEEN 0 AND 6),
    -- For credits: one unit is worth redemption_ppm / 1e6 units of redemption_asset.
    redemption_asset TEXT REFERENCES asset (code),
    redemption_ppm INTEGER CHECK (redemption_ppm > 0)
) STRICT;

CREATE TABLE account (
    id           BLOB PRIMARY KEY,
    code         TEXT NOT NULL,
    -- The platform's own accounts carry the nil id (16 zero bytes).
    party_id     BLOB NOT NULL,
    asset        TEXT NOT NULL REFERENCES asset (code),
    side         TEXT NOT NULL CHECK (side IN ('debit', 'credit')),
    may_overdraw INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (code, party_id, asset)
) STRICT;

-- Apart from account, so that the hot row carries no foreign key and no secondary index.
CREATE TABLE balance (
    account_id BLOB PRIMARY KEY,
    -- Debits minus credits.
    posted     INTEGER NOT NULL,
    -- What open holds still keep back, never negative.
    held       INTEGER NOT NULL CHECK (held >= 0),
    -- Number of the account's last entry.
    entries    INTEGER NOT NULL CHECK (entries >= 0)
) STRICT;

CREATE TABLE ledger_transaction (
    id           BLOB PRIMARY KEY,
    -- Idempotency key of the command that made it.
    key          TEXT NOT NULL UNIQUE,
    fingerprint  BLOB NOT NULL,
    kind         TEXT NOT NULL,
    -- TypeID of what it is about: a lease, a deposit, a payout.
    subject      TEXT NOT NULL,
    posted_at    INTEGER NOT NULL,
    effective_at INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_transaction_subject ON ledger_transaction (subject);

CREATE TABLE entry (
    transaction_id BLOB NOT NULL,
    line           INTEGER NOT NULL,
    account_id     BLOB NOT NULL,
    amount         INTEGER NOT NULL CHECK (amount <> 0),
    -- Position in the account's history, from 1, and the balance after it (debits minus credits).
    number         INTEGER NOT NULL CHECK (number > 0),
    balance_after  INTEGER NOT NULL,
    PRIMARY KEY (transaction_id, line)
) STRICT;
CREATE UNIQUE INDEX entry_account ON entry (account_id, number);

CREATE TABLE hold (
    id          BLOB PRIMARY KEY,
    key         TEXT NOT NULL UNIQUE,
    fingerprint BLOB NOT NULL,
    account_id  BLOB NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount > 0),
    captured    INTEGER NOT NULL CHECK (captured >= 0),
    released    INTEGER NOT NULL CHECK (released >= 0),
    open        INTEGER NOT NULL,
    subject     TEXT NOT NULL,
    expires_at  INTEGER,
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    CHECK (captured + released <= amount),
    CHECK (open OR captured + released = amount)
) STRICT;
CREATE INDEX hold_open ON hold (account_id) WHERE open;

-- History of a hold, append-only: what check folds.
CREATE TABLE hold_event (
    hold_id        BLOB NOT NULL,
    number         INTEGER NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('placed', 'captured', 'released', 'expired')),
    amount         INTEGER NOT NULL CHECK (amount > 0),
    transaction_id BLOB,
    at             INTEGER NOT NULL,
    PRIMARY KEY (hold_id, number)
) STRICT;

INSERT INTO asset (code, scale, redemption_asset, redemption_ppm) VALUES
    ('USD', 6, NULL, NULL),
    ('EUR', 6, NULL, NULL),
    ('CREDIT', 6, 'USD', 1000000);
