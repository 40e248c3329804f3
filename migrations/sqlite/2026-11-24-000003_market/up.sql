-- Markets, cars, jobs and what the market made of them.

CREATE TABLE market (
    id           TEXT PRIMARY KEY,
    asset        TEXT NOT NULL REFERENCES asset (code),
    -- The platform's fee, parts per million of what the customer pays.
    fee_ppm      INTEGER NOT NULL CHECK (fee_ppm BETWEEN 0 AND 500000),
    -- Bonus on earnings taken in credits, parts per million, paid by the platform.
    bonus_ppm    INTEGER NOT NULL CHECK (bonus_ppm BETWEEN 0 AND 1000000),
    -- Step of reserve prices, micro-units per lane-hour.
    grid         INTEGER NOT NULL CHECK (grid > 0),
    -- The leader: which process clears, until when, and the number of its reign.
    leader       BLOB,
    leader_until INTEGER NOT NULL,
    fence        INTEGER NOT NULL,
    -- Number of the last tick.
    tick         INTEGER NOT NULL
) STRICT;

CREATE TABLE region (
    id           TEXT PRIMARY KEY,
    market_id    TEXT NOT NULL REFERENCES market (id),
    jurisdiction TEXT NOT NULL
) STRICT;

CREATE TABLE hardware_class (
    id        TEXT PRIMARY KEY,
    tops      INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    watts     INTEGER NOT NULL,
    -- Speed against hw4, parts per million.
    speed_ppm INTEGER NOT NULL CHECK (speed_ppm > 0),
    source    TEXT NOT NULL
) STRICT;

CREATE TABLE vehicle (
    id           BLOB PRIMARY KEY,
    owner_id     BLOB NOT NULL,
    region_id    TEXT NOT NULL REFERENCES region (id),
    class_id     TEXT NOT NULL REFERENCES hardware_class (id),
    -- Least the owner takes, net of the fee, micro-units per lane-hour.
    reserve      INTEGER NOT NULL CHECK (reserve >= 0),
    -- No work below this state of charge unless plugged in, percent.
    soc_floor    INTEGER NOT NULL CHECK (soc_floor BETWEEN 0 AND 100),
    plugged_only INTEGER NOT NULL,
    pay_in       TEXT NOT NULL CHECK (pay_in IN ('cash', 'credits')),
    -- SHA-256 of the car's token.
    token_hash   BLOB NOT NULL UNIQUE,
    active       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX vehicle_owner ON vehicle (owner_id, id);

CREATE TABLE consent (
    id           BLOB PRIMARY KEY,
    vehicle_id   BLOB NOT NULL,
    purpose      TEXT NOT NULL CHECK (purpose IN ('inference', 'simulation', 'video')),
    data_class   TEXT NOT NULL CHECK (data_class IN ('synthetic', 'non_personal')),
    text_version TEXT NOT NULL,
    given_at     INTEGER NOT NULL,
    withdrawn_at INTEGER
) STRICT;
CREATE UNIQUE INDEX consent_live ON consent (vehicle_id, purpose, data_class) WHERE withdrawn_at IS NULL;

-- The last word of each car. Rewritten when it changes, else at most a few times a timeout.
CREATE TABLE presence (
    vehicle_id BLOB PRIMARY KEY,
    seen_at    INTEGER NOT NULL,
    eligible   INTEGER NOT NULL,
    -- Why not, empty if eligible.
    reason     TEXT NOT NULL,
    telemetry  TEXT NOT NULL
) STRICT;

CREATE TABLE job (
    id              BLOB PRIMARY KEY,
    customer_id     BLOB NOT NULL,
    market_id       TEXT NOT NULL,
    name            TEXT NOT NULL,
    runtime         TEXT NOT NULL CHECK (runtime IN ('wasm', 'onnx')),
    program         TEXT NOT NULL,
    purpose         TEXT NOT NULL,
    data_class      TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('active', 'completed', 'failed', 'cancelled')),
    hold_id         BLOB NOT NULL,
    tasks           INTEGER NOT NULL CHECK (tasks > 0),
    tasks_completed INTEGER NOT NULL,
    tasks_failed    INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    ended_at        INTEGER,
    CHECK (tasks_completed + tasks_failed <= tasks)
) STRICT;
CREATE INDEX job_customer ON job (customer_id, id);
CREATE INDEX job_active ON job (market_id) WHERE state = 'active';

CREATE TABLE bid (
    id        BLOB PRIMARY KEY,
    job_id    BLOB NOT NULL UNIQUE,
    -- Most the customer pays, micro-units per hw4-equivalent hour.
    price     INTEGER NOT NULL CHECK (price > 0),
    lanes     INTEGER NOT NULL CHECK (lanes > 0),
    budget    INTEGER NOT NULL CHECK (budget > 0),
    -- Comma-separated ids; empty: any of the market.
    regions   TEXT NOT NULL,
    classes   TEXT NOT NULL,
    deadline  INTEGER,
    placed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE task (
    id               BLOB PRIMARY KEY,
    job_id           BLOB NOT NULL,
    number           INTEGER NOT NULL,
    input            TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('queued', 'leased', 'completed', 'failed', 'cancelled')),
    -- Attempt whose checkpoint the next one resumes from, and that checkpoint.
    resume_attempt   BLOB,
    checkpoint       TEXT,
    output           TEXT,
    car_failures     INTEGER NOT NULL,
    program_failures INTEGER NOT NULL,
    last_error       TEXT,
    UNIQUE (job_id, number)
) STRICT;
CREATE INDEX task_queued ON task (job_id, number) WHERE state = 'queued';

