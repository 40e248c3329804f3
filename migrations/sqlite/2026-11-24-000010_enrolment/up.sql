-- Cars on the road have keys of their own.

-- What a car's owner and the car agreed on; a car that lives in a server has no row.
CREATE TABLE vehicle_key (
    vehicle_id      BLOB PRIMARY KEY REFERENCES vehicle (id),
    -- SHA-256 of the one-time code that was given out last, until it is used.
    code_hash       BLOB UNIQUE,
    code_expires_at INTEGER,
    -- The Ed25519 key that the car made, and its SHA-256.
    public_key      BLOB,
    key_id          BLOB UNIQUE,
    enrolled_at     INTEGER
) STRICT;
CREATE INDEX vehicle_key_enrolled ON vehicle_key (enrolled_at);

-- Assertions that cars signed in with, until they expire: none is taken twice.
CREATE TABLE vehicle_assertion (
    key_id     BLOB NOT NULL,
    jti        TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (key_id, jti)
) STRICT;
CREATE INDEX vehicle_assertion_expiry ON vehicle_assertion (expires_at);
