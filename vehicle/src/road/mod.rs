//! A car on the road: HTTPS to the platform, a key of its own, and the loop that keeps it going.
//!
//! A car is enrolled once with a code that its owner was given ([`enrol`]). From then on it signs
//! in with its key and has a short token for what it says often ([`Road`]). Any number of cars may
//! share a [`Net`] and a worker pool in one process; each is an [`crate::Agent`] that is polled
//! with its own [`Road`] as the transport.

pub mod cli;
mod copy;
mod key;
mod net;
mod run;

pub use key::{ASSERTION_TYPE, AUDIENCE, Key, KeyError, enrolment_message};
pub use net::{Enrolment, Net, NetError, Road, SEQUENCE, SignIn, UPLOAD_OFFSET, enrol};
pub use run::{read_telemetry, run};
