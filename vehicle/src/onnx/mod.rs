//! ONNX models with one input and one output. The input blob is one `.npy` tensor whose leading
//! dimension is the batch; so is the output, in `f32`.
//!
//! A model with a fixed batch runs at that batch, chunk by chunk; one with a free batch runs at
//! the input's, in chunks of at most [`plan::MAX_CHUNK`]. The chunks depend on the shapes alone:
//! floating-point results can change with the batch size, and must not change with the weather.
//! The word to yield is heeded between chunks; there is no checkpoint. The fuel of a task is known
//! before it begins, from the shapes ([`model`]): what it does not have is not begun.

mod model;
pub(crate) mod npy;
mod plan;

use crate::protocol::{FailureCode, Limits};
use crate::worker::{Desk, Finish, Stop, Task};
use model::Source;
use npy::Tensor;

/// Executes a task.
pub(crate) fn run(mut task: Task, desk: &Desk) -> Result<Finish, Stop> {
    let source = Source::load(&task.program)?;
    let whole = task.input.whole().map_err(|error| invalid_input(error.to_string()))?;
    let input = npy::read(&whole).map_err(invalid_input)?;
    drop(whole);
    let takes = source.input_dims();
    let chunk = plan::chunk(&takes, input.shape()).map_err(invalid_input)?;
    desk.executing().map_err(|error| {
        Stop::new(FailureCode::WorkerDied, format!("the pool does not listen: {error}"))
    })?;
    match infer(&source, &input, chunk, &task.limits, desk)? {
        Some(output) => {
            task.output.write(&output)?;
            task.output.finish()?;
            Ok(Finish::Done)
        }
        None => Ok(Finish::Yielded),
    }
}

/// Whether a model could run: readable, all operators known, one input and one output, and it
/// can be prepared for a batch.
pub(crate) fn check(task: &Task) -> Result<(), Stop> {
    let source = Source::load(&task.program)?;
    source.prepare_for_any()
}

/// The output blob; `None` when it was told to leave.
fn infer(
    source: &Source,
    input: &Tensor,
    chunk: usize,
    limits: &Limits,
    desk: &Desk,
) -> Result<Option<Vec<u8>>, Stop> {
    let max_output = usize::try_from(limits.output_bytes).unwrap_or(usize::MAX);
    let items = input.shape()[0];
    let mut model = source.prepare(&[&[chunk], &input.shape()[1..]].concat())?;
    let mut values: Vec<f32> = Vec::new();
    let mut item_shape: Option<Vec<usize>> = None;
    let (mut done, mut fuel) = (0, 0);
    // All of it before any of it: what cannot be paid is not begun.
    afford(model.fuel.saturating_mul(items.div_ceil(chunk) as u64), limits)?;
    while done < items {
        if desk.should_yield() {
            return Ok(None);
        }
        let size = chunk.min(items - done);
        if size < chunk {
            model = source.prepare(&[&[size], &input.shape()[1..]].concat())?;
        }
        fuel += model.fuel;
        desk.set_fuel(fuel);
        let output = model.run(input, done, size)?;
        if output.shape.first() != Some(&size) && size < items {
            let words = format!(
                "the model gives {} for a batch of {size}: not one result per item",
                plan::show(&output.shape)
            );
            return Err(Stop::new(FailureCode::InvalidProgram, words));
        }
        if (values.len() + output.values.len()).saturating_mul(4) > max_output {
            let words = format!("over {max_output} bytes of output");
            return Err(Stop::new(FailureCode::OutputExceeded, words));
        }
        values.extend(output.values);
        item_shape.get_or_insert(output.shape);
        done += size;
        desk.set_progress(done as f32 / items as f32);
    }
    let mut shape = item_shape.unwrap_or_default();
    if chunk < items {
        shape[0] = items;
    }
    let blob = npy::write(&shape, &values);
    let blob = blob.map_err(|error| Stop::new(FailureCode::WorkerDied, error.to_string()))?;
    if blob.len() > max_output {
        let words = format!("over {max_output} bytes of output");
        return Err(Stop::new(FailureCode::OutputExceeded, words));
    }
    Ok(Some(blob))
}

fn afford(fuel: u64, limits: &Limits) -> Result<(), Stop> {
    if fuel <= limits.fuel {
        return Ok(());
    }
    let words =
        format!("the model needs {fuel} units of fuel for this input, it has {}", limits.fuel);
    Err(Stop::new(FailureCode::FuelExhausted, words))
}

fn invalid_input(words: String) -> Stop {
    Stop::new(FailureCode::InvalidInput, words)
}
