//! The customers' real work: digits to recognise, braking to simulate, clips to measure. The files
//! and the recipes that made them are in `workloads/`.

use anyhow::Context;
use npyz::WriterBuilder;
use serde_json::{Value, json};

use super::client::Client;

const DIGITS: &[u8] = include_bytes!("../../../workloads/digits/digits.onnx");
const IMAGES: &[u8] = include_bytes!("../../../workloads/digits/heldout-images.npy");
const LABELS: &[u8] = include_bytes!("../../../workloads/digits/heldout-labels.npy");
const SCENARIO: &[u8] = include_bytes!("../../../workloads/scenario/scenario.wasm");
const SCENARIO_TASK: &[u8] = include_bytes!("../../../workloads/scenario/task.json");
const VIDEO: &[u8] = include_bytes!("../../../workloads/video/video.wasm");

/// Values of one image: a channel of 8 × 8.
const IMAGE: usize = 64;
const IMAGES_A_TASK: usize = 20;

/// One customer's job.
pub struct Work {
    pub customer: &'static str,
    pub email: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    /// Dollars an hour of an hw4, and cars at a time.
    pub max_price: &'static str,
    pub lanes: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Digits,
    /// Braking with or without automatic emergency braking: time to collision at which it acts,
    /// milliseconds, 0 for none.
    Braking {
        aeb_ttc_ms: u32,
    },
    Clips,
}

pub const WORK: [Work; 4] = [
    Work {
        customer: "Example Digits Ltd",
        email: "digits@customer.example",
        name: "read 360 hand-written digits",
        kind: Kind::Digits,
        max_price: "30",
        lanes: 8,
    },
    Work {
        customer: "Example Braking Lab",
        email: "braking@customer.example",
        name: "8000 emergency stops, driver alone",
        kind: Kind::Braking { aeb_ttc_ms: 0 },
        max_price: "24",
        lanes: 16,
    },
    Work {
        customer: "Example Assist Lab",
        email: "assist@customer.example",
        name: "8000 emergency stops, with automatic braking",
        kind: Kind::Braking { aeb_ttc_ms: 2_500 },
        max_price: "20",
        lanes: 16,
    },
    Work {
        customer: "Example Film Metrics",
        email: "film@customer.example",
        name: "motion in 12 clips",
        kind: Kind::Clips,
        max_price: "16",
        lanes: 12,
    },
];

impl Work {
    pub fn runtime(&self) -> &'static str {
        if self.kind == Kind::Digits { "onnx" } else { "wasm" }
    }

    /// Uploads program and inputs and submits the job; its id.
    pub fn submit(&self, client: &Client, budget: &str) -> anyhow::Result<String> {
        let (program, purpose, data_class) = match self.kind {
            Kind::Digits => (DIGITS, "inference", "non_personal"),
            Kind::Braking { .. } => (SCENARIO, "simulation", "synthetic"),
            Kind::Clips => (VIDEO, "video", "synthetic"),
        };
        let inputs = self.inputs()?;
        let inputs =
            inputs.iter().map(|input| client.upload(input)).collect::<anyhow::Result<Vec<_>>>()?;
        let usd = |amount: &str| json!({ "amount": amount, "currency": "USD" });
        let job = client.post(
            "/v1/jobs",
            &json!({
                "name": self.name,
                "market": "us",
                "runtime": self.runtime(),
                "program": client.upload(program)?,
                "purpose": purpose,
                "data_class": data_class,
                "inputs": inputs,
                "bid": {
                    "max_price": usd(self.max_price),
                    "lanes": self.lanes,
                    "budget": usd(budget),
                },
            }),
        )?;
        Ok(job["id"].as_str().context("a job has an id")?.to_owned())
    }

    fn inputs(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        match self.kind {
            Kind::Digits => image_batches(),
            Kind::Braking { aeb_ttc_ms } => (0..16).map(|n| braking(n, aeb_ttc_ms)).collect(),
            Kind::Clips => Ok((1..=12).map(|seed| clip(seed, 160, 120, 48)).collect()),
        }
    }

    /// What the outputs say, in a line; and the accuracy, where there is one, in parts per million.
    pub fn judge(&self, outputs: &[Vec<u8>]) -> anyhow::Result<(String, Option<i64>)> {
        match self.kind {
            Kind::Digits => {
                let (right, all) = count_right(outputs)?;
                let ppm = right * 1_000_000 / all.max(1);
                Ok((format!("{right} of {all} digits read correctly"), Some(ppm)))
            }
            Kind::Braking { .. } => Ok((tally(outputs)?, None)),
            Kind::Clips => {
                let frames = outputs.iter().map(|csv| rows(csv)).sum::<usize>();
                Ok((format!("{frames} frames measured"), None))
            }
        }
    }
}

