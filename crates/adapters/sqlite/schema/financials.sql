-- Amounts are minor units. What is paid on a charge, and whether it is open, is the sum of what lies on it; no row keeps it.
-- Charges and payments lie in the file in the order of an account: nearly every query is of one patient.

CREATE TABLE charges (
    id BLOB NOT NULL UNIQUE,
    patient BLOB NOT NULL REFERENCES patients (id),
    -- With a report: that on the diagnosis. With a study: a task of it. With neither: by hand.
    study BLOB,
    report BLOB,
    diagnosis BLOB,
    author BLOB,
    task TEXT,
    description TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    currency TEXT NOT NULL,
    charged_at INTEGER NOT NULL,
    charged_by BLOB NOT NULL,
    voided_at INTEGER,
    voided_by BLOB,
    void_reason TEXT,
    CHECK (study IS NULL OR report IS NULL),
    CHECK (study IS NULL AND report IS NULL OR task IS NOT NULL AND diagnosis IS NOT NULL AND author IS NOT NULL),
    PRIMARY KEY (patient, charged_at, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX charges_by_study ON charges (study, task) WHERE study IS NOT NULL;
CREATE UNIQUE INDEX charges_by_reported_diagnosis ON charges (diagnosis) WHERE report IS NOT NULL;
CREATE INDEX charges_by_author ON charges (author, charged_at, id) WHERE author IS NOT NULL;
CREATE INDEX charges_by_time ON charges (charged_at, id);
CREATE INDEX charges_by_void ON charges (voided_at) WHERE voided_at IS NOT NULL;

CREATE TABLE payments (
    id BLOB NOT NULL UNIQUE,
    patient BLOB NOT NULL REFERENCES patients (id),
    amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    method TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    received_by BLOB NOT NULL,
    PRIMARY KEY (patient, received_at, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX payments_by_time ON payments (received_at, id);

-- What of a payment lies on a charge; `position` is the order, oldest charge first.
CREATE TABLE allocations (
    payment BLOB NOT NULL REFERENCES payments (id),
    charge BLOB NOT NULL REFERENCES charges (id),
    position INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    PRIMARY KEY (payment, charge)
) STRICT, WITHOUT ROWID;
CREATE INDEX allocations_by_charge ON allocations (charge, amount);

-- Patient and currency are those of the payment.
CREATE TABLE refunds (
    id BLOB PRIMARY KEY,
    payment BLOB NOT NULL REFERENCES payments (id),
    patient BLOB NOT NULL,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    reason TEXT NOT NULL,
    refunded_at INTEGER NOT NULL,
    refunded_by BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refunds_by_payment ON refunds (payment, refunded_at, id);
CREATE INDEX refunds_by_patient ON refunds (patient, refunded_at, id);
CREATE INDEX refunds_by_time ON refunds (refunded_at, id);

-- What a refund takes back from a charge; `position` is the order, newest charge first.
CREATE TABLE refund_allocations (
    refund BLOB NOT NULL REFERENCES refunds (id),
    charge BLOB NOT NULL REFERENCES charges (id),
    position INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    PRIMARY KEY (refund, charge)
) STRICT, WITHOUT ROWID;
CREATE INDEX refund_allocations_by_charge ON refund_allocations (charge, amount);
