//! How the runtime is set up. A change here changes what programs cost.

use wasmtime::{Config, Engine, Module, OperatorCost, Result, Strategy};

/// Bytes of native stack a guest may use.
const MAX_STACK: usize = 512 << 10;

pub(super) fn build(deterministic: bool) -> Result<Engine> {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .consume_fuel(true)
        .operator_cost(operator_cost())
        // No epochs: the worker's watchdog ends the process instead, at no cost to the guest.
        .epoch_interruption(false)
        .max_wasm_stack(MAX_STACK)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .relaxed_simd_deterministic(true)
        // Costs float code up to 560 %; exactness across kinds of CPU is not promised without.
        .cranelift_nan_canonicalization(deterministic)
        // Copy-on-write images need a file in memory, which the confinement refuses.
        .memory_init_cow(false)
        .wasm_backtrace_max_frames(None);
    Engine::new(&config)
}

/// Operators whose work is far from one unit. What remains cheap for its work is bounded by the
/// limits on CPU and wall time.
fn operator_cost() -> OperatorCost {
    let mut cost = OperatorCost::new();
    cost.MemoryGrow = 255;
    cost.TableGrow = 255;
    cost.MemoryFill = 200;
    cost.MemoryInit = 200;
    cost.MemoryCopy = 20;
    cost.TableFill = 200;
    cost.TableCopy = 200;
    cost.TableInit = 200;
    cost.F64Div = 4;
    cost.F32Div = 4;
    cost.F64Sqrt = 8;
    cost.F32Sqrt = 8;
    for division in [
        &mut cost.I32DivS,
        &mut cost.I32DivU,
        &mut cost.I32RemS,
        &mut cost.I32RemU,
        &mut cost.I64DivS,
        &mut cost.I64DivU,
        &mut cost.I64RemS,
        &mut cost.I64RemU,
    ] {
        *division = 4;
    }
    cost.variable.memory_grow_per_page = 255;
    cost
}

/// A module from what another worker compiled; `None` when it is not for this version,
/// configuration and CPU, which the runtime checks.
#[allow(unsafe_code)]
pub(super) fn deserialize(engine: &Engine, compiled: &[u8]) -> Option<Module> {
    // SAFETY: the bytes must come from `Module::serialize`. They come from the pool's cache, which
    // only keeps what a worker of ours sent for the same program before that worker executed a
    // single instruction of it, so no guest had a hand in them; they travel through private pipes
    // and memory, never through a file.
    unsafe { Module::deserialize(engine, compiled) }.ok()
}
