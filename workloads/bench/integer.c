/* Hashes and stirs 256 KiB as often as the input says (u32): integers and memory. For `driveway
 * bench sandbox`. */
#include "../guest/driveway.h"

#define WORDS (1 << 16)
static uint32_t words[WORDS];

DW_EXPORT(run) int32_t run(void)
{
    uint32_t rounds, state = 2463534242u;
    if (dw_input_exact(0, &rounds, 4) != 0)
        return DW_BAD_INPUT;
    for (uint32_t round = 0; round < rounds; round++)
        for (uint32_t i = 0; i < WORDS; i++) {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            uint32_t at = state & (WORDS - 1);
            words[at] = (words[at] + words[i]) * 2654435761u ^ state;
        }
    return dw_output_all(words, 64);
}
