//! The benchmark: hosts beside what else could be used, in one run on one machine.
//!
//! Contenders and workloads are data (`contenders.toml`, `workloads.toml`, [`spec`]). Each kind of workload has a module that
//! measures it and gives samples by the names of [`metric`]; a [`result::Report`] holds them as they were measured, and
//! [`table`] and [`plot`] show what [`stats`] makes of them.

#![forbid(unsafe_code)]

mod client;
mod cold;
mod limits;
mod load;
mod machine;
mod memory;
pub mod metric;
pub mod plot;
pub mod result;
pub mod run;
mod server;
mod sigterm;
mod slow;
pub mod spec;
pub mod stats;
mod storm;
pub mod table;
mod tools;
mod tree;
