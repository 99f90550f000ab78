-- Whether a report is current follows from the version that its diagnosis has; no row keeps it. `object` is the key of
-- the PDF; `file_name` is of one that was made elsewhere.
CREATE TABLE reports (
    id BLOB PRIMARY KEY,
    diagnosis BLOB NOT NULL REFERENCES diagnoses (id),
    diagnosis_version INTEGER NOT NULL,
    patient BLOB NOT NULL,
    issued_by BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    uploaded INTEGER NOT NULL CHECK (uploaded IN (0, 1)),
    file_name TEXT,
    object TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    code BLOB NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX reports_by_version ON reports (diagnosis, diagnosis_version);
CREATE INDEX reports_by_patient ON reports (patient, issued_at, id);
CREATE INDEX reports_by_time ON reports (issued_at, id);
