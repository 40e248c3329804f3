//! ONNX models, honest and hostile, in real worker processes.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{failure, job, outcome, output, pool, tight};
use vehicle::protocol::{FailureCode, Limits, Runtime};
use vehicle::{Job, Outcome};

fn model(name: &str) -> Vec<u8> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    std::fs::read(models.join(name).with_extension("onnx")).unwrap()
}

/// A `.npy` blob, version 1.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let padded = header.len().next_multiple_of(64) + 64 - 10;
    let mut blob = b"\x93NUMPY\x01\x00".to_vec();
    blob.extend((padded as u16).to_le_bytes());
    blob.extend(format!("{header:<width$}\n", width = padded - 1).bytes());
    blob.extend(data);
    blob
}

fn floats(shape: &str, values: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    npy("<f4", shape, &data)
}

/// The shape, as it stands in the header, and the values of an output.
fn parse(blob: &[u8]) -> (String, Vec<f32>) {
    let header_len = 10 + u16::from_le_bytes([blob[8], blob[9]]) as usize;
    let header = String::from_utf8_lossy(&blob[10..header_len]);
    let shape = header.split_once("'shape': ").unwrap().1;
    let shape = shape.split_once(')').unwrap().0.trim_start_matches('(');
    let values = blob[header_len..].chunks(4);
    let values = values.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    (shape.trim_end_matches([',', ' ']).to_owned(), values)
}

fn roomy() -> Limits {
    Limits { memory_bytes: 256 << 20, ..tight() }
}

fn onnx(name: &str, input: &[u8]) -> Job {
    job(Runtime::Onnx, &model(name), input, roomy())
}

/// `relu(x W + b)` of the models `linear_*`.
fn expected(x: &[f32]) -> Vec<f32> {
    let rows = x.chunks(4).flat_map(|x| [x[0] + 2.0 * x[2], x[1] + 10.0, x[3] - x[0]]);
    rows.map(|y| y.max(0.0)).collect()
}

#[test]
fn a_batch_is_answered_in_order_whatever_the_models_batch() {
    let pool = pool(2);
    // 150 items: two whole chunks and a rest for the model with a free batch.
    for (name, items) in [("linear_free", 150), ("linear_free", 3), ("linear_one", 5)] {
        let x: Vec<f32> = (0..items * 4).map(|i| (i % 23) as f32 - 11.0).collect();
        let input = floats(&format!("({items}, 4)"), &x);
        let ended = outcome(&pool.start(onnx(name, &input)));
        let (shape, y) = parse(&output(&ended));
        assert_eq!(shape, format!("{items}, 3"), "{name}");
        assert_eq!(y, expected(&x), "{name}");
    }
}

#[test]
fn bytes_are_taken_as_numbers() {
    let pool = pool(1);
    let input = npy("|u1", "(1, 4)", &[1, 2, 250, 4]);
    let ended = outcome(&pool.start(onnx("linear_free", &input)));
    assert_eq!(parse(&output(&ended)).1, expected(&[1.0, 2.0, 250.0, 4.0]));
}

