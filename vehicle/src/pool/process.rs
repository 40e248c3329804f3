//! Worker processes: started, kept ready, killed.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::WorkerConfig;

/// A worker that is up and waits for its one task, so that a task begins without waiting for a
/// process. Each thread of the pool has at most one, and started it itself: the kernel kills a
/// worker when the thread that started it ends.
#[derive(Default)]
pub(super) struct Spare(Option<Worker>);

impl Spare {
    /// Starts a worker if there is none. If that fails the next task will tell.
    pub fn fill(&mut self, config: &WorkerConfig) {
        if self.0.is_none() {
            self.0 = Worker::spawn(config).ok();
        }
    }

    /// The one that waits, if it is still alive; else a new one.
    pub fn take(&mut self, config: &WorkerConfig) -> io::Result<Worker> {
        if let Some(mut worker) = self.0.take()
            && worker.child.try_wait()?.is_none()
        {
            return Ok(worker);
        }
        Worker::spawn(config)
    }
}

/// The process and its pipes, killed with this value.
pub(super) struct Worker {
    child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: ChildStdout,
}

impl Worker {
    fn spawn(config: &WorkerConfig) -> io::Result<Self> {
        let mut child = Command::new(&config.executable)
            .args(&config.args)
            .env_clear()
            .current_dir("/")
            // Its own group: an interrupt typed at the server's terminal is not for it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the worker has no pipes"));
        };
        let worker = Self { child, stdin: Some(stdin), stdout };
        rustix::io::ioctl_fionbio(&worker.stdout, true)?;
        if let Some(stdin) = &worker.stdin {
            rustix::io::ioctl_fionbio(stdin, true)?;
        }
        Ok(worker)
    }

    /// Kills and reaps it. Its output ends an instant before its process does: `dying` lets it
    /// say how it died.
    pub fn end(&mut self, dying: bool) -> io::Result<ExitStatus> {
        for _ in 0..if dying { 100 } else { 0 } {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Nothing to do when it has gone already, which is the rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
