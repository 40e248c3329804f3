//! Is the program one, and are the rows? What no car could run is refused before any money is held.

use std::collections::BTreeSet;

use actix_web::web;
use diesel::prelude::*;
use futures_util::StreamExt;
use scheduler::Runtime;
use scheduler::job::{BadRow, Inputs, MAX_ARRAY, RowCounter};
use store::schema::program_check;
use store::{PartyId, Tx};
use vehicle::protocol::{Digest, Fault};
use wasmparser::{Parser, Validator, WasmFeatures};

use super::model::Submission;
use crate::app::App;
use crate::blobs;
use crate::problem::{Code, Problem, Result};

/// Checks the programs, and counts the rows of arrays. A blob that the customer did not store is
/// left to the scheduler, which names it.
pub async fn check(app: &App, customer: PartyId, new: &mut Submission) -> Result<()> {
    let mut programs = BTreeSet::from([(new.job.program.clone(), new.job.runtime)]);
    programs.extend(new.extras.stages.iter().map(|it| (it.program.clone(), it.runtime)));
    for (program, runtime) in programs {
        if may_read(app, customer, &program).await? {
            check_program(app, Digest(program), runtime).await?;
        }
    }
    for stage in &mut new.extras.stages {
        let (digest, objects, tasks) = match &mut stage.inputs {
            Inputs::Template { rows: Some(rows), tasks, .. } => (&*rows, true, tasks),
            Inputs::Rows { digest, tasks } => (&*digest, false, tasks),
            _ => continue,
        };
        if may_read(app, customer, digest).await? {
            *tasks = count_rows(app, Digest(digest.clone()), objects).await?;
        }
    }
    Ok(())
}

async fn may_read(app: &App, customer: PartyId, digest: &str) -> Result<bool> {
    let digest = Digest(digest.to_owned());
    app.read(move |tx| Ok(blobs::store::may_read(tx, &digest, customer)?)).await
}

async fn count_rows(app: &App, digest: Digest, objects: bool) -> Result<i32> {
    let refuse = |why: String| Problem::new(Code::InvalidBody).at("/array/rows", why);
    let bad = |bad: BadRow| refuse(bad.to_string());
    let mut counter = RowCounter::new(objects);
    let mut pieces = app.blobs.stream(&digest).await?;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(Problem::from)?;
        counter = web::block(move || counter.take(&piece).map(|()| counter)).await?.map_err(bad)?;
    }
    let rows = counter.finish().map_err(bad)?;
    let count = i32::try_from(rows).ok().filter(|rows| (1..=MAX_ARRAY).contains(rows));
    count.ok_or_else(|| refuse(format!("1 to {MAX_ARRAY} rows")))
}

/// A program's form is looked at each time; what a sandboxed worker found of it is remembered.
async fn check_program(app: &App, digest: Digest, runtime: Runtime) -> Result<()> {
    let (asked, kind) = (digest.clone(), runtime);
    let known = app.read(move |tx| find_verdict(tx, &asked, kind)).await?;
    if let Some((admitted, message)) = known {
        return if admitted { Ok(()) } else { Err(refusal(&message)) };
    }
    let bytes = app.blobs.read(&digest).await?;
    let state = app.clone();
    web::block(move || {
        if runtime == Runtime::Wasm {
            validate(&bytes)?;
        }
        let Some(checker) = &state.checker else { return Ok(()) };
        let verdict = match checker.check(runtime.into(), &bytes) {
            Ok(()) => None,
            Err(rejection) if rejection.fault == Fault::Program => Some(rejection.message),
            Err(rejection) => {
                tracing::warn!(digest = digest.0, %rejection, "a program could not be checked");
                return Err(Problem::new(Code::Unavailable));
            }
        };
        state.store.write(|tx| keep_verdict(tx, &digest, runtime, verdict.as_deref()))?;
        verdict.map_or(Ok(()), |message| Err(refusal(&message)))
    })
    .await?
}

fn refusal(message: &str) -> Problem {
    Problem::new(Code::InvalidProgram).detail(message).at("/program", message)
}

fn find_verdict(
    tx: &mut Tx<'_>,
    digest: &Digest,
    runtime: Runtime,
) -> Result<Option<(bool, String)>> {
    let row = program_check::table
        .find((&digest.0, runtime))
        .select((program_check::admitted, program_check::message))
        .first(tx.conn);
    Ok(row.optional()?)
}

/// Two at once find the same.
fn keep_verdict(
    tx: &mut Tx<'_>,
    digest: &Digest,
    runtime: Runtime,
    message: Option<&str>,
) -> Result<()> {
    if find_verdict(tx, digest, runtime)?.is_some() {
        return Ok(());
    }
    let message = message.unwrap_or_default().chars().filter(|c| *c != '\0').take(2_000);
    let kept = diesel::insert_into(program_check::table)
        .values((
            program_check::digest.eq(&digest.0),
            program_check::runtime.eq(runtime),
            program_check::admitted.eq(message.clone().next().is_none()),
            program_check::message.eq(message.collect::<String>()),
            program_check::checked_at.eq(tx.now),
        ))
        .execute(tx.conn);
    kept.map(drop).map_err(Problem::from)
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
