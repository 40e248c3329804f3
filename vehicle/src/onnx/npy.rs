//! Tensors as `.npy` blobs.

use std::io;
use std::panic::catch_unwind;

use npyz::{NpyFile, Order, WriterBuilder};

/// An input tensor in row-major order.
pub(super) enum Tensor {
    F32 { shape: Vec<usize>, values: Vec<f32> },
    U8 { shape: Vec<usize>, values: Vec<u8> },
}

impl Tensor {
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F32 { shape, .. } | Self::U8 { shape, .. } => shape,
        }
    }
}

/// Reads a blob: C order, `f32` or `u8`.
///
/// # Errors
/// In words, what is wrong with it.
pub(super) fn read(blob: &[u8]) -> Result<Tensor, String> {
    // The header is the customer's, and the parser does its sums unchecked.
    catch_unwind(|| parse(blob)).unwrap_or_else(|_| Err("the input's header is absurd".into()))
}

fn parse(blob: &[u8]) -> Result<Tensor, String> {
    let file = NpyFile::new(blob).map_err(|error| format!("the input is no .npy: {error}"))?;
    if file.order() != Order::C {
        return Err("the input is in Fortran order; C order is taken".into());
    }
    let shape: Option<Vec<usize>> =
        file.shape().iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let shape = shape.ok_or("the input's shape is absurd")?;
    let count = shape.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
    // A value is at least a byte: more values than bytes are a lie that would cost memory.
    let count = count.filter(|count| *count <= blob.len()).ok_or("the input is truncated")?;
    let descr = file.dtype().descr();
    let tensor = match descr.trim_matches('\'') {
        "<f4" | ">f4" => Tensor::F32 { shape, values: values(file, &descr)? },
        "|u1" | "<u1" => Tensor::U8 { shape, values: values(file, &descr)? },
        other => return Err(format!("the input is of type {other}; f32 and u8 are taken")),
    };
    let read = match &tensor {
        Tensor::F32 { values, .. } => values.len(),
        Tensor::U8 { values, .. } => values.len(),
    };
    if read == count { Ok(tensor) } else { Err("the input is truncated".into()) }
}

fn values<T: npyz::Deserialize>(file: NpyFile<&[u8]>, descr: &str) -> Result<Vec<T>, String> {
    file.into_vec().map_err(|error| format!("the input of type {descr} is truncated: {error}"))
}

/// A blob of `f32`.
pub(crate) fn write(shape: &[usize], values: &[f32]) -> io::Result<Vec<u8>> {
    let shape: Vec<u64> = shape.iter().map(|dim| *dim as u64).collect();
    let mut blob = Vec::with_capacity(values.len() * 4 + 128);
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut blob).begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()?;
    Ok(blob)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let blob = write(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.5]).unwrap();
        let Ok(Tensor::F32 { shape, values }) = read(&blob) else { panic!("not read") };
        assert_eq!((shape, values.len(), values[5]), (vec![2, 3], 6, 6.5));
    }

    #[test]
    fn broken_blobs_are_refused_in_words() {
        let blob = write(&[2, 3], &[0.0; 6]).unwrap();
        let huge =
            String::from_utf8_lossy(&blob[..80]).replace("(2, 3)", "(4611686018427387904, 8)");
        for broken in [&blob[..blob.len() - 1], &blob[..20], b"", b"hello", huge.as_bytes()] {
            assert!(read(broken).is_err());
        }
    }
}
