CREATE TABLE patients (
    id BLOB PRIMARY KEY,
    mrn INTEGER NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- The name as it is compared: without accents and case.
    folded_name TEXT NOT NULL,
    birth_date TEXT,
    sex TEXT,
    phone TEXT,
    email TEXT,
    address TEXT,
    account BLOB UNIQUE,
    registered_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX patients_by_time ON patients (registered_at, id);
CREATE INDEX patients_by_phone ON patients (phone) WHERE phone IS NOT NULL;
CREATE INDEX patients_by_name_and_birth_date ON patients (folded_name, birth_date) WHERE birth_date IS NOT NULL;

-- The words a patient is found by the beginning of. Each entry has all words of its patient, sorted, with a space before
-- and after each: so further words are compared where the index is read, without a look at another row.
CREATE TABLE patient_words (
    word TEXT NOT NULL,
    patient BLOB NOT NULL REFERENCES patients (id),
    words TEXT NOT NULL,
    PRIMARY KEY (word, patient)
) STRICT, WITHOUT ROWID;

-- The last record number that was given.
CREATE TABLE mrn_counter (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    last INTEGER NOT NULL
) STRICT;
INSERT INTO mrn_counter VALUES (1, 0);
