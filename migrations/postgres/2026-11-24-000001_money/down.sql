DROP TABLE hold_event;
DROP TABLE hold;
DROP TABLE entry;
DROP TABLE ledger_transaction;
DROP TABLE balance;
DROP TABLE account;
DROP TABLE asset;
