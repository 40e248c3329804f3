DROP TABLE vehicle_assertion;
DROP TABLE vehicle_key;
