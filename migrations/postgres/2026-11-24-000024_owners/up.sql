-- What owners say of their cars, who else may stop them, and how a car leaves.

-- Keys that seal personal data at rest. The first also keys the digests by which sealed data is found.
CREATE TABLE data_key (
    number     INTEGER PRIMARY KEY,
    secret     BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- The battery, as far as the owner says: chemistry, and capacity in watt-hours.
ALTER TABLE vehicle ADD COLUMN chemistry TEXT CHECK (chemistry IN ('lfp', 'nmc'));
ALTER TABLE vehicle ADD COLUMN battery_wh INTEGER CHECK (battery_wh BETWEEN 1000 AND 300000);
-- Since when its owner or a driver wants no work. One that leaves is paused too.
ALTER TABLE vehicle ADD COLUMN paused_at BIGINT;
-- Why it leaves, until its last lease has ended; then why it left.
ALTER TABLE vehicle ADD COLUMN leaving TEXT CHECK (leaving IN ('retired', 'transferred', 'erased'));
ALTER TABLE vehicle ADD COLUMN left_at BIGINT;
CREATE INDEX vehicle_leaving ON vehicle (id) WHERE leaving IS NOT NULL AND left_at IS NULL;

-- Vehicle identification numbers: sealed, found by a keyed digest, shown masked. A car that left has
-- none.
CREATE TABLE vehicle_vin (
    vehicle_id BYTEA PRIMARY KEY,
    digest     BYTEA NOT NULL UNIQUE,
    sealed     BYTEA NOT NULL,
    masked     TEXT NOT NULL
);

-- One-time codes that an owner hands to somebody: to drive the car, or to have it.
CREATE TABLE vehicle_code (
    code_hash  BYTEA PRIMARY KEY,
    vehicle_id BYTEA NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('driver', 'transfer')),
    expires_at BIGINT NOT NULL
);
CREATE INDEX vehicle_code_vehicle ON vehicle_code (vehicle_id);

CREATE TABLE vehicle_driver (
    vehicle_id BYTEA NOT NULL,
    party_id   BYTEA NOT NULL,
    since      BIGINT NOT NULL,
    PRIMARY KEY (vehicle_id, party_id)
);
CREATE INDEX vehicle_driver_party ON vehicle_driver (party_id, vehicle_id);

-- Under which law's words consent was given, by which device, and when in the week it holds (JSON;
-- none: always).
ALTER TABLE consent ADD COLUMN law TEXT NOT NULL DEFAULT 'US';
ALTER TABLE consent ADD COLUMN device TEXT;
ALTER TABLE consent ADD COLUMN hours TEXT;
-- How it was withdrawn: by the owner, by a signed link, or because the car left.
ALTER TABLE consent ADD COLUMN withdrawn_by TEXT CHECK (withdrawn_by IN ('owner', 'link', 'left'));

-- Copies of personal data that were asked for, and erasures. The copy is sealed, and goes in time.
CREATE TABLE personal_request (
    id         BYTEA PRIMARY KEY,
    party_id   BYTEA NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('export', 'erasure')),
    state      TEXT NOT NULL CHECK (state IN ('pending', 'done', 'expired')),
    asked_at   BIGINT NOT NULL,
    done_at    BIGINT,
    expires_at BIGINT,
    sealed     BYTEA
);
CREATE INDEX personal_request_party ON personal_request (party_id, id);
CREATE INDEX personal_request_due ON personal_request (id) WHERE state = 'pending';
