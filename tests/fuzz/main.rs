//! What strangers send is read without a crash, a hang or growth.
//!
//! A target is a function of bytes that reads them as the server does and asserts what has to hold of the outcome. Each is
//! run on the files of its corpus and on some changes of them in every run of the tests, and for long by hand:
//!
//! ```sh
//! INFIRMARY_TEST_FUZZ_SECONDS=300 cargo test --workspace --test fuzz -- --ignored --nocapture searched::pdf
//! ```
//!
//! The search takes what it changes from the inputs that had an outcome of their own so far, so it comes to where only an
//! odd input comes. With `INFIRMARY_TEST_FUZZ_KEEP=1` it keeps the shortest input of each outcome in the corpus. What fails
//! is written to the corpus in any case, and the next run of the tests fails with it until it is mended.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

mod change;
mod corpus;
mod harness;
mod targets;

#[global_allocator]
static ALLOCATOR: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

macro_rules! targets {
    ($($name:ident)*) => {
        /// A file that once failed fails no more, nor does a change of one that never did.
        mod what_is_in_the_corpus_is_read_without_a_crash_a_hang_or_growth {
            $(#[test] fn $name() { crate::harness::replay(&crate::targets::$name::TARGET); })*
        }
        mod searched {
            $(#[test] #[ignore = "for minutes, by hand"] fn $name() { crate::harness::search(&crate::targets::$name::TARGET); })*
        }
    };
}

targets! { access_token refresh_token multipart image dicom pdf cursor contact headers webhook audit }