-- A clearing with all that a replay needs: the book that went in and what came out.
CREATE TABLE clearing (
    id        BLOB PRIMARY KEY,
    market_id TEXT NOT NULL,
    tick      INTEGER NOT NULL,
    fence     INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    book      TEXT NOT NULL,
    result    TEXT NOT NULL,
    -- Fills that found no lawful car.
    unplaced  INTEGER NOT NULL,
    UNIQUE (market_id, tick)
) STRICT;

CREATE TABLE cell_price (
    market_id   TEXT NOT NULL,
    region_id   TEXT NOT NULL,
    class_id    TEXT NOT NULL,
    -- Eligibility group: bit set of what the owners allow.
    permits     INTEGER NOT NULL,
    tick        INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    -- Micro-units per lane-hour.
    price       INTEGER NOT NULL,
    lanes       INTEGER NOT NULL,
    PRIMARY KEY (market_id, region_id, class_id, permits, tick)
) STRICT;

CREATE TABLE lease (
    id             BLOB PRIMARY KEY,
    market_id      TEXT NOT NULL,
    clearing_id    BLOB NOT NULL,
    job_id         BLOB NOT NULL,
    vehicle_id     BLOB NOT NULL,
    -- Clearing price, micro-units per lane-hour, locked for the term.
    price          INTEGER NOT NULL CHECK (price >= 0),
    fee_ppm        INTEGER NOT NULL,
    bonus_ppm      INTEGER NOT NULL,
    term_s         INTEGER NOT NULL CHECK (term_s > 0),
    -- Most it can still cost; what the job's hold keeps back for it until it is settled.
    earmark        INTEGER NOT NULL CHECK (earmark >= 0),
    state          TEXT NOT NULL CHECK (state IN ('offered', 'running', 'ended', 'settled')),
    -- When the car was last heard of in this lease.
    seen_at        INTEGER NOT NULL,
    offered_at     INTEGER NOT NULL,
    started_at     INTEGER,
    ended_at       INTEGER,
    end_reason     TEXT,
    settled_at     INTEGER,
    -- The settlement: whole seconds billed, what the customer paid, its transaction (none if 0).
    billed_s       INTEGER,
    amount         INTEGER,
    transaction_id BLOB
) STRICT;
CREATE UNIQUE INDEX lease_live ON lease (vehicle_id) WHERE state IN ('offered', 'running');
CREATE INDEX lease_unsettled ON lease (market_id, state) WHERE state <> 'settled';
CREATE INDEX lease_job ON lease (job_id);
CREATE INDEX lease_vehicle ON lease (vehicle_id, id);

CREATE TABLE attempt (
    id          BLOB PRIMARY KEY,
    lease_id    BLOB NOT NULL,
    task_id     BLOB NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('running', 'completed', 'checkpointed', 'vacated', 'failed_program', 'failed_car', 'cancelled', 'lost')),
    -- Is it paid: pending until the fate of its checkpoint is known.
    verdict     TEXT NOT NULL CHECK (verdict IN ('pending', 'paid', 'unpaid')),
    -- The attempt whose checkpoint this one resumed from.
    resumed     BLOB,
    reason      TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    metered_us  INTEGER NOT NULL CHECK (metered_us >= 0),
    -- Least of metered, observed and what was left of the term.
    billable_us INTEGER NOT NULL CHECK (billable_us >= 0)
) STRICT;
CREATE INDEX attempt_lease ON attempt (lease_id, id);
CREATE UNIQUE INDEX attempt_running ON attempt (task_id) WHERE state = 'running';

INSERT INTO market (id, asset, fee_ppm, bonus_ppm, grid, leader_until, fence, tick) VALUES
    ('us', 'USD', 150000, 100000, 1000, 0, 0, 0);
INSERT INTO region (id, market_id, jurisdiction) VALUES
    ('us-ca', 'us', 'US-CA'),
    ('us-tx', 'us', 'US-TX');
-- Speeds are placeholders scaled from TOPS and tempered: a calibration task measures them later.
INSERT INTO hardware_class (id, tops, memory_mb, watts, speed_ppm, source) VALUES
    ('hw3', 144, 8192, 72, 500000, 'Tesla Autonomy Day 2019: 144 TOPS, 72 W; speed factor assumed'),
    ('hw4', 300, 16384, 100, 1000000, 'press, sources differ from 100 to 500 TOPS; reference class'),
    ('ai5', 2000, 65536, 200, 4000000, 'press: 2000-2500 TOPS, 150-250 W; speed factor assumed');
