-- Markets, cars, jobs and what the market made of them.

CREATE TABLE market (
    id           TEXT COLLATE "C" PRIMARY KEY,
    asset        TEXT COLLATE "C" NOT NULL REFERENCES asset (code),
    -- The platform's fee, parts per million of what the customer pays.
    fee_ppm      INTEGER NOT NULL CHECK (fee_ppm BETWEEN 0 AND 500000),
    -- Bonus on earnings taken in credits, parts per million, paid by the platform.
    bonus_ppm    INTEGER NOT NULL CHECK (bonus_ppm BETWEEN 0 AND 1000000),
    -- Step of reserve prices, micro-units per lane-hour.
    grid         BIGINT NOT NULL CHECK (grid > 0),
    -- The leader: which process clears, until when, and the number of its reign.
    leader       BYTEA,
    leader_until BIGINT NOT NULL,
    fence        BIGINT NOT NULL,
    -- Number of the last tick.
    tick         BIGINT NOT NULL
);

CREATE TABLE region (
    id           TEXT COLLATE "C" PRIMARY KEY,
    market_id    TEXT COLLATE "C" NOT NULL REFERENCES market (id),
    jurisdiction TEXT COLLATE "C" NOT NULL
);

CREATE TABLE hardware_class (
    id        TEXT COLLATE "C" PRIMARY KEY,
    tops      INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    watts     INTEGER NOT NULL,
    -- Speed against hw4, parts per million.
    speed_ppm INTEGER NOT NULL CHECK (speed_ppm > 0),
    source    TEXT NOT NULL
);

CREATE TABLE vehicle (
    id           BYTEA PRIMARY KEY,
    owner_id     BYTEA NOT NULL,
    region_id    TEXT COLLATE "C" NOT NULL REFERENCES region (id),
    class_id     TEXT COLLATE "C" NOT NULL REFERENCES hardware_class (id),
    -- Least the owner takes, net of the fee, micro-units per lane-hour.
    reserve      BIGINT NOT NULL CHECK (reserve >= 0),
    -- No work below this state of charge unless plugged in, percent.
    soc_floor    INTEGER NOT NULL CHECK (soc_floor BETWEEN 0 AND 100),
    plugged_only BOOLEAN NOT NULL,
    pay_in       TEXT COLLATE "C" NOT NULL CHECK (pay_in IN ('cash', 'credits')),
    -- SHA-256 of the car's token.
    token_hash   BYTEA NOT NULL UNIQUE,
    active       BOOLEAN NOT NULL,
    created_at   BIGINT NOT NULL
);
CREATE INDEX vehicle_owner ON vehicle (owner_id, id);

CREATE TABLE consent (
    id           BYTEA PRIMARY KEY,
    vehicle_id   BYTEA NOT NULL,
    purpose      TEXT COLLATE "C" NOT NULL CHECK (purpose IN ('inference', 'simulation', 'video')),
    data_class   TEXT COLLATE "C" NOT NULL CHECK (data_class IN ('synthetic', 'non_personal')),
    text_version TEXT COLLATE "C" NOT NULL,
    given_at     BIGINT NOT NULL,
    withdrawn_at BIGINT
);
CREATE UNIQUE INDEX consent_live ON consent (vehicle_id, purpose, data_class) WHERE withdrawn_at IS NULL;

-- The last word of each car. Rewritten when it changes, else at most a few times a timeout.
CREATE TABLE presence (
    vehicle_id BYTEA PRIMARY KEY,
    seen_at    BIGINT NOT NULL,
    eligible   BOOLEAN NOT NULL,
    -- Why not, empty if eligible.
    reason     TEXT COLLATE "C" NOT NULL,
    telemetry  TEXT NOT NULL
) WITH (fillfactor = 75);

CREATE TABLE job (
    id              BYTEA PRIMARY KEY,
    customer_id     BYTEA NOT NULL,
    market_id       TEXT COLLATE "C" NOT NULL,
    name            TEXT NOT NULL,
    runtime         TEXT COLLATE "C" NOT NULL CHECK (runtime IN ('wasm', 'onnx')),
    program         TEXT COLLATE "C" NOT NULL,
    purpose         TEXT COLLATE "C" NOT NULL,
    data_class      TEXT COLLATE "C" NOT NULL,
    state           TEXT COLLATE "C" NOT NULL CHECK (state IN ('active', 'completed', 'failed', 'cancelled')),
    hold_id         BYTEA NOT NULL,
    tasks           INTEGER NOT NULL CHECK (tasks > 0),
    tasks_completed INTEGER NOT NULL,
    tasks_failed    INTEGER NOT NULL,
    created_at      BIGINT NOT NULL,
    ended_at        BIGINT,
    CHECK (tasks_completed + tasks_failed <= tasks)
);
CREATE INDEX job_customer ON job (customer_id, id);
CREATE INDEX job_active ON job (market_id) WHERE state = 'active';

