//! The laws of ports that are each of several stores at once. They are proved where there is such a store, in its adapter.

pub mod laws;
mod memory_transfer;
pub mod restriction_laws;
pub mod transfer_laws;
pub mod whole_house;

pub use memory_transfer::MemoryTransfer;
