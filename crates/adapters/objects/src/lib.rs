//! Bytes of images and reports, on the local disk or in a bucket of Google Cloud Storage or S3.
//!
//! An upload becomes a local file first, wherever it goes in the end: what it is can only be told from a file that can
//! be read twice. Buckets are spoken to by `object_store`, and so is the disk for reading, listing and deleting.
//! Writing to the disk is ours, for three things that the library does not do together: an upload has a place before it
//! has a key, its SHA-256 is known without reading it again, and it is put into place durably, once, and only if nothing
//! is there.
//!
//! Invariants
//! - Bytes are written to the disk once, into the staging folder; on the disk they are moved by their name alone, and
//!   into a bucket they are sent in parts of bounded size.
//! - An object under its key is whole, durable, and never written again.
//! - What is read whole from a bucket is what was written, by its SHA-256, or ends in an error.
//! - No work on the disk runs on a thread of the async runtime, but for removing the file of an upload that is given
//!   up.
//! - A bucket that strangers can read is not ready.

mod bucket;
mod connect;
mod disk;
mod foreign;
mod reading;
mod staging;
#[cfg(feature = "test-support")]
pub mod testing;

pub use bucket::BucketObjects;
pub use connect::{BucketLimits, BucketSettings, Service};
pub use disk::DiskObjects;
pub use foreign::{ForeignFile, ForeignFiles};
