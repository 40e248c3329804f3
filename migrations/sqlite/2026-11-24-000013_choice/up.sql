-- What the past says of how long cars stay, for the choice of cars: counts by hour of the day, no
-- moments and no places.

-- Leases by car and hour of the day (UTC), millionths: hours watched, one that was interrupted as
-- a whole one, and interruptions. Each day with news takes a part off what is older.
CREATE TABLE car_hour (
    vehicle_id  BLOB NOT NULL,
    hour        INTEGER NOT NULL CHECK (hour BETWEEN 0 AND 23),
    watched     INTEGER NOT NULL,
    interrupted INTEGER NOT NULL,
    -- Day of the last news, days since 1970.
    day         INTEGER NOT NULL,
    PRIMARY KEY (vehicle_id, hour)
) STRICT;

-- The same of all cars of a region.
CREATE TABLE region_hour (
    region_id   TEXT NOT NULL,
    hour        INTEGER NOT NULL CHECK (hour BETWEEN 0 AND 23),
    watched     INTEGER NOT NULL,
    interrupted INTEGER NOT NULL,
    day         INTEGER NOT NULL,
    PRIMARY KEY (region_id, hour)
) STRICT;

-- The programs that a car ran last: digests, each with a space after it, the latest first, 4 at most.
CREATE TABLE car_program (
    vehicle_id BLOB PRIMARY KEY,
    programs   TEXT NOT NULL
) STRICT;

-- A job's attempts that are or may be paid, and their billable time together, of leases that ended.
CREATE TABLE job_pace (
    job_id   BLOB PRIMARY KEY,
    attempts INTEGER NOT NULL,
    busy_us  INTEGER NOT NULL
) STRICT;
