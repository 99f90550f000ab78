//! The laws of [`KeyCheck`] as a suite: `infirmary_kernel::key_check_laws!(make_store)`, where `make_store` is an async
//! function that gives a store without a value, and whatever has to live as long as it does.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

use futures_util::future::join_all;

use crate::{KeyCheck, KeyCheckValue};

#[macro_export]
macro_rules! key_check_laws {
    ($make:path) => {
        $crate::key_check_laws!(@each $make:
            a_value_is_kept_once_and_told_to_everybody
            of_sixteen_who_begin_at_once_all_hear_one_value);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((store, _keep)) = $crate::testing::made($make().await) else { return };
            $crate::testing::key_check_laws::$law(&store).await;
        })*
    };
}

const fn value(byte: u8) -> KeyCheckValue {
    KeyCheckValue::from_bytes([byte; 32])
}

pub async fn a_value_is_kept_once_and_told_to_everybody(store: &impl KeyCheck) {
    assert_eq!(store.kept().await.unwrap(), None);
    assert_eq!(store.keep(value(1)).await.unwrap(), value(1));
    assert_eq!(store.keep(value(2)).await.unwrap(), value(1));
    assert_eq!(store.keep(value(1)).await.unwrap(), value(1));
    assert_eq!(store.kept().await.unwrap(), Some(value(1)));
}

pub async fn of_sixteen_who_begin_at_once_all_hear_one_value(store: &impl KeyCheck) {
    let heard = join_all((0..16).map(|byte| store.keep(value(byte)))).await;
    let kept = store.kept().await.unwrap().unwrap();
    assert!(heard.into_iter().all(|heard| heard.unwrap() == kept));
}
