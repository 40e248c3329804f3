-- The market at full strength: what bids and cars may say, clearings in a compact form, what
-- explains them, and the operator's hand: halts and the fee schedule.

-- Lanes that the job must have at once to take any: below it a tick gives it none.
ALTER TABLE bid ADD COLUMN min_fill INTEGER NOT NULL DEFAULT 1 CHECK (min_fill > 0);
-- Whether it takes cars that may leave before a full term.
ALTER TABLE bid ADD COLUMN short_leases BOOLEAN NOT NULL DEFAULT TRUE;
-- When the bid is in force no more; none: until the job ends.
ALTER TABLE bid ADD COLUMN expires_at BIGINT;

-- When the owner will want the car; none: not known.
ALTER TABLE vehicle ADD COLUMN available_until BIGINT;

-- All that a replay needs of a tick, under its SHA-256: ticks that are alike share one.
CREATE TABLE clearing_record (
    digest  BYTEA PRIMARY KEY,
    -- The first byte is the version.
    content BYTEA NOT NULL
);

ALTER TABLE clearing DROP COLUMN book;
ALTER TABLE clearing DROP COLUMN result;
-- None for clearings from before there were records: they cannot be replayed.
ALTER TABLE clearing ADD COLUMN record BYTEA;
-- The tick in figures: bids in the book, lanes wanted, offered and sold.
ALTER TABLE clearing ADD COLUMN bids BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN wanted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN offered BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN sold BIGINT NOT NULL DEFAULT 0;
-- Micro-units per hour: what lanes are worth less their reserves, the most that was possible, what
-- buyers pay, what of it is above the reserves, and how far prices could have lain apart.
ALTER TABLE clearing ADD COLUMN welfare BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN bound BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN payments BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN owner_surplus BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN spread BIGINT NOT NULL DEFAULT 0;

-- Lanes sold that found no lawful car.
CREATE TABLE unplaced_fill (
    clearing_id BYTEA NOT NULL,
    line        INTEGER NOT NULL,
    bid_id      BYTEA NOT NULL,
    region_id   TEXT COLLATE "C" NOT NULL,
    class_id    TEXT COLLATE "C" NOT NULL,
    lanes       INTEGER NOT NULL CHECK (lanes > 0),
    reason      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (clearing_id, line)
);

-- A cell has one more mark: whether its cars surely stay for a full term. And a price has a range.
CREATE TABLE new_cell_price (
    market_id   TEXT COLLATE "C" NOT NULL,
    region_id   TEXT COLLATE "C" NOT NULL,
    class_id    TEXT COLLATE "C" NOT NULL,
    -- Eligibility group: bit set of what the owners allow.
    permits     INTEGER NOT NULL,
    -- Availability window.
    stay        TEXT COLLATE "C" NOT NULL CHECK (stay IN ('term', 'short')),
    tick        BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    -- Micro-units per lane-hour; the least and the greatest that would have supported the fills.
    price       BIGINT NOT NULL,
    low         BIGINT NOT NULL,
    high        BIGINT NOT NULL,
    -- Lanes sold, and offered.
    lanes       BIGINT NOT NULL,
    offered     BIGINT NOT NULL,
    PRIMARY KEY (market_id, region_id, class_id, permits, stay, tick)
);
INSERT INTO new_cell_price
    SELECT market_id, region_id, class_id, permits, 'term', tick, at, price, price, price, lanes, lanes
    FROM cell_price;
DROP TABLE cell_price;
ALTER TABLE new_cell_price RENAME TO cell_price;
CREATE INDEX cell_price_at ON cell_price (market_id, at);

-- Cars seen hour by hour, summed over the hour's ticks.
CREATE TABLE availability (
    market_id TEXT COLLATE "C" NOT NULL,
    region_id TEXT COLLATE "C" NOT NULL,
    class_id  TEXT COLLATE "C" NOT NULL,
    -- When the hour began.
    hour      BIGINT NOT NULL,
    ticks     BIGINT NOT NULL CHECK (ticks > 0),
    idle      BIGINT NOT NULL,
    leased    BIGINT NOT NULL,
    -- Fewest and most of both together in one tick.
    fewest    BIGINT NOT NULL,
    most      BIGINT NOT NULL,
    PRIMARY KEY (market_id, region_id, class_id, hour)
);

-- Regions that an operator halted: who, when, why, and until when.
CREATE TABLE region_halt (
    region_id TEXT COLLATE "C" NOT NULL REFERENCES region (id),
    halted_at BIGINT NOT NULL,
    halted_by BYTEA NOT NULL,
    reason    TEXT NOT NULL,
    lifted_at BIGINT,
    lifted_by BYTEA,
    PRIMARY KEY (region_id, halted_at)
);
CREATE UNIQUE INDEX region_halt_live ON region_halt (region_id) WHERE lifted_at IS NULL;

-- What the platform takes, by date: a lease keeps the rate of its tick.
CREATE TABLE fee_rate (
    market_id TEXT COLLATE "C" NOT NULL REFERENCES market (id),
    from_at   BIGINT NOT NULL,
    fee_ppm   INTEGER NOT NULL CHECK (fee_ppm BETWEEN 0 AND 500000),
    bonus_ppm INTEGER NOT NULL CHECK (bonus_ppm BETWEEN 0 AND 1000000),
    -- Who set it; none: the installation.
    set_by    BYTEA,
    set_at    BIGINT NOT NULL,
    PRIMARY KEY (market_id, from_at)
);
INSERT INTO fee_rate (market_id, from_at, fee_ppm, bonus_ppm, set_at)
    SELECT id, 0, fee_ppm, bonus_ppm, 0 FROM market;
ALTER TABLE market DROP COLUMN fee_ppm;
ALTER TABLE market DROP COLUMN bonus_ppm;
