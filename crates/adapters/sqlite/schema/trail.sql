-- What every write leaves: an entry of the audit chain, and the idempotency record of who asked for it.

-- `form` is the canonical form that `hash` is of; the other columns are for finding.
CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    account BLOB,
    patient BLOB,
    action TEXT NOT NULL,
    form BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE INDEX audit_by_patient ON audit (patient, at) WHERE patient IS NOT NULL;
CREATE INDEX audit_by_account ON audit (account, at) WHERE account IS NOT NULL;
CREATE INDEX audit_by_action ON audit (action, at);
CREATE INDEX audit_by_time ON audit (at);

CREATE TABLE claims (
    account BLOB NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    receipt BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_by_time ON claims (at);
