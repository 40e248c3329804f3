//! The customer's work: a long walk of a linear congruential generator, whose end can be told
//! without walking. A step that is done twice or left out, by a wrong checkpoint say, changes it.

use end_to_end::{Client, Method};
use serde_json::{Value, json};

const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
const INCREMENT: u64 = 1_442_695_040_888_963_407;

/// What an input begins with: its number of steps, in as many digits.
const DIGITS: usize = 12;

/// Walks from the hash (FNV-1a) of its input. Now and then it looks whether it should leave, and
/// then leaves how far it came and where it is.
const GUEST: &str = r#"(module
  (import "driveway" "input_len" (func $input_len (result i32)))
  (import "driveway" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "driveway" "output_write" (func $output_write (param i32 i32) (result i32)))
  (import "driveway" "should_yield" (func $should_yield (result i32)))
  (import "driveway" "checkpoint" (func $checkpoint (param i32 i32) (result i32)))
  (import "driveway" "resume_len" (func $resume_len (result i32)))
  (import "driveway" "resume_read" (func $resume_read (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "run") (result i32)
    (local $len i32) (local $at i32) (local $steps i64) (local $done i64) (local $x i64)
    (local.set $len (call $input_len))
    (drop (call $input_read (i32.const 0) (i32.const 64) (local.get $len)))
    (loop $digit
      (local.set $steps (i64.add (i64.mul (local.get $steps) (i64.const 10))
        (i64.sub (i64.load8_u offset=64 (local.get $at)) (i64.const 48))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $digit (i32.lt_u (local.get $at) (i32.const 12))))
    (local.set $at (i32.const 0))
    (local.set $x (i64.const 0xcbf29ce484222325))
    (loop $byte
      (local.set $x (i64.mul (i64.const 0x100000001b3)
        (i64.xor (local.get $x) (i64.load8_u offset=64 (local.get $at)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $byte (i32.lt_u (local.get $at) (local.get $len))))
    (if (call $resume_len) (then
      (drop (call $resume_read (i32.const 0) (i32.const 8) (i32.const 16)))
      (local.set $done (i64.load (i32.const 8)))
      (local.set $x (i64.load (i32.const 16)))))
    (block $end
      (loop $next
        (br_if $end (i64.ge_u (local.get $done) (local.get $steps)))
        (local.set $x (i64.add (i64.const 1442695040888963407)
          (i64.mul (local.get $x) (i64.const 6364136223846793005))))
        (local.set $done (i64.add (local.get $done) (i64.const 1)))
        (br_if $next (i64.ne (i64.and (local.get $done) (i64.const 0xfffff)) (i64.const 0)))
        (br_if $next (i32.eqz (call $should_yield)))
        (i64.store (i32.const 8) (local.get $done))
        (i64.store (i32.const 16) (local.get $x))
        (drop (call $checkpoint (i32.const 8) (i32.const 16)))
        (return (i32.const 1))))
    (i64.store (i32.const 8) (local.get $x))
    (drop (call $output_write (i32.const 8) (i32.const 8)))
    (i32.const 0)))"#;

/// Where the walk of this input ends, told in a few steps: the map of 2n steps is that of n steps
/// after itself.
fn expected(input: &str) -> [u8; 8] {
    let hash = |x: u64, byte: u8| (x ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let start = input.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let mut steps: u64 = input[..DIGITS].parse().unwrap();
    let (mut by, mut plus) = (MULTIPLIER, INCREMENT);
    let mut x: u64 = start;
    while steps > 0 {
        if steps & 1 == 1 {
            x = x.wrapping_mul(by).wrapping_add(plus);
        }
        plus = by.wrapping_mul(plus).wrapping_add(plus);
        by = by.wrapping_mul(by);
        steps >>= 1;
    }
    x.to_le_bytes()
}

/// A kind of job. Those of one kind are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Tasks of seconds, which go from car to car by checkpoints.
    Long,
    /// Inputs one by one.
    Plain,
    /// Told by a template.
    Array,
    Quorum,
    SpotCheck,
    /// A budget that ends leases soon.
    Poor,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Long, Self::Plain, Self::Array, Self::Quorum, Self::SpotCheck, Self::Poor];

    /// Tasks, and steps of each.
    fn size(self) -> (usize, u64) {
        match self {
            Self::Plain => (40, 30_000_000),
            Self::Array => (60, 15_000_000),
            Self::Long => (8, 800_000_000),
            Self::Quorum => (10, 30_000_000),
            Self::SpotCheck => (16, 30_000_000),
            Self::Poor => (12, 60_000_000),
        }
    }

    fn input(self, number: &str) -> String {
        format!("{:0DIGITS$} {self:?} {number}", self.size().1)
    }

    /// Each task's.
    fn inputs(self) -> Vec<String> {
        (0..self.size().0).map(|number| self.input(&number.to_string())).collect()
    }

    /// Each task's.
    pub fn outputs(self) -> Vec<[u8; 8]> {
        self.inputs().iter().map(|input| expected(input)).collect()
    }

    /// How many results of a task are paid, at least and at most.
    pub fn results(self) -> (usize, usize) {
        match self {
            Self::Quorum => (2, 2),
            Self::SpotCheck => (1, 2),
            _ => (1, 1),
        }
    }

    pub fn budget(self) -> &'static str {
        if self == Self::Poor { "0.02" } else { "1" }
    }

    fn job(self, program: &str, inputs: &[String]) -> Value {
        let usd = |amount: &str| json!({ "amount": amount, "currency": "USD" });
        let lanes = if self == Self::Poor { 3 } else { 20 };
        let mut job = json!({
            "name": format!("{self:?}"),
            "market": "us",
            "runtime": "wasm",
            "program": program,
            "purpose": "simulation",
            "data_class": "synthetic",
            "bid": { "max_price": usd("1"), "lanes": lanes, "budget": usd(self.budget()) },
        });
        match self {
            Self::Array => {
                job["array"] = json!({ "template": self.input("{index}"), "count": self.size().0 });
            }
            _ => job["inputs"] = json!(inputs),
        }
        match self {
            Self::Quorum => job["assurance"] = json!({ "level": "quorum", "results": 2 }),
            Self::SpotCheck => {
                job["assurance"] = json!({ "level": "spot_check", "rate_ppm": 300_000 });
            }
            _ => {}
        }
        job
    }
}

/// What to submit: the jobs with their blobs stored.
pub struct Work(Vec<Value>);

impl Work {
    /// Stores programs and inputs.
    pub fn store(base: &str, customer: &Client) -> Self {
        let program = customer.upload(base, &wat::parse_str(GUEST).unwrap());
        let job = |kind: Kind| {
            let inputs = kind.inputs();
            let store = |input: &String| customer.upload(base, input.as_bytes());
            let inputs: Vec<String> = inputs.iter().map(store).collect();
            kind.job(&program, &inputs)
        };
        Self(Kind::ALL.map(job).to_vec())
    }

    /// The job's id, once the server has acknowledged it.
    pub fn submit(&self, customer: &Client, base: &str, kind: Kind) -> String {
        let job = customer.insist(Method::POST, base, "/v1/jobs", &self.0[kind as usize]).unwrap();
        job["id"].as_str().unwrap().to_owned()
    }
}

#[test]
fn the_end_is_told_as_it_is_walked() {
    let input = format!("{:0DIGITS$} a walk", 1_000);
    let hash = |x: u64, byte: u8| (x ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let start = input.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let step = |x: u64, _| x.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
    assert_eq!(expected(&input), (0..1_000).fold(start, step).to_le_bytes());
}
