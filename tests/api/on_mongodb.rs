//! All of it once more, on the other store. The houses of tests are where `INFIRMARY_TEST_STORE` says, so this binary is run
//! once more with it.

use std::process::Command;

use infirmary_tests::store::STORE;

#[test]
fn all_of_it_holds_on_mongodb_too() {
    // Said by `database`, where there is no server.
    if std::env::var_os(STORE).is_some() || infirmary_mongodb::testing::database().is_none() {
        return;
    }
    let run = Command::new(std::env::current_exe().unwrap()).env(STORE, "mongodb").status().unwrap();
    assert!(run.success(), "{run}; the lines above have it");
}
