-- What is to be told outside, from the transaction that caused it. `code` is there while a one-time code may still have to be
-- sent, and no longer. `due_at`, of a pending one, is when the next try may begin: a worker that takes it puts that off, and
-- so it is taken again when that worker dies. `takes` tells one taking from the others.
CREATE TABLE messages (
    id BLOB PRIMARY KEY,
    recipient TEXT NOT NULL,
    kind TEXT NOT NULL,
    code TEXT,
    report BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    takes INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    provider_id TEXT,
    delivery TEXT,
    failure TEXT,
    failure_code INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_by_time ON messages (created_at, id);
CREATE INDEX messages_by_state ON messages (state, created_at, id);
CREATE INDEX messages_by_due ON messages (kind, due_at, id) WHERE state = 'pending';
CREATE INDEX messages_by_expiry ON messages (expires_at) WHERE state = 'pending';
CREATE UNIQUE INDEX messages_by_provider_id ON messages (provider_id) WHERE provider_id IS NOT NULL;

-- Which process does a job alone. A row stays when its lease is released (`until` 0), so that fences only rise.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder BLOB NOT NULL,
    fence INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
