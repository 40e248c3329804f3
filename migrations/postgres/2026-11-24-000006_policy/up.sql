-- What owners ask beyond the floor and the charger, as JSON: read and written whole.
ALTER TABLE vehicle ADD COLUMN rules TEXT NOT NULL DEFAULT '{}';

-- Local standard time less UTC, minutes. It knows no summer time.
ALTER TABLE region ADD COLUMN utc_offset_min INTEGER NOT NULL DEFAULT 0
    CHECK (utc_offset_min BETWEEN -720 AND 840);
UPDATE region SET utc_offset_min = -480 WHERE id = 'us-ca';
UPDATE region SET utc_offset_min = -360 WHERE id = 'us-tx';

-- Since when nothing speaks against work, while a car still waits to be let again.
ALTER TABLE presence ADD COLUMN clear_since BIGINT;
-- Until when it may work, as far as its charge and its owner's rules tell.
ALTER TABLE presence ADD COLUMN until BIGINT;
