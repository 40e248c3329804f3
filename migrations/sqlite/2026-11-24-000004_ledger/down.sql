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
CREATE TABLE hold_event_old (
    hold_id        BLOB NOT NULL,
    number         INTEGER NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('placed', 'captured', 'released', 'expired')),
    amount         INTEGER NOT NULL CHECK (amount > 0),
    transaction_id BLOB,
    at             INTEGER NOT NULL,
    PRIMARY KEY (hold_id, number)
) STRICT;
INSERT INTO hold_event_old
    SELECT hold_id, number, kind, amount, transaction_id, at FROM hold_event;
DROP TABLE hold_event;
ALTER TABLE hold_event_old RENAME TO hold_event;
DROP INDEX ledger_transaction_late;
DROP INDEX ledger_transaction_reversal;
DROP INDEX ledger_transaction_refers;
DROP INDEX ledger_transaction_subject;
CREATE TABLE ledger_transaction_old (
    id           BLOB PRIMARY KEY,
    key          TEXT NOT NULL UNIQUE,
    fingerprint  BLOB NOT NULL,
    kind         TEXT NOT NULL,
    subject      TEXT NOT NULL,
    posted_at    INTEGER NOT NULL,
    effective_at INTEGER NOT NULL
) STRICT;
INSERT INTO ledger_transaction_old
    SELECT id, key, fingerprint, kind, subject, posted_at, effective_at FROM ledger_transaction;
DROP TABLE ledger_transaction;
ALTER TABLE ledger_transaction_old RENAME TO ledger_transaction;
CREATE INDEX ledger_transaction_subject ON ledger_transaction (subject);
ALTER TABLE balance DROP COLUMN last_posted_at;
