DROP TABLE job_pace;
DROP TABLE car_program;
DROP TABLE region_hour;
DROP TABLE car_hour;
