//! The public face: HTTP under `/v1`, identity, mail, and the wiring of the house.
//!
//! One folder or file per noun: handlers that decode, ask and encode, and the noun's queries beside
//! them in `store.rs`. What every request shares:
//!
//! - [`auth`]: who asks, by the type in a handler's signature.
//! - [`origin`], [`audit`]: from where, and the log of privileged acts.
//! - [`body`], [`pagination`], [`money`]: what requests and answers are made of.
//! - [`idempotency`]: work done once, however often it is asked for.
//! - [`problem`]: the one table of refusals.
//! - [`http`]: request ids, panics, routes that do not exist.
//! - [`server`] starts all of it in this process; [`cli`] is the command line on top.

#![deny(clippy::float_arithmetic)]

pub mod app;
mod approval;
pub mod audit;
pub mod auth;
pub mod ban;
pub mod blobs;
pub mod body;
pub mod book;
pub mod cli;
pub mod config;
pub mod demo;
pub mod deposit;
pub mod earnings;
pub mod fingerprint;
pub mod fleet;
pub mod http;
pub mod idempotency;
pub mod identity;
pub mod job;
pub mod keeper;
pub mod keys;
pub mod mail;
pub mod market;
pub mod money;
pub mod openapi;
pub mod origin;
pub mod pagination;
pub mod payout;
pub mod personal;
pub mod problem;
pub mod proof;
pub mod reports;
pub mod server;
pub mod stream;
pub mod vehicle;
pub mod wallet;
