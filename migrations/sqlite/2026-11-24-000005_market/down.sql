ALTER TABLE market ADD COLUMN fee_ppm INTEGER NOT NULL DEFAULT 0 CHECK (fee_ppm BETWEEN 0 AND 500000);
ALTER TABLE market ADD COLUMN bonus_ppm INTEGER NOT NULL DEFAULT 0 CHECK (bonus_ppm BETWEEN 0 AND 1000000);
-- The rate set last, whether in force or not.
UPDATE market SET
    fee_ppm = (SELECT fee_ppm FROM fee_rate WHERE market_id = market.id ORDER BY from_at DESC LIMIT 1),
    bonus_ppm = (SELECT bonus_ppm FROM fee_rate WHERE market_id = market.id ORDER BY from_at DESC LIMIT 1);
DROP TABLE fee_rate;
DROP TABLE region_halt;
DROP TABLE availability;
DROP INDEX cell_price_at;
CREATE TABLE old_cell_price (
    market_id   TEXT NOT NULL,
    region_id   TEXT NOT NULL,
    class_id    TEXT NOT NULL,
    permits     INTEGER NOT NULL,
    tick        INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    price       INTEGER NOT NULL,
    lanes       INTEGER NOT NULL,
    PRIMARY KEY (market_id, region_id, class_id, permits, tick)
) STRICT;
INSERT INTO old_cell_price SELECT market_id, region_id, class_id, permits, tick, at, price, lanes
    FROM cell_price WHERE stay = 'term';
DROP TABLE cell_price;
ALTER TABLE old_cell_price RENAME TO cell_price;
DROP TABLE unplaced_fill;
ALTER TABLE clearing DROP COLUMN spread;
ALTER TABLE clearing DROP COLUMN owner_surplus;
ALTER TABLE clearing DROP COLUMN payments;
ALTER TABLE clearing DROP COLUMN bound;
ALTER TABLE clearing DROP COLUMN welfare;
ALTER TABLE clearing DROP COLUMN sold;
ALTER TABLE clearing DROP COLUMN offered;
ALTER TABLE clearing DROP COLUMN wanted;
ALTER TABLE clearing DROP COLUMN bids;
ALTER TABLE clearing DROP COLUMN record;
ALTER TABLE clearing ADD COLUMN book TEXT NOT NULL DEFAULT '';
ALTER TABLE clearing ADD COLUMN result TEXT NOT NULL DEFAULT '';
DROP TABLE clearing_record;
ALTER TABLE vehicle DROP COLUMN available_until;
ALTER TABLE bid DROP COLUMN expires_at;
ALTER TABLE bid DROP COLUMN short_leases;
ALTER TABLE bid DROP COLUMN min_fill;
