ALTER TABLE presence DROP COLUMN until;
ALTER TABLE presence DROP COLUMN clear_since;
ALTER TABLE region DROP COLUMN utc_offset_min;
ALTER TABLE vehicle DROP COLUMN rules;
