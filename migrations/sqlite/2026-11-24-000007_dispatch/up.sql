-- Leases served in batches: what a heartbeat asks of its lease is in the lease's own row.

-- The attempt that runs in it.
ALTER TABLE lease ADD COLUMN attempt_id BLOB;
-- When the sweep looks at it: never after it could be silent or overdue. Far off once it has ended.
ALTER TABLE lease ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;
-- Its attempts that are paid and those of which that is not known yet: how many, how long together.
ALTER TABLE lease ADD COLUMN paid INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lease ADD COLUMN paid_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lease ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lease ADD COLUMN pending_us INTEGER NOT NULL DEFAULT 0;
-- Why an operator wants the car to leave at once; none: nobody does.
ALTER TABLE lease ADD COLUMN evicted TEXT;
UPDATE lease SET
    attempt_id = (SELECT a.id FROM attempt a WHERE a.lease_id = lease.id AND a.state = 'running'),
    due_at = CASE WHEN state IN ('offered', 'running') THEN 0 ELSE 9223372036854775807 END,
    paid = (SELECT COUNT(*) FROM attempt a WHERE a.lease_id = lease.id AND a.verdict = 'paid'),
    paid_us = (SELECT COALESCE(SUM(a.billable_us), 0) FROM attempt a
        WHERE a.lease_id = lease.id AND a.verdict = 'paid'),
    pending = (SELECT COUNT(*) FROM attempt a
        WHERE a.lease_id = lease.id AND a.verdict = 'pending' AND a.state <> 'running'),
    pending_us = (SELECT COALESCE(SUM(a.billable_us), 0) FROM attempt a
        WHERE a.lease_id = lease.id AND a.verdict = 'pending' AND a.state <> 'running');
DROP INDEX lease_unsettled;
CREATE INDEX lease_due ON lease (market_id, due_at) WHERE state <> 'settled';

-- What a car says of an attempt beside how it ended: claims, bounded, never used for money.
CREATE TABLE attempt_report (
    attempt_id        BLOB PRIMARY KEY,
    fuel              INTEGER NOT NULL CHECK (fuel >= 0),
    cpu_us            INTEGER NOT NULL CHECK (cpu_us >= 0),
    peak_memory_bytes INTEGER NOT NULL CHECK (peak_memory_bytes >= 0),
    log               TEXT NOT NULL,
    -- JSON: an object of numbers by name.
    metrics           TEXT NOT NULL
) STRICT;
