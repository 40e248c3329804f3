-- Cars on the road have keys of their own.

-- What a car's owner and the car agreed on; a car that lives in a server has no row.
CREATE TABLE vehicle_key (
    vehicle_id      BYTEA PRIMARY KEY REFERENCES vehicle (id),
    -- SHA-256 of the one-time code that was given out last, until it is used.
    code_hash       BYTEA UNIQUE,
    code_expires_at BIGINT,
    -- The Ed25519 key that the car made, and its SHA-256.
    public_key      BYTEA,
    key_id          BYTEA UNIQUE,
    enrolled_at     BIGINT
);
CREATE INDEX vehicle_key_enrolled ON vehicle_key (enrolled_at);

-- Assertions that cars signed in with, until they expire: none is taken twice.
CREATE TABLE vehicle_assertion (
    key_id     BYTEA NOT NULL,
    jti        TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (key_id, jti)
);
CREATE INDEX vehicle_assertion_expiry ON vehicle_assertion (expires_at);
