//! The in-memory log keeps the laws.

use infirmary_audit::testing::MemoryAuditLog;

async fn log() -> (MemoryAuditLog, ()) {
    (MemoryAuditLog::default(), ())
}

infirmary_audit::audit_log_laws!(log);
