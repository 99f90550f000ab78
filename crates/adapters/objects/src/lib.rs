//! Bytes of images and reports on the local disk.
//!
//! Reading, listing and deleting go through `object_store`, whose buckets are to stand where the folder stands. Writing
//! is ours, for three things that it does not do together: an upload has a place before it has a key, its SHA-256 is
//! known without reading it again, and it is put into place durably, once, and only if nothing is there.
//!
//! Invariants
//! - Bytes are written to the disk once, into the staging folder, and moved by their name alone.
//! - A file under its key is whole, synced, and never written again.
//! - No work on the disk runs on a thread of the async runtime, but for removing the file of an upload that is given
//!   up.

mod disk;
mod reading;
mod staging;

pub use disk::DiskObjects;
