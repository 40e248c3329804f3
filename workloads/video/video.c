/*
 * Motion energy and edge energy of a grey-scale clip, frame by frame.
 *
 * Edges: the Sobel operator. Motion: a full search of +-12 pixels for each
 * block of 8 x 8 pixels, on the frame itself and on two smaller copies of it
 * (halved and quartered), so that slow and fast motion are both found.
 * Integers only: every machine gives the same bits.
 *
 * README.md has the formats, the limits and the exact definitions.
 */
#include "../guest/driveway.h"

typedef int64_t i64;
typedef uint64_t u64;

enum {
    SIDE_MIN = 32, WIDTH_MAX = 640, HEIGHT_MAX = 480, FRAMES_MAX = 1024,
    HEADER = 16, LEVELS = 3, BLOCK = 8, REACH = 12, PIXELS_MAX = WIDTH_MAX * HEIGHT_MAX
};

struct header {
    uint8_t magic[4];
    uint16_t version, width, height, frames;
    uint32_t reserved;
};

struct measure {
    i64 edge, difference, motion[LEVELS], moving, shift_x, shift_y, centre_x, centre_y;
};

/* ---- one frame -------------------------------------------------------- */

struct pyramid {
    uint8_t level[LEVELS][PIXELS_MAX];
};

static struct pyramid stock[2];

static void halve(const uint8_t *from, int w, int h, uint8_t *to)
{
    int half_w = w / 2, half_h = h / 2;
    for (int y = 0; y < half_h; y++) {
        const uint8_t *a = from + 2 * y * w, *b = a + w;
        for (int x = 0; x < half_w; x++)
            to[y * half_w + x] = (uint8_t)((a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1] + 2) / 4);
    }
}

static i64 edge_energy(const uint8_t *p, int w, int h)
{
    i64 sum = 0;
    for (int y = 1; y < h - 1; y++)
        for (int x = 1; x < w - 1; x++) {
            const uint8_t *a = p + (y - 1) * w + x, *b = a + w, *c = b + w;
            int32_t gx = a[1] + 2 * b[1] + c[1] - a[-1] - 2 * b[-1] - c[-1];
            int32_t gy = c[-1] + 2 * c[0] + c[1] - a[-1] - 2 * a[0] - a[1];
            sum += gx * gx + gy * gy;
        }
    return sum;
}

static i64 difference_energy(const uint8_t *now, const uint8_t *before, int n)
{
    i64 sum = 0;
    for (int i = 0; i < n; i++) {
        int32_t d = now[i] - before[i];
        sum += d * d;
    }
    return sum;
}

/* Sum of absolute differences of two blocks. */
static int32_t block_difference(const uint8_t *a, const uint8_t *b, int w)
{
    int32_t sum = 0;
    for (int y = 0; y < BLOCK; y++, a += w, b += w)
        for (int x = 0; x < BLOCK; x++) {
            int32_t d = a[x] - b[x];
            sum += d < 0 ? -d : d;
        }
    return sum;
}

/* The motion of the block at (x, y) from the frame before to this one. It is
 * (0, 0) unless another place fits more than twice as well; of equal places
 * the first in reading order counts. */
static void search_block(const uint8_t *now, const uint8_t *before, int w, int h, int x, int y, int *dx, int *dy)
{
    const uint8_t *here = now + y * w + x;
    int32_t still = block_difference(here, before + y * w + x, w), best = INT32_MAX;
    int best_x = x, best_y = y;
    for (int from_y = y - REACH; from_y <= y + REACH; from_y++) {
        if (from_y < 0 || from_y + BLOCK > h)
            continue;
        for (int from_x = x - REACH; from_x <= x + REACH; from_x++) {
            if (from_x < 0 || from_x + BLOCK > w)
                continue;
            int32_t d = block_difference(here, before + from_y * w + from_x, w);
            if (d < best)
                best = d, best_x = from_x, best_y = from_y;
        }
    }
    int moved = 2 * best < still;
    *dx = moved ? x - best_x : 0;
    *dy = moved ? y - best_y : 0;
}

static void search_level(const uint8_t *now, const uint8_t *before, int w, int h, int level, struct measure *m)
{
    for (int y = 0; y + BLOCK <= h; y += BLOCK)
        for (int x = 0; x + BLOCK <= w; x += BLOCK) {
            int dx, dy;
            search_block(now, before, w, h, x, y, &dx, &dy);
            m->motion[level] += dx * dx + dy * dy;
            if (level == 0 && (dx || dy)) {
                m->moving++;
                m->shift_x += dx;
                m->shift_y += dy;
                m->centre_x += x + BLOCK / 2;
                m->centre_y += y + BLOCK / 2;
            }
        }
}

static int32_t load_frame(const struct header *head, int frame, struct pyramid *to)
{
    int w = head->width, h = head->height;
    int32_t failed = dw_input_exact(HEADER + frame * w * h, to->level[0], w * h);
    for (int k = 1; !failed && k < LEVELS; k++)
        halve(to->level[k - 1], w >> (k - 1), h >> (k - 1), to->level[k]);
    return failed;
}

