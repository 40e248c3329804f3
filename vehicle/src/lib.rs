//! What runs on a car: the protocol it speaks, the agent that decides, the sandbox that executes.
//!
//! This crate builds alone: it knows no database and no other crate of the house.

pub mod protocol;
