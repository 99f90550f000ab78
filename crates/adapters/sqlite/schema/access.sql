-- To a restricted record come its care team and who breaks the glass.
ALTER TABLE patients ADD COLUMN restricted INTEGER NOT NULL DEFAULT 0;

CREATE TABLE care_teams (
    patient BLOB NOT NULL REFERENCES patients (id),
    account BLOB NOT NULL,
    added_at INTEGER NOT NULL,
    added_by BLOB NOT NULL,
    PRIMARY KEY (patient, account)
) STRICT, WITHOUT ROWID;

-- Rows stay: they are why somebody came to the record. One that was ended before its time has its end then.
CREATE TABLE emergency_accesses (
    id BLOB PRIMARY KEY,
    patient BLOB NOT NULL REFERENCES patients (id),
    account BLOB NOT NULL,
    session BLOB NOT NULL,
    reason TEXT NOT NULL,
    note TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX emergency_accesses_by_patient ON emergency_accesses (patient, started_at, id);
CREATE INDEX emergency_accesses_by_session ON emergency_accesses (session, patient, ends_at);