#[test]
fn input_that_does_not_fit_is_refused_with_both_shapes() {
    let pool = pool(2);
    let cases = [
        ("wrong item", floats("(2, 5)", &[0.0; 10]), "takes [N, 4], the input is [2, 5]"),
        ("wrong rank", floats("(4,)", &[0.0; 4]), "takes [N, 4], the input is [4]"),
        ("empty", floats("(0, 4)", &[]), "takes [N, 4], the input is [0, 4]"),
        ("truncated", floats("(2, 4)", &[0.0; 7]), "truncated"),
        ("wrong type", npy("<f8", "(1, 4)", &[0; 32]), "f32 and u8 are taken"),
        ("absurd", npy("<f4", "(4611686018427387904, 8)", &[0; 32]), "the input"),
        ("no tensor", b"hello".to_vec(), "no .npy"),
        ("nothing", Vec::new(), "no .npy"),
    ];
    for (name, input, words) in cases {
        let ended = outcome(&pool.start(onnx("linear_free", &input)));
        let (code, message) = failure(&ended);
        assert_eq!(code, FailureCode::InvalidInput, "{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
    }
}

#[test]
fn models_that_cannot_run_are_refused_in_words() {
    let pool = pool(2);
    let whole = model("linear_free");
    let random: Vec<u8> =
        (0..997u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let cases = [
        ("unknown operator", model("teleport"), "Teleport"),
        ("weights elsewhere", model("away"), ""),
        ("two inputs", model("two_inputs"), "one input"),
        ("random", random, ""),
        ("empty", Vec::new(), ""),
    ];
    for (name, bytes, words) in cases {
        let rejection = pool.check(Runtime::Onnx, &bytes).unwrap_err();
        assert_eq!(rejection.code, FailureCode::InvalidProgram, "{name}: {}", rejection.message);
        assert!(rejection.message.contains(words), "{name}: {}", rejection.message);
        let ended = outcome(&pool.start(job(Runtime::Onnx, &bytes, b"", roomy())));
        assert_eq!(failure(&ended).0, FailureCode::InvalidProgram, "{name}");
    }
    pool.check(Runtime::Onnx, &whole).unwrap();
    pool.check(Runtime::Onnx, &model("linear_one")).unwrap();
    for cut in (1..whole.len()).step_by(17) {
        let rejection = pool.check(Runtime::Onnx, &whole[..cut]).unwrap_err();
        assert_eq!(rejection.code, FailureCode::InvalidProgram, "cut at {cut}");
    }
}

#[test]
fn what_fuel_cannot_bound_is_stopped() {
    let pool = pool(2);
    let ended = outcome(&pool.start(onnx("expand", &floats("(1, 1)", &[1.0]))));
    let (code, message) = failure(&ended);
    assert_eq!(code, FailureCode::MemoryExceeded, "{message}");

    let limits = Limits { fuel: u64::MAX, cpu_ms: 500, memory_bytes: 2 << 30, ..tight() };
    let input = floats("(1, 1)", &[1.0]);
    let began = Instant::now();
    let ended = outcome(&pool.start(job(Runtime::Onnx, &model("heavy"), &input, limits)));
    assert_eq!(failure(&ended).0, FailureCode::CpuTimeExceeded);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn a_model_that_has_too_little_fuel_is_not_begun() {
    let pool = pool(1);
    let limits = Limits { memory_bytes: 2 << 30, ..tight() };
    let input = floats("(1, 1)", &[1.0]);
    let began = Instant::now();
    let ended = outcome(&pool.start(job(Runtime::Onnx, &model("heavy"), &input, limits)));
    assert_eq!(failure(&ended).0, FailureCode::FuelExhausted);
    assert!(failure(&ended).1.contains("units of fuel for this input"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    // 4 x 3 multiply-adds an item, and what the bias and the rest take: the same on each run.
    let fuel = |items: usize| {
        let input = floats(&format!("({items}, 4)"), &vec![1.0; items * 4]);
        let ended = outcome(&pool.start(onnx("linear_free", &input)));
        ended.usage.unwrap().fuel
    };
    assert_eq!(fuel(64), fuel(64));
    assert!((96..400).contains(&fuel(64)), "{}", fuel(64));
    assert_eq!(fuel(128), 2 * fuel(64));
}

#[test]
fn programs_that_are_too_large_are_not_even_read() {
    let pool = pool(1);
    for (runtime, bytes) in [(Runtime::Wasm, (32 << 20) + 1), (Runtime::Onnx, (256 << 20) + 1)] {
        let rejection = pool.check(runtime, &vec![0; bytes]).unwrap_err();
        assert_eq!(rejection.code, FailureCode::ModuleTooLarge, "{}", rejection.message);
    }
    let job = job(Runtime::Wasm, &vec![0; (32 << 20) + 1], b"", tight());
    assert_eq!(failure(&outcome(&pool.start(job))).0, FailureCode::ModuleTooLarge);
}

#[test]
fn the_output_is_bounded() {
    let pool = pool(1);
    let input = floats("(1000, 4)", &[1.0; 4000]);
    let limits = Limits { output_bytes: 4_000, ..roomy() };
    let ended = outcome(&pool.start(job(Runtime::Onnx, &model("linear_free"), &input, limits)));
    assert_eq!(failure(&ended).0, FailureCode::OutputExceeded);
}

#[test]
fn it_leaves_between_items() {
    let pool = pool(1);
    let items = 4_000_000;
    let limits = Limits { cpu_ms: 60_000, wall_ms: 60_000, output_bytes: 64 << 20, ..roomy() };
    let input = floats(&format!("({items}, 4)"), &vec![1.0; items * 4]);
    let run = pool.start(job(Runtime::Onnx, &model("linear_one"), &input, limits));
    while run.progress_ppm() == 0 {
        assert!(run.try_outcome().is_none(), "{:?}", run.try_outcome());
        std::thread::sleep(Duration::from_millis(2));
    }
    run.vacate(Duration::from_secs(10));
    let ended = outcome(&run);
    assert_eq!(ended.outcome, Outcome::Vacated);
    assert!(ended.usage.is_some(), "it left by itself");
}

/// A field of a protocol buffer that has bytes in it.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut rest = bytes.len();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out.extend(bytes);
    out
}

/// A model around a graph's nodes.
fn around(nodes: &[u8]) -> Vec<u8> {
    field(7, nodes)
}

#[test]
fn graphs_that_are_bombs_are_refused() {
    let pool = pool(1);
    let relu = |n: usize| {
        let (from, to) = (format!("x{n}"), format!("x{}", n + 1));
        let node = [field(1, from.as_bytes()), field(2, to.as_bytes()), field(4, b"Relu")];
        field(1, &node.concat())
    };
    let long: Vec<u8> = (0..20_001).flat_map(relu).collect();
    // An operator in whose attribute is a graph, in which is an operator, and so on.
    let mut deep = Vec::new();
    for _ in 0..2_000 {
        let attribute = [field(1, b"then_branch"), field(6, &deep)].concat();
        deep = field(1, &[field(4, b"If"), field(5, &attribute)].concat());
    }
    // A tensor that says it has 2^62 values, and none of them.
    let dims = [vec![0x08], vec![0x80; 8], vec![0x40], vec![0x10, 1]].concat();
    let huge = [field(5, &[dims, field(8, b"w")].concat()), relu(0)].concat();
    let cases = [
        ("long", around(&long), FailureCode::ModuleTooLarge),
        ("deep", around(&deep), FailureCode::InvalidProgram),
        ("huge", around(&huge), FailureCode::InvalidProgram),
    ];
    for (name, bytes, expected) in cases {
        let began = Instant::now();
        let rejection = pool.check(Runtime::Onnx, &bytes).unwrap_err();
        assert_eq!(rejection.code, expected, "{name}: {}", rejection.message);
        assert!(began.elapsed() < Duration::from_secs(10), "{name}: {:?}", began.elapsed());
    }
}
