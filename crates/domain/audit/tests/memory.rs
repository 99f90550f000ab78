//! The in-memory log keeps the laws, with one chain and with several.

use infirmary_audit::testing::MemoryAuditLog;

mod one_chain {
    use super::MemoryAuditLog;

    async fn log() -> (MemoryAuditLog, ()) {
        (MemoryAuditLog::default(), ())
    }

    infirmary_audit::audit_log_laws!(log);
}

mod several_chains {
    use super::MemoryAuditLog;

    async fn log() -> (MemoryAuditLog, ()) {
        (MemoryAuditLog::with_chains(3), ())
    }

    infirmary_audit::audit_log_laws!(log);
}
