//! Which batch to run at, from shapes alone.

/// The largest batch a model with a free batch runs at: it bounds what a chunk takes of memory
/// and of the time between two looks at the word to yield.
pub(super) const MAX_CHUNK: usize = 64;

/// The batch to run at. `takes` are the model's dimensions, `None` where they are free.
///
/// # Errors
/// In words, with both shapes, when the input does not fit.
pub(super) fn chunk(takes: &[Option<usize>], shape: &[usize]) -> Result<usize, String> {
    let refuse = || Err(format!("the model takes {}, the input is {}", want(takes), show(shape)));
    if takes.is_empty() || takes.len() != shape.len() || shape.contains(&0) {
        return refuse();
    }
    let fits = |(take, have): (&Option<usize>, &usize)| take.is_none_or(|take| take == *have);
    if !takes.iter().zip(shape).skip(1).all(fits) {
        return refuse();
    }
    match takes[0] {
        Some(batch) if batch > 0 && shape[0].is_multiple_of(batch) => Ok(batch),
        Some(_) => refuse(),
        None => Ok(shape[0].min(MAX_CHUNK)),
    }
}

pub(super) fn show(shape: &[usize]) -> String {
    want(&shape.iter().copied().map(Some).collect::<Vec<_>>())
}

fn want(dims: &[Option<usize>]) -> String {
    let dims: Vec<String> =
        dims.iter().map(|dim| dim.map_or("N".into(), |dim| dim.to_string())).collect();
    format!("[{}]", dims.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_is_the_models_or_the_inputs() {
        let cases = [
            (vec![Some(1), Some(4)], vec![7, 4], Some(1)),
            (vec![Some(8), Some(4)], vec![16, 4], Some(8)),
            (vec![Some(8), Some(4)], vec![7, 4], None),
            (vec![None, Some(4)], vec![7, 4], Some(7)),
            (vec![None, Some(4)], vec![1000, 4], Some(64)),
            (vec![None, None], vec![3, 9], Some(3)),
            (vec![None, Some(4)], vec![7, 5], None),
            (vec![None, Some(4)], vec![4], None),
            (vec![None, Some(4)], vec![0, 4], None),
            (vec![], vec![], None),
        ];
        for (takes, shape, expected) in cases {
            assert_eq!(chunk(&takes, &shape).ok(), expected, "{takes:?} {shape:?}");
        }
    }

    #[test]
    fn a_refusal_names_both_shapes() {
        let words = chunk(&[None, Some(4)], &[2, 5]).unwrap_err();
        assert_eq!(words, "the model takes [N, 4], the input is [2, 5]");
    }
}
