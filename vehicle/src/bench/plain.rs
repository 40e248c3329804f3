//! The same work in this process, with nothing on: the runtime as its makers set it up.

use std::io;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tract_onnx::prelude::{
    DatumType, Framework, InferenceFact, InferenceModelExt, IntoRunnable, Tensor, tvec,
};
use wasmtime::{Caller, Engine, Extern, Linker, Module, Store};

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Runs a module of the guest ABI that reads one number and writes a little.
pub(super) fn wasm(program: &[u8], size: u32) -> io::Result<Duration> {
    run(program, size).map_err(|error| io::Error::other(format!("plain wasmtime: {error:#}")))
}

fn run(program: &[u8], size: u32) -> wasmtime::Result<Duration> {
    let engine = Engine::default();
    let module = Module::from_binary(&engine, program)?;
    let mut linker = Linker::new(&engine);
    linker.func_wrap(
        "driveway",
        "input_read",
        move |mut guest: Caller<'_, ()>, _: i32, ptr: i32, n: i32| {
            if let Some(Extern::Memory(memory)) = guest.get_export("memory") {
                memory.write(&mut guest, ptr as u32 as usize, &size.to_le_bytes())?;
            }
            wasmtime::Result::Ok(n)
        },
    )?;
    linker.func_wrap("driveway", "output_write", |_: i32, n: i32| n)?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.get_typed_func::<(), i32>(&mut store, "run")?;
    let began = cpu();
    match run.call(&mut store, ())? {
        0 => Ok(cpu() - began),
        code => Err(wasmtime::Error::msg(format!("it ended with {code}"))),
    }
}

/// Shape of an image of the digits model, and of the batch that the sandbox runs at.
const IMAGE: [usize; 3] = [1, 8, 8];
const BATCH: usize = 64;

/// So many images as a tensor in a blob.
pub(super) fn images(count: u32) -> io::Result<Vec<u8>> {
    let shape = [&[count as usize][..], &IMAGE].concat();
    let values: Vec<f32> = pixels(shape.iter().product()).collect();
    crate::onnx::npy::write(&shape, &values)
}

fn pixels(count: usize) -> impl Iterator<Item = f32> {
    (0..count).map(|n| (n * 7 % 17) as f32 / 16.0)
}

/// Runs a model over so many images less one batch, which the sandbox's figure has taken off.
pub(super) fn model(program: &[u8], size: u32) -> io::Result<Duration> {
    infer(program, size as usize / BATCH - 1)
        .map_err(|error| io::Error::other(format!("plain tract: {error:#}")))
}

fn infer(program: &[u8], batches: usize) -> tract_onnx::prelude::TractResult<Duration> {
    let shape = [&[BATCH][..], &IMAGE].concat();
    let plan = tract_onnx::onnx()
        .with_ignore_value_info(true)
        .model_for_read(&mut &program[..])?
        .with_input_fact(0, InferenceFact::dt_shape(DatumType::F32, &shape))?
        .into_optimized()?
        .into_runnable()?;
    let values: Vec<f32> = pixels(shape.iter().product()).collect();
    let began = cpu();
    for _ in 0..batches {
        let input = Tensor::from_shape(&shape, &values)?;
        std::hint::black_box(plan.run(tvec!(input.into()))?);
    }
    Ok(cpu() - began)
}
