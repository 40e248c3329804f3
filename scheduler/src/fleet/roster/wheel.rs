//! Notes of which slot to look at in which second.

use std::collections::BTreeMap;

/// Notes by second. A note that is not needed any more is harmless: whoever reads it looks at the
/// car as it is.
#[derive(Debug)]
pub(super) struct Wheel {
    now_s: u32,
    notes: BTreeMap<u32, Vec<u32>>,
}

impl Wheel {
    pub fn new(now_s: u32) -> Self {
        Self { now_s, notes: BTreeMap::new() }
    }

    pub fn note(&mut self, at_s: u32, slot: u32) {
        self.notes.entry(at_s.max(self.now_s + 1)).or_default().push(slot);
    }

    /// Everything noted up to and with this second, once.
    pub fn due(&mut self, now_s: u32) -> Vec<u32> {
        self.now_s = self.now_s.max(now_s);
        let later = self.notes.split_off(&(self.now_s + 1));
        let due = std::mem::replace(&mut self.notes, later);
        due.into_values().flatten().collect()
    }
}
