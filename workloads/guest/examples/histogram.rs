//! Counts how often each byte occurs in the input, one piece after the other: histogram.c in Rust.
//! The checkpoint is the position and the counts.

const PIECE: usize = 1 << 16;

driveway::program!(histogram);

fn histogram() -> driveway::End {
    let mut state = [0u64; 257];
    let mut saved = [0; 257 * 8];
    match driveway::resume_len() {
        0 => {}
        n if n as usize == saved.len() => {
            driveway::resume(0, &mut saved);
            for (word, bytes) in state.iter_mut().zip(saved.chunks_exact(8)) {
                *word = u64::from_le_bytes(bytes.try_into().unwrap());
            }
        }
        _ => return driveway::End::Failed(4),
    }
    let len = driveway::input_len();
    let mut piece = vec![0; PIECE];
    while state[256] < u64::from(len) {
        let n = driveway::input(state[256] as u32, &mut piece);
        if n == 0 {
            return driveway::End::Failed(5);
        }
        for byte in &piece[..n] {
            state[usize::from(*byte)] += 1;
        }
        state[256] += n as u64;
        driveway::progress(state[256] as f32 / len as f32);
        if state[256] < u64::from(len) && driveway::should_yield() {
            for (bytes, word) in saved.chunks_exact_mut(8).zip(state) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            driveway::checkpoint(&saved);
            return driveway::End::Yielded;
        }
    }
    let counts = state[..256].iter().enumerate().filter(|(_, count)| **count > 0);
    let mut distinct = 0;
    for (byte, count) in counts {
        driveway::output(format!("{},{}\n", byte, count).as_bytes());
        distinct += 1;
    }
    driveway::metric("bytes.distinct", distinct);
    driveway::log("counted\n");
    driveway::End::Done
}
