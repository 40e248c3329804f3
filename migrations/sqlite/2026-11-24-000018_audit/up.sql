-- Privileged acts: who, what, before, after. Written in the act's own transaction, never changed.

CREATE TABLE audit_event (
    id           BLOB PRIMARY KEY,
    at           INTEGER NOT NULL,
    -- A TypeID, `command_line` or `system`: never a name or an address.
    actor        TEXT NOT NULL,
    action       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    state_before TEXT,
    state_after  TEXT,
    request_id   TEXT
) STRICT;
CREATE INDEX audit_actor ON audit_event (actor, id);
CREATE INDEX audit_action ON audit_event (action, id);
CREATE INDEX audit_subject ON audit_event (subject, id);
CREATE INDEX audit_at ON audit_event (at);

CREATE TRIGGER audit_event_kept BEFORE UPDATE ON audit_event
BEGIN SELECT RAISE(ABORT, 'audit events are never changed'); END;
CREATE TRIGGER audit_event_stays BEFORE DELETE ON audit_event
BEGIN SELECT RAISE(ABORT, 'audit events are never deleted'); END;

-- From where. An address is personal data: it can be erased without touching the log.
CREATE TABLE audit_origin (
    event_id BLOB PRIMARY KEY,
    address  TEXT NOT NULL
) STRICT;