CREATE TABLE bid (
    id        BYTEA PRIMARY KEY,
    job_id    BYTEA NOT NULL UNIQUE,
    -- Most the customer pays, micro-units per hw4-equivalent hour.
    price     BIGINT NOT NULL CHECK (price > 0),
    lanes     INTEGER NOT NULL CHECK (lanes > 0),
    budget    BIGINT NOT NULL CHECK (budget > 0),
    -- Comma-separated ids; empty: any of the market.
    regions   TEXT COLLATE "C" NOT NULL,
    classes   TEXT COLLATE "C" NOT NULL,
    deadline  BIGINT,
    placed_at BIGINT NOT NULL
);

CREATE TABLE task (
    id               BYTEA PRIMARY KEY,
    job_id           BYTEA NOT NULL,
    number           INTEGER NOT NULL,
    input            TEXT COLLATE "C" NOT NULL,
    state            TEXT COLLATE "C" NOT NULL CHECK (state IN ('queued', 'leased', 'completed', 'failed', 'cancelled')),
    -- Attempt whose checkpoint the next one resumes from, and that checkpoint.
    resume_attempt   BYTEA,
    checkpoint       TEXT COLLATE "C",
    output           TEXT COLLATE "C",
    car_failures     INTEGER NOT NULL,
    program_failures INTEGER NOT NULL,
    last_error       TEXT,
    UNIQUE (job_id, number)
);
CREATE INDEX task_queued ON task (job_id, number) WHERE state = 'queued';

-- A clearing with all that a replay needs: the book that went in and what came out.
CREATE TABLE clearing (
    id        BYTEA PRIMARY KEY,
    market_id TEXT COLLATE "C" NOT NULL,
    tick      BIGINT NOT NULL,
    fence     BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    book      TEXT NOT NULL,
    result    TEXT NOT NULL,
    -- Fills that found no lawful car.
    unplaced  INTEGER NOT NULL,
    UNIQUE (market_id, tick)
);

CREATE TABLE cell_price (
    market_id   TEXT COLLATE "C" NOT NULL,
    region_id   TEXT COLLATE "C" NOT NULL,
    class_id    TEXT COLLATE "C" NOT NULL,
    -- Eligibility group: bit set of what the owners allow.
    permits     INTEGER NOT NULL,
    tick        BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    -- Micro-units per lane-hour.
    price       BIGINT NOT NULL,
    lanes       BIGINT NOT NULL,
    PRIMARY KEY (market_id, region_id, class_id, permits, tick)
);

CREATE TABLE lease (
    id             BYTEA PRIMARY KEY,
    market_id      TEXT COLLATE "C" NOT NULL,
    clearing_id    BYTEA NOT NULL,
    job_id         BYTEA NOT NULL,
    vehicle_id     BYTEA NOT NULL,
    -- Clearing price, micro-units per lane-hour, locked for the term.
    price          BIGINT NOT NULL CHECK (price >= 0),
    fee_ppm        INTEGER NOT NULL,
    bonus_ppm      INTEGER NOT NULL,
    term_s         INTEGER NOT NULL CHECK (term_s > 0),
    -- Most it can still cost; what the job's hold keeps back for it until it is settled.
    earmark        BIGINT NOT NULL CHECK (earmark >= 0),
    state          TEXT COLLATE "C" NOT NULL CHECK (state IN ('offered', 'running', 'ended', 'settled')),
    -- When the car was last heard of in this lease.
    seen_at        BIGINT NOT NULL,
    offered_at     BIGINT NOT NULL,
    started_at     BIGINT,
    ended_at       BIGINT,
    end_reason     TEXT COLLATE "C",
    settled_at     BIGINT,
    -- The settlement: whole seconds billed, what the customer paid, its transaction (none if 0).
    billed_s       INTEGER,
    amount         BIGINT,
    transaction_id BYTEA
);
CREATE UNIQUE INDEX lease_live ON lease (vehicle_id) WHERE state IN ('offered', 'running');
CREATE INDEX lease_unsettled ON lease (market_id, state) WHERE state <> 'settled';
CREATE INDEX lease_job ON lease (job_id);
CREATE INDEX lease_vehicle ON lease (vehicle_id, id);

CREATE TABLE attempt (
    id          BYTEA PRIMARY KEY,
    lease_id    BYTEA NOT NULL,
    task_id     BYTEA NOT NULL,
    state       TEXT COLLATE "C" NOT NULL CHECK (state IN ('running', 'completed', 'checkpointed', 'vacated', 'failed_program', 'failed_car', 'cancelled', 'lost')),
    -- Is it paid: pending until the fate of its checkpoint is known.
    verdict     TEXT COLLATE "C" NOT NULL CHECK (verdict IN ('pending', 'paid', 'unpaid')),
    -- The attempt whose checkpoint this one resumed from.
    resumed     BYTEA,
    reason      TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    ended_at    BIGINT,
    metered_us  BIGINT NOT NULL CHECK (metered_us >= 0),
    -- Least of metered, observed and what was left of the term.
    billable_us BIGINT NOT NULL CHECK (billable_us >= 0)
);
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
