/*
 * Counts how often each byte occurs in the input, one piece after the other:
 * histogram.rs in C. The checkpoint is the position and the counts.
 */
#include "../driveway.h"

#define PIECE (1 << 16)

static uint64_t state[257]; /* little-endian in memory, as in the checkpoint */
static uint8_t piece[PIECE];

DW_EXPORT(run) int32_t run(void)
{
    int32_t saved = dw_resume_len();
    if (saved != 0) {
        if (saved != (int32_t)sizeof state)
            return DW_BAD_CHECKPOINT;
        if (dw_resume_exact(0, state, saved) != 0)
            return DW_READ_FAILED;
    }
    uint32_t len = (uint32_t)dw_input_len();
    while (state[256] < len) {
        int32_t n = dw_input_read((int32_t)state[256], piece, PIECE);
        if (n <= 0)
            return DW_READ_FAILED;
        for (int32_t i = 0; i < n; i++)
            state[piece[i]]++;
        state[256] += (uint64_t)n;
        dw_progress((float)state[256] / (float)len);
        if (state[256] < len && dw_should_yield()) {
            dw_checkpoint(state, (int32_t)sizeof state);
            return DW_YIELDED;
        }
    }
    int32_t distinct = 0;
    for (int32_t byte = 0; byte < 256; byte++) {
        if (state[byte] == 0)
            continue;
        char line[48], *end = dw_put_int(line, byte);
        *end++ = ',';
        end = dw_put_int(end, (int64_t)state[byte]);
        *end++ = '\n';
        if (dw_output_all(line, (int32_t)(end - line)) != 0)
            return DW_WRITE_FAILED;
        distinct++;
    }
    dw_metric("bytes.distinct", 14, distinct);
    dw_log("counted\n", 8);
    return DW_DONE;
}
