DROP TABLE audit_origin;
DROP TABLE audit_event;
DROP FUNCTION audit_event_kept;
