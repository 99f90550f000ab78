-- Rows are long (prose), so these tables keep their rowid: the trees that are searched stay narrow.

CREATE TABLE diagnoses (
    id BLOB NOT NULL PRIMARY KEY,
    patient BLOB NOT NULL REFERENCES patients (id),
    study BLOB UNIQUE,
    author BLOB NOT NULL,
    disease TEXT NOT NULL,
    findings TEXT NOT NULL,
    conditions TEXT NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by BLOB NOT NULL,
    confirmed_at INTEGER,
    confirmed_by BLOB,
    amended_at INTEGER,
    amended_by BLOB,
    amendment_reason TEXT,
    retracted_at INTEGER,
    retracted_by BLOB,
    retraction_reason TEXT
) STRICT;
CREATE INDEX diagnoses_by_patient ON diagnoses (patient, recorded_at, id);
CREATE INDEX diagnoses_by_author ON diagnoses (author, recorded_at, id);
CREATE INDEX diagnoses_by_status ON diagnoses (status, recorded_at, id);
CREATE INDEX diagnoses_by_time ON diagnoses (recorded_at, id);

-- What each version said; rows are added only.
CREATE TABLE diagnosis_versions (
    diagnosis BLOB NOT NULL REFERENCES diagnoses (id),
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    disease TEXT NOT NULL,
    findings TEXT NOT NULL,
    conditions TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    made_by BLOB NOT NULL,
    reason TEXT,
    PRIMARY KEY (diagnosis, version)
) STRICT;

CREATE TABLE tasks (
    id BLOB NOT NULL PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;

-- No two of a task at one moment: kept by the domain, which reads and writes them all at once.
CREATE TABLE task_prices (
    task BLOB NOT NULL REFERENCES tasks (id),
    begins_at INTEGER NOT NULL,
    ends_at INTEGER,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    currency TEXT NOT NULL,
    PRIMARY KEY (task, begins_at)
) STRICT, WITHOUT ROWID;
