DROP TABLE reputation;
DROP TABLE claim;
DROP INDEX task_verify;
ALTER TABLE task DROP COLUMN verify_by;
ALTER TABLE task DROP COLUMN class_id;
ALTER TABLE task DROP COLUMN agreed;
ALTER TABLE task DROP COLUMN wanted;
ALTER TABLE job DROP COLUMN assurance;
