//! What a request's body says, in few bytes: enough to know it again, and to name the fields in which
//! another one differs.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The most fields of which a fingerprint knows each by itself.
const MAX_FIELDS: usize = 64;

/// A digest of the whole, and of its fields by JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    whole: [u8; 32],
    fields: Vec<(String, [u8; FIELD])>,
}

/// Bytes of a field's digest, of its pointer and value: chance takes one field for another once in
/// 2⁶⁴. Whether bodies are the same is for the whole digest to say.
const FIELD: usize = 8;

impl Fingerprint {
    /// Of a body with sorted members.
    pub fn of(body: &Value) -> Self {
        let mut fields = Vec::new();
        collect(body, String::new(), &mut fields);
        Self { whole: Sha256::digest(body.to_string()).into(), fields }
    }

    /// Of a request without a body.
    pub fn none() -> Self {
        Self { whole: Sha256::digest([]).into(), fields: Vec::new() }
    }

    /// As stored, for a route: its digest with the whole, then the fields' digests.
    pub fn stored(&self, route: &str) -> Vec<u8> {
        let hash = Sha256::new().chain_update(route).chain_update(self.whole).finalize();
        let fields = self.fields.iter().flat_map(|(_, digest)| digest);
        hash.iter().chain(fields).copied().collect()
    }

    /// True if an earlier request, as stored, said the same on the same route.
    pub fn is(stored: &[u8], earlier: &[u8]) -> bool {
        stored.get(..32) == earlier.get(..32)
    }

    /// The pointers of the fields that an earlier request, as stored, did not have, or had with
    /// another value.
    pub fn differs(&self, earlier: &[u8]) -> impl Iterator<Item = &str> {
        let fields = earlier.get(32..).unwrap_or_default();
        let known = |digest: &[u8; FIELD]| fields.chunks(FIELD).any(|field| field == digest);
        let told = !fields.is_empty();
        let other = move |(_, digest): &&(String, [u8; FIELD])| told && !known(digest);
        self.fields.iter().filter(other).map(|(pointer, _)| &**pointer)
    }
}

fn collect(value: &Value, pointer: String, fields: &mut Vec<(String, [u8; FIELD])>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, inner) in members {
                collect(inner, format!("{pointer}/{}", escape(name)), fields);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (n, inner) in items.iter().enumerate() {
                collect(inner, format!("{pointer}/{n}"), fields);
            }
        }
        leaf if fields.len() < MAX_FIELDS => {
            let digest = Sha256::new().chain_update(&pointer).chain_update([0]);
            let digest = digest.chain_update(leaf.to_string()).finalize();
            let mut short = [0; FIELD];
            short.copy_from_slice(&digest[..FIELD]);
            fields.push((pointer, short));
        }
        _ => {}
    }
}

/// A member's name in a JSON pointer.
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_names_the_fields_that_are_new_or_other() {
        let first = json!({ "a": 1, "b": { "c": "x", "d/e": [1, 2] }, "gone": true });
        let stored = Fingerprint::of(&first).stored("POST /v1/jobs");
        let differs = |body: Value| -> Vec<String> {
            Fingerprint::of(&body).differs(&stored).map(str::to_owned).collect()
        };
        assert_eq!(differs(first.clone()), [""; 0]);
        let other = json!({ "a": 2, "b": { "c": "x", "d/e": [1, 3, 4] }, "new": null });
        assert_eq!(differs(other), ["/a", "/b/d~1e/1", "/b/d~1e/2", "/new"]);
        let same = Fingerprint::of(&first).stored("POST /v1/jobs");
        assert!(Fingerprint::is(&same, &stored) && Fingerprint::is(&same, &stored[..32]));
        assert!(!Fingerprint::is(&Fingerprint::of(&first).stored("x"), &stored));
        // One from before there were fields tells nothing.
        assert_eq!(Fingerprint::of(&first).differs(&stored[..32]).count(), 0);
    }

    #[test]
    fn it_is_bounded() {
        let many: Vec<u32> = (0..10_000).collect();
        assert_eq!(Fingerprint::of(&json!(many)).stored("x").len(), 32 + MAX_FIELDS * FIELD);
    }
}
