DROP TABLE finance_limit;
DROP TABLE approval;
UPDATE period SET state = 'closed' WHERE state = 'soft';
ALTER TABLE period DROP CONSTRAINT period_state_check;
ALTER TABLE period ADD CONSTRAINT period_state_check
    CHECK (state IN ('closed', 'reopening', 'open'));
UPDATE period_event SET kind = 'closed' WHERE kind = 'soft_closed';
ALTER TABLE period_event DROP CONSTRAINT period_event_kind_check;
ALTER TABLE period_event ADD CONSTRAINT period_event_kind_check
    CHECK (kind IN ('closed', 'reopen_asked', 'reopened'));
