-- Results are compared before they are paid.

-- What the customer asks of results: none, spot_check:PPM, quorum:N.
ALTER TABLE job ADD COLUMN assurance TEXT NOT NULL DEFAULT 'none';

-- Results that must name the same output; 0 until a car has named the first.
ALTER TABLE task ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0;
-- Results that named the output that was accepted.
ALTER TABLE task ADD COLUMN agreed INTEGER NOT NULL DEFAULT 0;
-- Hardware class of the first result: the others are of the same.
ALTER TABLE task ADD COLUMN class_id TEXT;
-- When the wait for a further result is over; none: it does not wait for one.
ALTER TABLE task ADD COLUMN verify_by BIGINT;
CREATE INDEX task_verify ON task (verify_by) WHERE verify_by IS NOT NULL;

-- Results that cars named, of jobs with assurance.
CREATE TABLE claim (
    attempt_id BYTEA PRIMARY KEY,
    task_id    BYTEA NOT NULL,
    vehicle_id BYTEA NOT NULL,
    owner_id   BYTEA NOT NULL,
    class_id   TEXT NOT NULL,
    -- SHA-256 of what the car stored.
    output     TEXT NOT NULL,
    -- pending; right or dissent once a result was accepted; undecided if none could be.
    state      TEXT NOT NULL CHECK (state IN ('pending', 'right', 'dissent', 'undecided')),
    -- The output that was accepted, and how many results named it.
    expected   TEXT,
    agreeing   INTEGER,
    claimed_at BIGINT NOT NULL,
    decided_at BIGINT
);
CREATE INDEX claim_task ON claim (task_id, attempt_id);
CREATE INDEX claim_dissent ON claim (attempt_id) WHERE state = 'dissent';

-- What a car's past says of it. Counts are thousandths of events, for they fade.
CREATE TABLE reputation (
    vehicle_id    BYTEA PRIMARY KEY,
    -- "right" is a word of SQL's.
    right_count   BIGINT NOT NULL,
    dissent       BIGINT NOT NULL,
    failed        BIGINT NOT NULL,
    lost          BIGINT NOT NULL,
    -- Bits of the last attempts: set for one that failed by the car.
    recent        INTEGER NOT NULL,
    clean         INTEGER NOT NULL,
    rests         INTEGER NOT NULL,
    -- No work until then, and why.
    resting_until BIGINT,
    rest_reason   TEXT,
    changed_at    BIGINT NOT NULL
);
CREATE INDEX reputation_resting ON reputation (resting_until) WHERE resting_until IS NOT NULL;
