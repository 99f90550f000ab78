//! The laws of ports that are each of several stores at once. They are proved where there is such a store, in its adapter.

pub mod laws;
pub mod restriction_laws;
