//! From bytes to something that runs.

use std::path::Path;
use std::sync::Arc;

use tract_onnx::Onnx;
use tract_onnx::data_resolver::ModelDataResolver;
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::{
    DatumType, Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, TVec,
    Tensor, TractResult, TypedModel, TypedRunnableModel, tvec,
};
use tract_onnx::tract_core::ops::Cost;
use tract_onnx::tract_hir::infer::Factoid;

use super::npy;
use super::plan::show;
use crate::protocol::FailureCode;
use crate::worker::Stop;

/// Subgraphs in subgraphs: as deep as the parser of the file goes.
const MAX_DEPTH: u32 = 100;
/// Operators of a graph. The largest networks that fit a car have a few thousand.
const MAX_NODES: usize = 20_000;
/// A unit of fuel stands for about the same time as a WASM instruction, in which a processor
/// does so many multiply-adds.
const MACS_PER_FUEL: u64 = 8;

/// A model that was read, not yet prepared for a batch.
pub(super) struct Source {
    model: InferenceModel,
    takes: DatumType,
}

/// A model ready to run at one shape.
pub(super) struct Ready {
    plan: Arc<TypedRunnableModel>,
    /// Of one run.
    pub fuel: u64,
    shape: Vec<usize>,
    takes: DatumType,
}

pub(super) struct Output {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Source {
    pub fn load(program: &[u8]) -> Result<Self, Stop> {
        let onnx = reader();
        let proto = onnx.proto_model_for_read(&mut &program[..]).map_err(invalid)?;
        if let Some(name) = proto.graph.as_ref().and_then(|graph| unknown(&onnx, graph, 0)) {
            let words = format!("the operator {name} is not supported");
            return Err(Stop::new(FailureCode::InvalidProgram, words));
        }
        let nodes = proto.graph.as_ref().map_or(0, |graph| graph.node.len());
        if nodes > MAX_NODES {
            let words = format!("a model of {nodes} operators; {MAX_NODES} are taken");
            return Err(Stop::new(FailureCode::ModuleTooLarge, words));
        }
        let model = parse(&onnx, &proto)?;
        let (ins, outs) = (model.inputs.len(), model.outputs.len());
        if ins != 1 || outs != 1 {
            let words = format!("a model has one input and one output; this has {ins} and {outs}");
            return Err(Stop::new(FailureCode::InvalidProgram, words));
        }
        let fact = model.input_fact(0).map_err(invalid)?;
        let takes = fact.datum_type.concretize().unwrap_or(DatumType::F32);
        if !matches!(takes, DatumType::F32 | DatumType::U8) {
            let words = format!("the model takes {takes:?}; f32 and u8 can be given");
            return Err(Stop::new(FailureCode::InvalidProgram, words));
        }
        Ok(Self { model, takes })
    }

    /// The input's dimensions, `None` where they are free.
    pub fn input_dims(&self) -> Vec<Option<usize>> {
        let Ok(fact) = self.model.input_fact(0) else { return Vec::new() };
        let dim = |dim: Option<i64>| dim.and_then(|dim| usize::try_from(dim).ok());
        fact.shape.dims().map(|fact| dim(fact.concretize().and_then(|dim| dim.as_i64()))).collect()
    }

    /// Prepares it for inputs of this shape.
    pub fn prepare(&self, shape: &[usize]) -> Result<Ready, Stop> {
        let mut model = self.model.clone();
        let dims: TVec<usize> = shape.into();
        model.set_input_fact(0, InferenceFact::dt_shape(self.takes, dims)).map_err(invalid)?;
        // What it costs is asked before the processor's own kernels are chosen: it is to be the
        // same on every car.
        let model = model.into_typed().and_then(TypedModel::into_decluttered).map_err(invalid)?;
        gives_numbers(&model)?;
        let fuel = macs(&model).map_err(invalid)?.div_ceil(MACS_PER_FUEL);
        let plan = model.into_optimized().and_then(|model| model.into_runnable());
        Ok(Ready { plan: plan.map_err(invalid)?, fuel, shape: shape.to_vec(), takes: self.takes })
    }

