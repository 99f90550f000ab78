//! The ledger in memory keeps the laws.

use infirmary_financials::testing::Books;

async fn books() -> (Books, ()) {
    (Books::in_memory(), ())
}

infirmary_financials::ledger_laws!(books);
