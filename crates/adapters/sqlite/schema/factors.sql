-- Whether a code proved the phone, and which second factors are asked for.
ALTER TABLE accounts ADD COLUMN phone_verified_at INTEGER;
ALTER TABLE accounts ADD COLUMN totp INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN whatsapp INTEGER NOT NULL DEFAULT 0;
CREATE INDEX accounts_by_verified_phone ON accounts (phone) WHERE phone_verified_at IS NOT NULL;

-- `code` is the HMAC of the code that was sent.
CREATE TABLE challenges (
    id BLOB PRIMARY KEY,
    purpose TEXT NOT NULL,
    account BLOB,
    phone TEXT,
    session BLOB,
    code BLOB,
    tries INTEGER NOT NULL,
    proved INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX challenges_by_account ON challenges (account) WHERE account IS NOT NULL;
CREATE INDEX challenges_by_phone ON challenges (phone, purpose) WHERE phone IS NOT NULL;
CREATE INDEX challenges_by_expiry ON challenges (expires_at);

-- The codes that were asked for. `times` holds 8 bytes for each.
CREATE TABLE code_counters (
    key TEXT PRIMARY KEY,
    times BLOB NOT NULL,
    total INTEGER NOT NULL,
    since INTEGER,
    noted INTEGER NOT NULL,
    forget_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX code_counters_by_forgetting ON code_counters (forget_at);

-- `seed` and the house's key make the secret of the application; `last_step` is the last time step that was accepted.
CREATE TABLE authenticators (
    account BLOB PRIMARY KEY REFERENCES accounts (id),
    seed BLOB NOT NULL,
    last_step INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `code` is the HMAC of one that was shown.
CREATE TABLE recovery_codes (
    account BLOB NOT NULL REFERENCES accounts (id),
    code BLOB NOT NULL,
    PRIMARY KEY (account, code)
) STRICT, WITHOUT ROWID;
