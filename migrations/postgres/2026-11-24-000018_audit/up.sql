-- Privileged acts: who, what, before, after. Written in the act's own transaction, never changed.

CREATE TABLE audit_event (
    id           BYTEA PRIMARY KEY,
    at           BIGINT NOT NULL,
    -- A TypeID, `command_line` or `system`: never a name or an address.
    actor        TEXT COLLATE "C" NOT NULL,
    action       TEXT COLLATE "C" NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL,
    state_before TEXT,
    state_after  TEXT,
    request_id   TEXT
);
CREATE INDEX audit_actor ON audit_event (actor, id);
CREATE INDEX audit_action ON audit_event (action, id);
CREATE INDEX audit_subject ON audit_event (subject, id);
CREATE INDEX audit_at ON audit_event (at);

CREATE FUNCTION audit_event_kept() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit events are never changed or deleted'; END $$;
CREATE TRIGGER audit_event_kept BEFORE UPDATE OR DELETE ON audit_event
FOR EACH ROW EXECUTE FUNCTION audit_event_kept();
CREATE TRIGGER audit_event_stays BEFORE TRUNCATE ON audit_event
FOR EACH STATEMENT EXECUTE FUNCTION audit_event_kept();

-- From where. An address is personal data: it can be erased without touching the log.
CREATE TABLE audit_origin (
    event_id BYTEA PRIMARY KEY,
    address  TEXT NOT NULL
);
