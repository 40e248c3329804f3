-- What work costs a car whose owner named a tariff: its reserve then is the greater of what the owner
-- asks and what is computed, and is computed anew as time and the car's state go on.
CREATE TABLE vehicle_tariff (
    vehicle_id  BLOB PRIMARY KEY,
    -- JSON: flat, by time of use, or a feed of prices.
    tariff      TEXT NOT NULL,
    -- What the owner wants on top, micro-units per lane-hour.
    margin      INTEGER NOT NULL CHECK (margin >= 0),
    -- What the owner asks at least, net, micro-units per lane-hour.
    own_reserve INTEGER NOT NULL CHECK (own_reserve >= 0),
    computed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX vehicle_tariff_due ON vehicle_tariff (computed_at);