    /// Prepares it for one item where only the batch is free, or as far as it goes where more is.
    pub fn prepare_for_any(&self) -> Result<(), Stop> {
        let dims = self.input_dims();
        let rest: Option<Vec<usize>> = dims.iter().skip(1).copied().collect();
        match (dims.first(), rest) {
            (Some(batch), Some(rest)) => {
                self.prepare(&[&[batch.unwrap_or(1)], &rest[..]].concat()).map(drop)
            }
            (Some(_), None) => self.model.clone().into_typed().map(drop).map_err(invalid),
            (None, _) => {
                let words = "the model's input has no dimensions; the leading one is the batch";
                Err(Stop::new(FailureCode::InvalidProgram, words))
            }
        }
    }
}

impl Ready {
    /// Runs `size` items of the input from `start`; `size` is the batch it was prepared for.
    pub fn run(&self, input: &npy::Tensor, start: usize, size: usize) -> Result<Output, Stop> {
        let item: usize = self.shape[1..].iter().product();
        let span = start * item..(start + size) * item;
        let tensor = match input {
            npy::Tensor::F32 { values, .. } => Tensor::from_shape(&self.shape, &values[span]),
            npy::Tensor::U8 { values, .. } => Tensor::from_shape(&self.shape, &values[span]),
        };
        self.eval(tensor).map_err(|error| {
            let words = format!("on input of {}: {error:#}", show(&self.shape));
            Stop::new(FailureCode::Trap, words)
        })
    }

    fn eval(&self, tensor: TractResult<Tensor>) -> TractResult<Output> {
        let tensor = tensor?.cast_to_dt(self.takes)?.into_owned();
        let outputs = self.plan.run(tvec!(tensor.into()))?;
        let output = outputs[0].cast_to::<f32>()?;
        let view = output.to_plain_array_view::<f32>()?;
        Ok(Output { shape: view.shape().to_vec(), values: view.iter().copied().collect() })
    }
}

/// Its output can be written as `f32`.
fn gives_numbers(model: &TypedModel) -> Result<(), Stop> {
    let gives = model.output_fact(0).map_err(invalid)?.datum_type;
    if gives.is_number() || gives == DatumType::Bool {
        return Ok(());
    }
    let words = format!("the model gives {gives:?}; numbers can be given");
    Err(Stop::new(FailureCode::InvalidProgram, words))
}

/// Multiply-adds and divisions of one run, known from shapes alone. What is inside of loops and
/// branches is not in it; the limit on CPU time holds there too.
fn macs(model: &TypedModel) -> TractResult<u64> {
    let mut sum = 0u64;
    for node in model.nodes() {
        let inputs = model.node_input_facts(node.id)?;
        for (cost, count) in node.op.cost(&inputs)? {
            if matches!(cost, Cost::FMA(_) | Cost::Div(_)) {
                // A count that depends on the data is not known before.
                sum = sum.saturating_add(count.to_i64().map_or(0, i64::unsigned_abs));
            }
        }
    }
    Ok(sum)
}

fn reader() -> Onnx {
    // Shapes are inferred for the batch at hand; what the file says of them may name another.
    Onnx { provider: Arc::new(NoFiles), ..tract_onnx::onnx().with_ignore_value_info(true) }
}

/// The parser indexes by names out of the file and panics on one that is missing.
fn parse(onnx: &Onnx, proto: &ModelProto) -> Result<InferenceModel, Stop> {
    let parsed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        onnx.model_for_proto_model(proto)
    }));
    match parsed {
        Ok(model) => model.map_err(invalid),
        Err(_) => Err(Stop::new(FailureCode::InvalidProgram, "the model's graph is inconsistent")),
    }
}

/// The first operator that nothing here implements.
fn unknown<'a>(onnx: &Onnx, graph: &'a GraphProto, depth: u32) -> Option<&'a str> {
    if depth > MAX_DEPTH {
        return Some("(too deep a subgraph)");
    }
    graph.node.iter().find_map(|node| {
        if !onnx.op_register.0.contains_key(&node.op_type) {
            return Some(node.op_type.as_str());
        }
        let subgraphs =
            node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
        subgraphs.into_iter().find_map(|graph| unknown(onnx, graph, depth + 1))
    })
}

/// A model brings its weights inside: a name of a file in it is not followed.
struct NoFiles;

impl ModelDataResolver for NoFiles {
    fn read_bytes_from_path(
        &self,
        _: &mut Vec<u8>,
        path: &Path,
        _: usize,
        _: Option<usize>,
    ) -> TractResult<()> {
        Err(std::io::Error::other(format!("weights outside of the model: {}", path.display()))
            .into())
    }
}

fn invalid(error: impl std::fmt::Display) -> Stop {
    Stop::new(FailureCode::InvalidProgram, format!("{error:#}"))
}
