DROP TABLE audit_origin;
DROP TABLE audit_event;
