//! Who may do what over HTTP, with tokens made here rather than by logging in.
#![allow(clippy::unwrap_used)]

mod approval;
mod audit;
mod book;
mod client;
mod identity;
mod money;
mod proof;
mod reports;
mod roles;
mod undo;
