//! Is the program one? What no car could run is refused before any money is held.

use actix_web::web;
use scheduler::Runtime;
use scheduler::job::NewJob;
use store::PartyId;
use vehicle::protocol::Digest;
use wasmparser::{Parser, Validator, WasmFeatures};

use crate::app::App;
use crate::blobs;
use crate::problem::{Code, Problem, Result};

/// Refuses a module that does not validate. A program that the customer did not store is left to
/// the scheduler, which names it; a model is left to the car, which knows its operators.
pub async fn check(app: &App, customer: PartyId, new: &NewJob) -> Result<()> {
    if new.runtime != Runtime::Wasm {
        return Ok(());
    }
    let digest = Digest(new.program.clone());
    let asked = digest.clone();
    if !app.read(move |tx| Ok(blobs::store::may_read(tx, &asked, customer)?)).await? {
        return Ok(());
    }
    let bytes = app.blobs.read(&digest).await?;
    web::block(move || validate(&bytes)).await?
}

/// Every proposal is let through: which ones run is the car's word, and a failure there is typed.
fn validate(bytes: &[u8]) -> Result<()> {
    // A component validates too, where some other crate asked for that part of the validator.
    if !Parser::is_core_wasm(bytes) {
        return Err(Problem::new(Code::InvalidProgram).at("/program", "not a WebAssembly module"));
    }
    let valid = Validator::new_with_features(WasmFeatures::all()).validate_all(bytes);
    valid.map(drop).map_err(|error| {
        Problem::new(Code::InvalidProgram).detail(error.to_string()).at("/program", error.message())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn only_modules_validate() {
        let guests: [&[u8]; 2] = [
            include_bytes!("../../../workloads/scenario/scenario.wasm"),
            include_bytes!("../../../workloads/video/video.wasm"),
        ];
        for guest in guests {
            validate(guest).unwrap();
            assert!(validate(&guest[..guest.len() / 2]).is_err());
        }
        validate(HEADER).unwrap();
        // A function of a type that does not exist; a component; text; nothing.
        let untyped = [HEADER, b"\x03\x02\x01\x00"].concat();
        for bytes in [untyped.as_slice(), b"\0asm\x0d\0\x01\0", b"(module)", b""] {
            assert_eq!(validate(bytes).unwrap_err().code, Code::InvalidProgram);
        }
    }
}
