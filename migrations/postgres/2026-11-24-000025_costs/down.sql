DROP TABLE vehicle_tariff;
