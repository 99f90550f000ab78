//! The store in memory passes the laws that it stands in for.

use infirmary_reports::testing::MemoryReports;

async fn house() -> (MemoryReports, ()) {
    (MemoryReports::default(), ())
}

infirmary_reports::report_store_laws!(house);
