-- Months that are closed for everything but what finance puts right (softly), and acts that take two.

ALTER TABLE period DROP CONSTRAINT period_state_check;
ALTER TABLE period ADD CONSTRAINT period_state_check
    CHECK (state IN ('soft', 'closed', 'reopening', 'open'));
ALTER TABLE period_event DROP CONSTRAINT period_event_kind_check;
ALTER TABLE period_event ADD CONSTRAINT period_event_kind_check
    CHECK (kind IN ('soft_closed', 'closed', 'reopen_asked', 'reopened'));

-- What one person proposes and another carries out or turns down: manual journals, large refunds,
-- rates and limits. A row is never changed once it is decided.
CREATE TABLE approval (
    id          BYTEA PRIMARY KEY,
    kind        TEXT COLLATE "C" NOT NULL CHECK (kind IN ('journal', 'refund', 'fee', 'limit')),
    -- The proposal, JSON.
    body        TEXT COLLATE "C" NOT NULL,
    reason      TEXT COLLATE "C" NOT NULL,
    state       TEXT COLLATE "C" NOT NULL CHECK (state IN ('proposed', 'executed', 'rejected')),
    proposed_by BYTEA NOT NULL,
    proposed_at BIGINT NOT NULL,
    decided_by  BYTEA,
    decided_at  BIGINT,
    -- Why it was turned down.
    rejection   TEXT COLLATE "C",
    -- What was made of it, by its id or name.
    result      TEXT COLLATE "C",
    CHECK ((state = 'proposed') = (decided_by IS NULL)),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (decided_by <> proposed_by OR state = 'rejected'),
    CHECK ((state = 'executed') = (result IS NOT NULL))
);
CREATE INDEX approval_proposed ON approval (id) WHERE state = 'proposed';

-- Up to which amount one person may do something alone, from a moment on; micro-units. Of a currency
-- that has no row everything needs two.
CREATE TABLE finance_limit (
    name        TEXT COLLATE "C" NOT NULL CHECK (name IN ('refund')),
    asset       TEXT COLLATE "C" NOT NULL REFERENCES asset (code),
    from_at     BIGINT NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount >= 0),
    -- None: the installation.
    approval_id BYTEA,
    PRIMARY KEY (name, asset, from_at)
);
INSERT INTO finance_limit (name, asset, from_at, amount) VALUES
    ('refund', 'USD', 0, 1000000000),
    ('refund', 'EUR', 0, 1000000000);
