DROP TABLE finance_limit;
DROP TABLE approval;
CREATE TABLE period_old (
    month INTEGER PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('closed', 'reopening', 'open'))
) STRICT, WITHOUT ROWID;
INSERT INTO period_old
    SELECT month, CASE state WHEN 'soft' THEN 'closed' ELSE state END FROM period;
DROP TABLE period;
ALTER TABLE period_old RENAME TO period;
CREATE TABLE period_event_old (
    id     BLOB PRIMARY KEY,
    month  INTEGER NOT NULL,
    kind   TEXT NOT NULL CHECK (kind IN ('closed', 'reopen_asked', 'reopened')),
    by_id  BLOB NOT NULL,
    reason TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO period_event_old
    SELECT id, month, CASE kind WHEN 'soft_closed' THEN 'closed' ELSE kind END, by_id, reason, at
    FROM period_event;
DROP TABLE period_event;
ALTER TABLE period_event_old RENAME TO period_event;