fn image_batches() -> anyhow::Result<Vec<Vec<u8>>> {
    let pixels = npyz::NpyFile::new(IMAGES)?.into_vec::<f32>()?;
    pixels.chunks(IMAGE * IMAGES_A_TASK).map(npy).collect()
}

fn npy(pixels: &[f32]) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    let images = (pixels.len() / IMAGE) as u64;
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&[images, 1, 8, 8])
        .writer(&mut out)
        .begin_nd()?;
    writer.extend(pixels.iter())?;
    writer.finish()?;
    Ok(out)
}

/// The digit of an image is where its ten scores are highest.
fn count_right(outputs: &[Vec<u8>]) -> anyhow::Result<(i64, i64)> {
    let labels = npyz::NpyFile::new(LABELS)?.into_vec::<u8>()?;
    let mut read = Vec::new();
    for output in outputs {
        let scores = npyz::NpyFile::new(&output[..])?.into_vec::<f32>()?;
        for image in scores.chunks(10) {
            let best = image.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            read.push(best.map(|(digit, _)| digit));
        }
    }
    let right = read.iter().zip(&labels).filter(|(digit, label)| **digit == Some(**label as usize));
    Ok((i64::try_from(right.count())?, i64::try_from(labels.len())?))
}

/// A part of the sweep: 500 stops.
fn braking(part: u32, aeb_ttc_ms: u32) -> anyhow::Result<Vec<u8>> {
    let mut task: Value = serde_json::from_slice(SCENARIO_TASK)?;
    task["first_run"] = (part * 500).into();
    task["aeb_ttc_ms"] = aeb_ttc_ms.into();
    Ok(serde_json::to_vec(&task)?)
}

fn tally(outputs: &[Vec<u8>]) -> anyhow::Result<String> {
    let (mut runs, mut collisions, mut gap) = (0, 0, i64::MAX);
    for output in outputs {
        let result: Value = serde_json::from_slice(output)?;
        runs += result["runs"].as_i64().unwrap_or_default();
        collisions += result["collisions"].as_i64().unwrap_or_default();
        gap = gap.min(result["gap_min_mm"].as_i64().unwrap_or(i64::MAX));
    }
    Ok(format!("{collisions} collisions in {runs} stops, closest miss {gap} mm"))
}

fn rows(csv: &[u8]) -> usize {
    csv.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count().saturating_sub(1)
}

/// A textured square that moves 3 right and 2 down a frame over a slope with noise: the format of
/// `workloads/video/README.md`. Width and height are above 24, values at most 248.
fn clip(seed: u32, width: u32, height: u32, frames: u32) -> Vec<u8> {
    const SQUARE: u32 = 24;
    let mut out = Vec::with_capacity((16 + width * height * frames) as usize);
    out.extend(b"DWCL");
    for half in [1, width, height, frames, 0, 0] {
        out.extend((half as u16).to_le_bytes());
    }
    let mut lcg = seed;
    for frame in 0..frames {
        let left = (7 * u64::from(seed) + 3 * u64::from(frame)) % u64::from(width - SQUARE);
        let top = (5 * u64::from(seed) + 2 * u64::from(frame)) % u64::from(height - SQUARE);
        for y in 0..height {
            for x in 0..width {
                lcg = lcg.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let mut value = 40 + (x + y) % 256 / 4 + (lcg >> 28);
                let (u, v) = (x.wrapping_sub(left as u32), y.wrapping_sub(top as u32));
                if u < SQUARE && v < SQUARE {
                    let (a, b) = (u / 4, v / 4);
                    value += 40 + (3 * a * a + 5 * b * b + a * b) % 11 * 9;
                }
                out.push(value as u8);
            }
        }
    }
    out
}
