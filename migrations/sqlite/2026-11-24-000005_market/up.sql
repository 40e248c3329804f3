-- The market at full strength: what bids and cars may say, clearings in a compact form, what
-- explains them, and the operator's hand: halts and the fee schedule.

-- Lanes that the job must have at once to take any: below it a tick gives it none.
ALTER TABLE bid ADD COLUMN min_fill INTEGER NOT NULL DEFAULT 1 CHECK (min_fill > 0);
-- Whether it takes cars that may leave before a full term.
ALTER TABLE bid ADD COLUMN short_leases INTEGER NOT NULL DEFAULT 1;
-- When the bid is in force no more; none: until the job ends.
ALTER TABLE bid ADD COLUMN expires_at INTEGER;

-- When the owner will want the car; none: not known.
ALTER TABLE vehicle ADD COLUMN available_until INTEGER;

-- All that a replay needs of a tick, under its SHA-256: ticks that are alike share one.
CREATE TABLE clearing_record (
    digest  BLOB PRIMARY KEY,
    -- The first byte is the version.
    content BLOB NOT NULL
) STRICT;

ALTER TABLE clearing DROP COLUMN book;
ALTER TABLE clearing DROP COLUMN result;
-- None for clearings from before there were records: they cannot be replayed.
ALTER TABLE clearing ADD COLUMN record BLOB;
-- The tick in figures: bids in the book, lanes wanted, offered and sold.
ALTER TABLE clearing ADD COLUMN bids INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN offered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN sold INTEGER NOT NULL DEFAULT 0;
-- Micro-units per hour: what lanes are worth less their reserves, the most that was possible, what
-- buyers pay, what of it is above the reserves, and how far prices could have lain apart.
ALTER TABLE clearing ADD COLUMN welfare INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN bound INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN payments INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN owner_surplus INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clearing ADD COLUMN spread INTEGER NOT NULL DEFAULT 0;

-- Lanes sold that found no lawful car.
CREATE TABLE unplaced_fill (
    clearing_id BLOB NOT NULL,
    line        INTEGER NOT NULL,
    bid_id      BLOB NOT NULL,
    region_id   TEXT NOT NULL,
    class_id    TEXT NOT NULL,
    lanes       INTEGER NOT NULL CHECK (lanes > 0),
    reason      TEXT NOT NULL,
    PRIMARY KEY (clearing_id, line)
) STRICT;

-- A cell has one more mark: whether its cars surely stay for a full term. And a price has a range.
CREATE TABLE new_cell_price (
    market_id   TEXT NOT NULL,
    region_id   TEXT NOT NULL,
    class_id    TEXT NOT NULL,
    -- Eligibility group: bit set of what the owners allow.
    permits     INTEGER NOT NULL,
    -- Availability window.
    stay        TEXT NOT NULL CHECK (stay IN ('term', 'short')),
    tick        INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    -- Micro-units per lane-hour; the least and the greatest that would have supported the fills.
    price       INTEGER NOT NULL,
    low         INTEGER NOT NULL,
    high        INTEGER NOT NULL,
    -- Lanes sold, and offered.
    lanes       INTEGER NOT NULL,
    offered     INTEGER NOT NULL,
    PRIMARY KEY (market_id, region_id, class_id, permits, stay, tick)
) STRICT;
INSERT INTO new_cell_price
    SELECT market_id, region_id, class_id, permits, 'term', tick, at, price, price, price, lanes, lanes
    FROM cell_price;
DROP TABLE cell_price;
ALTER TABLE new_cell_price RENAME TO cell_price;
CREATE INDEX cell_price_at ON cell_price (market_id, at);

-- Cars seen hour by hour, summed over the hour's ticks.
CREATE TABLE availability (
    market_id TEXT NOT NULL,
    region_id TEXT NOT NULL,
    class_id  TEXT NOT NULL,
    -- When the hour began.
    hour      INTEGER NOT NULL,
    ticks     INTEGER NOT NULL CHECK (ticks > 0),
    idle      INTEGER NOT NULL,
    leased    INTEGER NOT NULL,
    -- Fewest and most of both together in one tick.
    fewest    INTEGER NOT NULL,
    most      INTEGER NOT NULL,
    PRIMARY KEY (market_id, region_id, class_id, hour)
) STRICT;

-- Regions that an operator halted: who, when, why, and until when.
CREATE TABLE region_halt (
    region_id TEXT NOT NULL REFERENCES region (id),
    halted_at INTEGER NOT NULL,
    halted_by BLOB NOT NULL,
    reason    TEXT NOT NULL,
    lifted_at INTEGER,
    lifted_by BLOB,
    PRIMARY KEY (region_id, halted_at)
) STRICT;
CREATE UNIQUE INDEX region_halt_live ON region_halt (region_id) WHERE lifted_at IS NULL;

-- What the platform takes, by date: a lease keeps the rate of its tick.
CREATE TABLE fee_rate (
    market_id TEXT NOT NULL REFERENCES market (id),
    from_at   INTEGER NOT NULL,
    fee_ppm   INTEGER NOT NULL CHECK (fee_ppm BETWEEN 0 AND 500000),
    bonus_ppm INTEGER NOT NULL CHECK (bonus_ppm BETWEEN 0 AND 1000000),
    -- Who set it; none: the installation.
    set_by    BLOB,
    set_at    INTEGER NOT NULL,
    PRIMARY KEY (market_id, from_at)
) STRICT;
INSERT INTO fee_rate (market_id, from_at, fee_ppm, bonus_ppm, set_at)
    SELECT id, 0, fee_ppm, bonus_ppm, 0 FROM market;
ALTER TABLE market DROP COLUMN fee_ppm;
ALTER TABLE market DROP COLUMN bonus_ppm;
