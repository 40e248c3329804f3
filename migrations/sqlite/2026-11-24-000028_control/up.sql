-- Months that are closed for everything but what finance puts right (softly), and acts that take two.

CREATE TABLE period_new (
    month INTEGER PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('soft', 'closed', 'reopening', 'open'))
) STRICT, WITHOUT ROWID;
INSERT INTO period_new SELECT month, state FROM period;
DROP TABLE period;
ALTER TABLE period_new RENAME TO period;
CREATE TABLE period_event_new (
    id     BLOB PRIMARY KEY,
    month  INTEGER NOT NULL,
    kind   TEXT NOT NULL CHECK (kind IN ('soft_closed', 'closed', 'reopen_asked', 'reopened')),
    -- Who did it: a party's id.
    by_id  BLOB NOT NULL,
    reason TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO period_event_new SELECT id, month, kind, by_id, reason, at FROM period_event;
DROP TABLE period_event;
ALTER TABLE period_event_new RENAME TO period_event;

-- What one person proposes and another carries out or turns down: manual journals, large refunds,
-- rates and limits. A row is never changed once it is decided.
CREATE TABLE approval (
    id          BLOB PRIMARY KEY,
    kind        TEXT NOT NULL CHECK (kind IN ('journal', 'refund', 'fee', 'limit')),
    -- The proposal, JSON.
    body        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('proposed', 'executed', 'rejected')),
    proposed_by BLOB NOT NULL,
    proposed_at INTEGER NOT NULL,
    decided_by  BLOB,
    decided_at  INTEGER,
    -- Why it was turned down.
    rejection   TEXT,
    -- What was made of it, by its id or name.
    result      TEXT,
    CHECK ((state = 'proposed') = (decided_by IS NULL)),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (decided_by <> proposed_by OR state = 'rejected'),
    CHECK ((state = 'executed') = (result IS NOT NULL))
) STRICT;
CREATE INDEX approval_proposed ON approval (id) WHERE state = 'proposed';

-- Up to which amount one person may do something alone, from a moment on; micro-units. Of a currency
-- that has no row everything needs two.
CREATE TABLE finance_limit (
    name        TEXT NOT NULL CHECK (name IN ('refund')),
    asset       TEXT NOT NULL REFERENCES asset (code),
    from_at     INTEGER NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount >= 0),
    -- None: the installation.
    approval_id BLOB,
    PRIMARY KEY (name, asset, from_at)
) STRICT;
INSERT INTO finance_limit (name, asset, from_at, amount) VALUES
    ('refund', 'USD', 0, 1000000000),
    ('refund', 'EUR', 0, 1000000000);
