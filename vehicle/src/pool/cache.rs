//! Programs by digest, and what workers compiled from them, in memory and bounded.
//!
//! A compiled module is native code that a worker made. It is only ever handed to another worker
//! of the same program, and only what a worker sent *before* it executed anything of that program
//! is kept (the supervisor sees to it): a program cannot plant code for another, nor one task of a
//! program for the next. The runtime itself refuses a module of another version, configuration or
//! CPU, and the worker then compiles afresh. Nothing is written to a disk.

use std::collections::HashMap;
use std::sync::Arc;

use crate::protocol::Digest;

#[derive(Default)]
struct Entry {
    program: Option<Arc<Vec<u8>>>,
    /// For tasks as they are, and for deterministic ones.
    compiled: [Option<Arc<Vec<u8>>>; 2],
    used: u64,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.compiled.iter().chain([&self.program]).flatten().map(|part| part.len()).sum()
    }
}

pub(super) struct Cache {
    entries: HashMap<Digest, Entry>,
    clock: u64,
    max_bytes: usize,
}

impl Cache {
    pub fn new(max_bytes: usize) -> Self {
        Self { entries: HashMap::new(), clock: 0, max_bytes }
    }

    pub fn program(&mut self, digest: &Digest) -> Option<Arc<Vec<u8>>> {
        self.touch(digest)?.program.clone()
    }

    pub fn compiled(&mut self, digest: &Digest, deterministic: bool) -> Option<Arc<Vec<u8>>> {
        self.touch(digest)?.compiled[usize::from(deterministic)].clone()
    }

    pub fn keep_program(&mut self, digest: &Digest, program: &Arc<Vec<u8>>) {
        self.entries.entry(digest.clone()).or_default().program = Some(Arc::clone(program));
        self.settle(digest);
    }

    pub fn keep_compiled(&mut self, digest: &Digest, deterministic: bool, compiled: Vec<u8>) {
        let entry = self.entries.entry(digest.clone()).or_default();
        entry.compiled[usize::from(deterministic)] = Some(Arc::new(compiled));
        self.settle(digest);
    }

    pub fn remove(&mut self, digest: &Digest) {
        self.entries.remove(digest);
    }

    fn touch(&mut self, digest: &Digest) -> Option<&mut Entry> {
        self.clock += 1;
        let entry = self.entries.get_mut(digest)?;
        entry.used = self.clock;
        Some(entry)
    }

    /// Evicts the least recently used until the bound holds. An entry over the bound alone goes
    /// as well.
    fn settle(&mut self, digest: &Digest) {
        self.touch(digest);
        while self.entries.values().map(Entry::bytes).sum::<usize>() > self.max_bytes {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(digest, _)| digest.clone()) else { return };
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = Cache::new(10);
        let [a, b, c] = ["a", "b", "c"].map(|name| Digest(name.into()));
        cache.keep_program(&a, &Arc::new(vec![0; 4]));
        cache.keep_program(&b, &Arc::new(vec![0; 2]));
        cache.keep_compiled(&b, true, vec![0; 4]);
        assert!(cache.compiled(&b, false).is_none() && cache.compiled(&b, true).is_some());
        assert!(cache.program(&a).is_some());
        cache.keep_program(&c, &Arc::new(vec![0; 1]));
        assert!(cache.program(&a).is_some());
        assert!(cache.program(&b).is_none());
        assert!(cache.program(&c).is_some());
        cache.keep_program(&b, &Arc::new(vec![0; 11]));
        assert!(cache.program(&b).is_none());
    }
}
