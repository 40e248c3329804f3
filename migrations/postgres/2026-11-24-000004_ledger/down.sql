DROP TABLE day_balance;
DROP TABLE liability_page;
DROP TABLE liability_root;
DROP TABLE block_span;
DROP TABLE block_head;
DROP TABLE block;
DROP TABLE period_event;
DROP TABLE period;
DROP TABLE conversion_record;
DROP TABLE settlement_record;
DROP TABLE transaction_metadata;
DROP INDEX hold_expiry;
ALTER TABLE hold_event DROP CONSTRAINT hold_event_pkey, DROP CONSTRAINT hold_event_hold_id_number_key;
ALTER TABLE hold_event DROP COLUMN id, ADD PRIMARY KEY (hold_id, number);
DROP INDEX ledger_transaction_late, ledger_transaction_reversal, ledger_transaction_refers,
    ledger_transaction_subject;
ALTER TABLE ledger_transaction
    DROP COLUMN booked_on, DROP COLUMN relation, DROP COLUMN refers_to;
CREATE INDEX ledger_transaction_subject ON ledger_transaction (subject);
ALTER TABLE balance DROP COLUMN last_posted_at;