/* `before` is null for the first frame, which has no motion. */
static void measure_frame(const struct header *head, const struct pyramid *now, const struct pyramid *before,
                          struct measure *m)
{
    int w = head->width, h = head->height;
    m->edge = edge_energy(now->level[0], w, h);
    if (!before)
        return;
    m->difference = difference_energy(now->level[0], before->level[0], w * h);
    for (int k = 0; k < LEVELS; k++)
        search_level(now->level[k], before->level[k], w >> k, h >> k, k, m);
}

/* ---- the clip --------------------------------------------------------- */

/* The checkpoint is the head of this up to the last frame done: 64-bit little
 * endian words without padding. `check` covers all of it but itself. */
static struct state {
    u64 check, magic, clip;
    i64 done;
    struct measure frame[FRAMES_MAX];
} state;

static const u64 MAGIC = UINT64_C(0x314f454449565744); /* "DWVIDEO1" */

static int32_t state_size(i64 done)
{
    return 32 + (int32_t)(done * (i64)sizeof(struct measure));
}

static u64 check_of(i64 done)
{
    return dw_fnv(DW_FNV_START, &state.magic, state_size(done) - 8);
}

static int32_t restore(const struct header *head)
{
    u64 clip = dw_fnv(DW_FNV_START, head, HEADER);
    int32_t n = dw_resume_len();
    if (n <= 0) {
        state.magic = MAGIC;
        state.clip = clip;
        return DW_DONE;
    }
    if (n < state_size(1) || n > state_size(head->frames - 1))
        return DW_BAD_CHECKPOINT;
    if (dw_resume_exact(0, &state, n))
        return DW_READ_FAILED;
    if (state.magic != MAGIC || state.clip != clip || state.done < 1 || state.done >= head->frames ||
        n != state_size(state.done) || state.check != check_of(state.done))
        return DW_BAD_CHECKPOINT;
    return DW_DONE;
}

static int32_t read_header(struct header *head)
{
    int32_t n = dw_input_len();
    if (n < HEADER)
        return DW_BAD_INPUT;
    if (dw_input_exact(0, head, HEADER))
        return DW_READ_FAILED;
    if (head->magic[0] != 'D' || head->magic[1] != 'W' || head->magic[2] != 'C' || head->magic[3] != 'L' ||
        head->version != 1 || head->reserved != 0)
        return DW_BAD_INPUT;
    if (head->width < SIDE_MIN || head->width > WIDTH_MAX || head->height < SIDE_MIN ||
        head->height > HEIGHT_MAX || head->frames < 1 || head->frames > FRAMES_MAX)
        return DW_OUT_OF_RANGE;
    if ((i64)n != HEADER + (i64)head->width * head->height * head->frames)
        return DW_BAD_INPUT;
    return DW_DONE;
}

static int32_t write_table(int frames)
{
    static char line[256];
    char *at = dw_put_text(line, "frame,edge,difference,motion_1,motion_2,motion_4,"
                                 "moving_blocks,shift_x,shift_y,centre_x,centre_y\n");
    int32_t failed = dw_output_all(line, (int32_t)(at - line));
    for (int f = 0; !failed && f < frames; f++) {
        const struct measure *m = &state.frame[f];
        const i64 column[] = {
            f, m->edge, m->difference, m->motion[0], m->motion[1], m->motion[2], m->moving, m->shift_x, m->shift_y,
            m->moving ? m->centre_x / m->moving : -1, m->moving ? m->centre_y / m->moving : -1,
        };
        at = line;
        for (unsigned c = 0; c < sizeof column / sizeof *column; c++) {
            if (c)
                *at++ = ',';
            at = dw_put_int(at, column[c]);
        }
        *at++ = '\n';
        failed = dw_output_all(line, (int32_t)(at - line));
    }
    return failed;
}

DW_EXPORT(run) int32_t run(void)
{
    struct header head;
    int32_t failed;
    if ((failed = read_header(&head)) || (failed = restore(&head)))
        return failed;
    if (state.done > 0 && (failed = load_frame(&head, (int)state.done - 1, &stock[(state.done - 1) & 1])))
        return failed;

    while (state.done < head.frames) {
        int f = (int)state.done;
        struct pyramid *now = &stock[f & 1], *before = f ? &stock[(f - 1) & 1] : 0;
        if ((failed = load_frame(&head, f, now)))
            return failed;
        measure_frame(&head, now, before, &state.frame[f]);
        state.done++;
        dw_progress((float)state.done / (float)head.frames);
        if (state.done < head.frames && dw_should_yield()) {
            state.check = check_of(state.done);
            return dw_checkpoint(&state, state_size(state.done)) ? DW_WRITE_FAILED : DW_YIELDED;
        }
    }
    return write_table(head.frames);
}
