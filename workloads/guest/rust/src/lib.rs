//! The interface between a Driveway program and the car that runs it, for Rust: what `driveway.h`
//! is for C, which tells the life of a task in full. Without the standard library and without
//! dependencies; a program may have both.
//!
//! ```ignore
//! driveway::program!(main);
//!
//! fn main() -> driveway::End {
//!     let mut piece = [0; 4096];
//!     let n = driveway::input(0, &mut piece);
//!     driveway::output(&piece[..n]);
//!     driveway::End::Done
//! }
//! ```
//!
//! Build it as a `cdylib` for `wasm32-unknown-unknown`.
#![no_std]

/// The imports as they are. Lengths and offsets are unsigned.
pub mod raw {
    #[link(wasm_import_module = "driveway")]
    extern "C" {
        pub fn input_len() -> u32;
        pub fn input_read(off: u32, ptr: *mut u8, n: u32) -> u32;
        pub fn output_write(ptr: *const u8, n: u32) -> u32;
        pub fn progress(done: f32);
        pub fn should_yield() -> u32;
        pub fn checkpoint(ptr: *const u8, n: u32) -> u32;
        pub fn resume_len() -> u32;
        pub fn resume_read(off: u32, ptr: *mut u8, n: u32) -> u32;
        pub fn log(ptr: *const u8, n: u32) -> u32;
        pub fn metric(ptr: *const u8, n: u32, value: i64) -> i32;
    }
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The output is complete.
    Done,
    /// It was told to leave, and the checkpoint is what to go on from.
    Yielded,
    /// The program failed, with a code of its own: shown to the customer. 0 and 1 are taken.
    Failed(i32),
}

impl End {
    /// What `run` returns.
    pub fn code(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Yielded => 1,
            Self::Failed(code) => code,
        }
    }
}

/// Names the function, `fn() -> End`, that a task begins with.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        #[no_mangle]
        pub extern "C" fn run() -> i32 {
            let main: fn() -> $crate::End = $main;
            main().code()
        }
    };
}

/// Bytes of the input.
pub fn input_len() -> u32 {
    unsafe { raw::input_len() }
}

/// Copies input from `off`; the number of bytes, fewer than `into` takes only at the end.
pub fn input(off: u32, into: &mut [u8]) -> usize {
    unsafe { raw::input_read(off, into.as_mut_ptr(), into.len() as u32) as usize }
}

/// Appends to the output. It counts only if the program ends as [`End::Done`].
pub fn output(bytes: &[u8]) {
    unsafe { raw::output_write(bytes.as_ptr(), bytes.len() as u32) };
}

/// Says how far the task is, 0 to 1. For people only.
pub fn progress(done: f32) {
    unsafe { raw::progress(done) }
}

/// Whether to call [`checkpoint`] and end as [`End::Yielded`] now. Ask after a unit of work of a
/// few milliseconds, while work is left.
pub fn should_yield() -> bool {
    unsafe { raw::should_yield() != 0 }
}

/// Replaces the checkpoint.
pub fn checkpoint(bytes: &[u8]) {
    unsafe { raw::checkpoint(bytes.as_ptr(), bytes.len() as u32) };
}

/// Bytes of the checkpoint to go on from; 0 to start from the beginning.
pub fn resume_len() -> u32 {
    unsafe { raw::resume_len() }
}

/// Copies the checkpoint to go on from, from `off`; the number of bytes.
pub fn resume(off: u32, into: &mut [u8]) -> usize {
    unsafe { raw::resume_read(off, into.as_mut_ptr(), into.len() as u32) as usize }
}

/// Appends to the log, of which the last 16 KiB reach the customer.
pub fn log(text: &str) {
    unsafe { raw::log(text.as_ptr(), text.len() as u32) };
}

/// Reports a number under a name of `a-z0-9_.`, 64 bytes at most; the last value of a name counts.
/// `false` if it is none, or if there are 16 others.
pub fn metric(name: &str, value: i64) -> bool {
    unsafe { raw::metric(name.as_ptr(), name.len() as u32, value) == 0 }
}
