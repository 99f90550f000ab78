-- A house that was on many machines has several chains in its audit log. `number` is chain, then place in it (48 bits); of
-- chain 0, which is the one that goes on here, it is the place.
ALTER TABLE audit RENAME COLUMN sequence TO number;

-- What closes all chains at once; none of a log that has one.
CREATE TABLE audit_roots (
    sequence INTEGER PRIMARY KEY,
    form BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;

-- How far a root has closed each chain.
CREATE TABLE closed_chains (
    chain INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL
) STRICT;

-- A conversion to or from another store that this file takes part in: one row, or none. `kind` to `text` are the place of the
-- last record that it was filled with.
CREATE TABLE conversion (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id BLOB NOT NULL,
    begun_at INTEGER NOT NULL,
    part TEXT NOT NULL,
    kind TEXT,
    record BLOB,
    number INTEGER,
    text TEXT
) STRICT;
