//! What the operating system adds around the language-level sandbox. Everything here is best
//! effort and reported: a kernel that refuses one part leaves the others in force.

use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use super::{Mode, Request, Runtime, SandboxReport};
use crate::sealed::sealed_len;

/// Native memory a worker needs besides the task's own.
const BASE_BYTES: u64 = 128 << 20;
/// What compiling a module may take; the admission check allowed as much.
const COMPILE_BYTES: u64 = 1 << 30;

/// Before anything is read.
pub(super) fn at_start() -> SandboxReport {
    SandboxReport {
        rlimits: set(Resource::Core, 0) && set(Resource::Nofile, 16),
        no_new_privs: rustix::thread::set_no_new_privs(true).is_ok(),
        // If the parent died before this line the end of our input says so.
        parent_death: rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_ok(),
        seccomp: false,
    }
}

/// Once the task is known. `RLIMIT_DATA`, not `RLIMIT_AS`: a guest's memory reserves 4 GiB of
/// addresses without using them, which is what makes its bounds checks cheap.
pub(super) fn limit(request: &Request, report: &mut SandboxReport) {
    let limits = &request.limits;
    let compile = match request.runtime {
        Runtime::Wasm if !request.has_compiled => COMPILE_BYTES,
        _ => 0,
    };
    // Twice: a buffer may have to move when it grows, and is copied on its way out.
    let output = match request.runtime {
        Runtime::Wasm => 0,
        // Written as a whole; a WASM program's goes out piece by piece.
        Runtime::Onnx => limits.output_bytes,
    };
    let buffers = [output, limits.checkpoint_bytes, request.parts_bytes]
        .into_iter()
        .fold(0, |sum: u64, bytes| sum.saturating_add(bytes.saturating_mul(2)));
    let data = match request.mode {
        Mode::Check => limits.memory_bytes,
        Mode::Run => {
            limits.memory_bytes.saturating_add(BASE_BYTES + compile).saturating_add(buffers)
        }
    };
    // The watchdog is exact; this is for the case that it does not get a turn.
    let cpu_s = u64::from(limits.cpu_ms).div_ceil(1_000) + 1;
    // The hard limit is a second later: at the hard limit the kernel's signal does not say why.
    let cpu = Rlimit { current: Some(cpu_s), maximum: Some(cpu_s + 1) };
    let written = match request.mode {
        Mode::Check => 0,
        Mode::Run => sealed_len(limits.output_bytes),
    };
    report.rlimits &= set(Resource::Data, data)
        && set(Resource::Fsize, written)
        && setrlimit(Resource::Cpu, cpu).is_ok();
}

fn set(resource: Resource, value: u64) -> bool {
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }).is_ok()
}

/// The last thing before a stranger's program is touched, when all threads run: from here on no
/// thread can open a file or a socket, start a process, or signal another one. It is made before
/// the task is known.
pub(super) struct Filter {
    #[cfg(target_os = "linux")]
    program: Option<seccompiler::BpfProgram>,
}

impl Filter {
    pub fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            program: seccomp::compile().ok(),
        }
    }

    /// Whether it is in force.
    pub fn apply(&self) -> bool {
        #[cfg(target_os = "linux")]
        let applied = self
            .program
            .as_ref()
            .is_some_and(|program| seccompiler::apply_filter_all_threads(program).is_ok());
        #[cfg(not(target_os = "linux"))]
        let applied = false;
        applied
    }
}

#[cfg(target_os = "linux")]
mod seccomp {
    use std::collections::BTreeMap;

    use seccompiler::{
        BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
        SeccompFilter, SeccompRule,
    };

    /// Memory, time, locks, the pipes that are open already, and the way out. Anything else
    /// answers "not permitted", which every caller in our libraries copes with.
    const ALLOWED: &[i64] = &[
        libc::SYS_brk,
        libc::SYS_clock_getres,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_close,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_madvise,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_nanosleep,
        // Of the input, opened before.
        libc::SYS_pread64,
        libc::SYS_read,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
        libc::SYS_write,
        libc::SYS_writev,
    ];

    pub fn compile() -> Result<BpfProgram, Error> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
        // To abort, a process signals itself; nobody else.
        let own = SeccompCondition::new(
            0,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            std::process::id().into(),
        )?;
        rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![own])?]);
        let filter = SeccompFilter::new(
            rules,
            SeccompAction::Errno(libc::EPERM as u32),
            SeccompAction::Allow,
            std::env::consts::ARCH.try_into()?,
        )?;
        Ok(filter.try_into()?)
    }
}
