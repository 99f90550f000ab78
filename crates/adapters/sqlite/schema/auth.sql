-- `password` is what one is compared with, in the form that its hasher writes; absent while none was chosen.
CREATE TABLE accounts (
    id BLOB PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    phone TEXT,
    role TEXT NOT NULL,
    state TEXT NOT NULL,
    patient BLOB,
    password TEXT,
    created_at INTEGER NOT NULL,
    joined_at INTEGER,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_by_time ON accounts (created_at, id);
CREATE INDEX accounts_by_role ON accounts (role, created_at, id);

-- `code` is the SHA-256 of what was given to the holder.
CREATE TABLE invitations (
    account BLOB PRIMARY KEY REFERENCES accounts (id),
    code BLOB NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_by_expiry ON invitations (expires_at);

-- `refresh` and `previous` are the SHA-256 of the token that is due and of the one before it.
CREATE TABLE sessions (
    id BLOB PRIMARY KEY,
    account BLOB NOT NULL REFERENCES accounts (id),
    started_at INTEGER NOT NULL,
    authenticated_at INTEGER NOT NULL,
    refreshed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    agent TEXT,
    address TEXT,
    refresh BLOB NOT NULL,
    previous BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_account ON sessions (account, started_at, id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Failures of passwords. `emails` holds 8 bytes for each; `forget_at` is absent while the counter keeps a password off.
CREATE TABLE attempt_counters (
    key TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    since INTEGER NOT NULL,
    blocked_until INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    emails BLOB NOT NULL,
    noted INTEGER NOT NULL,
    forget_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_counters_by_forgetting ON attempt_counters (forget_at) WHERE forget_at IS NOT NULL;
