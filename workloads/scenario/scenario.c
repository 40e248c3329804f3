/*
 * Car following and emergency braking, many times over.
 *
 * A lead car cruises with small disturbances and then brakes hard. A follower
 * keeps its distance by the intelligent driver model on what it perceives: a
 * noisy gap and closing speed, late by the driver's reaction time. Brakes
 * build up and release with limited jerk, the road gives at most friction x g.
 * An optional automatic emergency brake watches the time to collision.
 *
 * All arithmetic is on integers, so that every machine gives the same bits.
 * The step is 1 ms, and the units are chosen so that it needs no scaling:
 *     position in pm, speed in pm/ms (nm/s), acceleration in pm/ms^2 (um/s^2),
 *     jerk in pm/ms^3 (mm/s^3).
 *
 * README.md has the formats and the limits.
 */
#include "../guest/driveway.h"

typedef int64_t i64;
typedef uint64_t u64;

enum { INPUT_MAX = 4096, RING = 2048, BANDS = 8 };

static const i64 PM_PER_MM = 1000000000, NM_PER_MM = 1000000;
static const i64 GRAVITY_MM_S2 = 9807;

/* ---- task ------------------------------------------------------------- */

enum {
    SEED, FIRST_RUN, RUNS, CRUISE_MS, HEADWAY_MS, REACTION_MS, AEB_TTC_MS,
    FRICTION_MIN, FRICTION_MAX, SPEED_MIN, SPEED_MAX, KEYS
};

static const struct {
    const char *name;
    i64 least, most;
} KEY[KEYS] = {
    {"seed", 0, 9007199254740991},
    {"first_run", 0, 1000000000},
    {"runs", 1, 100000},
    {"cruise_ms", 1000, 120000},
    {"headway_ms", 200, 5000},
    {"reaction_ms", 0, 1600},
    {"aeb_ttc_ms", 0, 5000},
    {"friction_min_milli", 50, 1200},
    {"friction_max_milli", 50, 1200},
    {"speed_min_mm_s", 1000, 70000},
    {"speed_max_mm_s", 1000, 70000},
};

/* A strict reader of one flat JSON object of integers: every key of KEY
 * exactly once, no other. */
struct text {
    const char *at, *end;
};

static void skip_blank(struct text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\r' || *t->at == '\t'))
        t->at++;
}

static int take(struct text *t, char c)
{
    skip_blank(t);
    if (t->at == t->end || *t->at != c)
        return 0;
    t->at++;
    return 1;
}

static int take_key(struct text *t)
{
    if (!take(t, '"'))
        return -1;
    const char *start = t->at;
    while (t->at < t->end && *t->at != '"')
        t->at++;
    if (t->at == t->end)
        return -1;
    for (int k = 0; k < KEYS; k++) {
        const char *name = KEY[k].name, *c = start;
        while (c < t->at && *name && *name == *c)
            name++, c++;
        if (c == t->at && *name == 0) {
            t->at++;
            return k;
        }
    }
    return -1;
}

/* Numbers over 17 digits become a value outside every limit. */
static int take_integer(struct text *t, i64 *value)
{
    int negative = take(t, '-');
    const char *start = t->at;
    i64 sum = 0;
    if (!negative)
        skip_blank(t), start = t->at;
    while (t->at < t->end && *t->at >= '0' && *t->at <= '9') {
        if (sum < 100000000000000000)
            sum = sum * 10 + (*t->at - '0');
        t->at++;
    }
    if (t->at == start || (*start == '0' && t->at - start > 1))
        return 0;
    *value = negative ? -sum : sum;
    return 1;
}

static int32_t parse_task(const char *from, int32_t n, i64 task[KEYS])
{
    struct text t = {from, from + n};
    uint32_t seen = 0;
    if (!take(&t, '{'))
        return DW_BAD_INPUT;
    do {
        int k = take_key(&t);
        if (k < 0 || (seen >> k & 1) || !take(&t, ':') || !take_integer(&t, &task[k]))
            return DW_BAD_INPUT;
        seen |= 1u << k;
    } while (take(&t, ','));
    if (!take(&t, '}') || seen != (1u << KEYS) - 1)
        return DW_BAD_INPUT;
    skip_blank(&t);
    if (t.at != t.end)
        return DW_BAD_INPUT;
    for (int k = 0; k < KEYS; k++)
        if (task[k] < KEY[k].least || task[k] > KEY[k].most)
            return DW_OUT_OF_RANGE;
    if (task[FRICTION_MIN] > task[FRICTION_MAX] || task[SPEED_MIN] > task[SPEED_MAX])
        return DW_OUT_OF_RANGE;
    return DW_DONE;
}

/* ---- chance ----------------------------------------------------------- */

static u64 random_next(u64 *state) /* splitmix64 */
{
    u64 z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static i64 random_between(u64 *state, i64 least, i64 most)
{
    return least + (i64)((random_next(state) >> 32) * (u64)(most - least + 1) >> 32);
}

/* About normal: four uniform 16-bit numbers added; deviation 37837. */
static i64 random_bell(u64 *state)
{
    u64 r = random_next(state);
    return (i64)((r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48)) - 131070;
}

/* ---- one run ---------------------------------------------------------- */

struct outcome {
    i64 friction, speed, steps, collided, impact, least_gap, least_ttc, aeb;
};

static i64 least(i64 a, i64 b) { return a < b ? a : b; }
static i64 most(i64 a, i64 b) { return a > b ? a : b; }

/* Moves the acceleration towards its target with limited jerk. */
static i64 towards(i64 now, i64 target, i64 build_up, i64 release)
{
    return target < now ? most(target, now - build_up) : least(target, now + release);
}

/* The intelligent driver model, in mm and s; answers mm/s^2. */
static i64 follow(i64 speed, i64 closing, i64 gap, i64 headway, i64 desired)
{
    i64 wanted = 2000 + most(0, speed * headway / 1000 + speed * closing / 3873);
    i64 crowding = least(wanted * 1024 / most(gap, 100), 16384);
    i64 haste = speed * 1024 / desired;
    haste = haste * haste / 1024;
    return 1500 * (1024 - haste * haste / 1024 - crowding * crowding / 1024) / 1024;
}

static struct {
    int32_t gap, closing;
} perceived[RING];

static void simulate(const i64 task[KEYS], i64 index, struct outcome *o)
{
    u64 chance = (u64)task[SEED] * UINT64_C(0xd1342543de82ef95) + (u64)index;
    chance = random_next(&chance);

    i64 speed = random_between(&chance, task[SPEED_MIN], task[SPEED_MAX]);
    i64 friction = random_between(&chance, task[FRICTION_MIN], task[FRICTION_MAX]);
    i64 headway = task[HEADWAY_MS] * random_between(&chance, 800, 1200) / 1000;
    i64 reaction = task[REACTION_MS] * random_between(&chance, 750, 1250) / 1000;
    i64 grip = friction * GRAVITY_MM_S2 / 1000;                              /* mm/s^2 */
    i64 lead_brake = -grip * random_between(&chance, 600, 1000);             /* um/s^2 */
    i64 brake_limit = -grip * random_between(&chance, 850, 1000);
    i64 brake_at = random_between(&chance, task[CRUISE_MS] / 2, task[CRUISE_MS]);
    i64 desired = speed * 11 / 10;
    i64 alarm = least(2500, grip * 6 / 10);                                  /* mm/s^2 */

    i64 lead_a = 0, lead_v = speed * NM_PER_MM, a = 0, v = lead_v;
    i64 distance = (2000 + speed * headway / 1000) * 13 / 10 * PM_PER_MM;    /* pm */
    i64 traffic = 0, gap_noise = 0, speed_noise = 0;
    i64 alarmed = 0, aeb_since = 0;

    o->friction = friction;
    o->speed = speed;
    o->collided = o->impact = o->aeb = 0;
    o->least_gap = distance / PM_PER_MM;
    o->least_ttc = 60000;

    i64 t = 0, end = brake_at + 60000;
    for (; t < end; t++) {
        /* The lead car: cruise, then brake to a stop. */
        traffic += random_bell(&chance) - traffic / 512;
        i64 lead_target = t < brake_at
            ? most(lead_brake, least(1500000, (speed * NM_PER_MM - lead_v) / 2000 + traffic))
            : lead_brake;
        lead_a = towards(lead_a, lead_target, 30000, 10000);
        lead_v = most(0, lead_v + lead_a);

        /* What the follower will know after its reaction time. */
        i64 gap = distance / PM_PER_MM;
        i64 closing = (v - lead_v) / NM_PER_MM;
        gap_noise += random_bell(&chance) / 2 - gap_noise / 512;
        speed_noise += random_bell(&chance) / 4 - speed_noise / 512;
        perceived[t % RING].gap = (int32_t)(gap + gap_noise / 1024);
        perceived[t % RING].closing = (int32_t)(closing + speed_noise / 1024);
        i64 then = most(0, t - reaction) % RING;
        i64 seen_gap = most(perceived[then].gap, 100), seen_closing = perceived[then].closing;

        /* The driver: follow, or brake with all force if that is needed. */
        i64 own = v / NM_PER_MM;
        if (seen_closing > 0 && seen_closing * seen_closing > 2 * alarm * seen_gap)
            alarmed = 1;
        else if (seen_closing < -300)
            alarmed = 0;
        i64 target = alarmed ? brake_limit : follow(own, seen_closing, seen_gap, headway, desired) * 1000;

        /* The emergency brake: no reaction time, but 150 ms to be sure. */
        i64 ttc = closing > 0 ? gap * 1000 / closing : 60000;
        aeb_since = ttc < task[AEB_TTC_MS] ? aeb_since + 1 : 0;
        if (aeb_since > 150) {
            target = brake_limit;
            alarmed = 1;
            o->aeb = 1;
        }

        /* Tyres: the anti-lock brake lets go by 5 % for 64 ms of every 128. */
        i64 limit = (t & 64) ? brake_limit / 100 * 95 : brake_limit;
        a = towards(a, most(target, limit), alarmed ? 40000 : 12000, 10000);
        v += a;
        if (v <= 0)
            v = 0, a = most(a, 0);
        distance += lead_v - v;

        o->least_gap = least(o->least_gap, distance / PM_PER_MM);
        o->least_ttc = least(o->least_ttc, ttc);
        if (distance <= 0) {
            o->collided = 1;
            o->impact = most(0, (v - lead_v) / NM_PER_MM);
            o->least_gap = 0;
            o->least_ttc = 0;
            t++;
            break;
        }
        if (t > brake_at && lead_v == 0 && v == 0) {
            t++;
            break;
        }
    }
    o->steps = t;
}

/* ---- the sweep -------------------------------------------------------- */

/* The whole state between two runs, and so the checkpoint: 64-bit little
 * endian words without padding. */
static struct state {
    u64 magic, task;
    i64 done;
    i64 steps, collisions, aeb_runs;
    i64 impact_sum, impact_max, impact_max_run;
    i64 gap_sum, gap_least, gap_least_run, ttc_least;
    i64 band_runs[BANDS], band_collisions[BANDS];
    u64 digest, check;
} state;

static const u64 MAGIC = UINT64_C(0x31454e4543535744); /* "DWSCENE1" */

static u64 check_of(const struct state *s)
{
    return dw_fnv(DW_FNV_START, s, (int32_t)sizeof *s - 8);
}

static void add(const i64 task[KEYS], i64 index, const struct outcome *o)
{
    i64 band = (o->friction - task[FRICTION_MIN]) * BANDS / (task[FRICTION_MAX] - task[FRICTION_MIN] + 1);
    state.steps += o->steps;
    state.aeb_runs += o->aeb;
    state.band_runs[band]++;
    if (o->collided) {
        state.collisions++;
        state.band_collisions[band]++;
        state.impact_sum += o->impact;
        if (state.impact_max_run < 0 || o->impact > state.impact_max) {
            state.impact_max = o->impact;
            state.impact_max_run = index;
        }
    } else {
        state.gap_sum += o->least_gap;
        state.ttc_least = least(state.ttc_least, o->least_ttc);
        if (state.gap_least_run < 0 || o->least_gap < state.gap_least) {
            state.gap_least = o->least_gap;
            state.gap_least_run = index;
        }
    }
    state.digest = dw_fnv(state.digest, o, (int32_t)sizeof *o);
}

/* ---- the report ------------------------------------------------------- */

static char report[4096];

static char *field(char *at, const char *name, i64 value)
{
    at = dw_put_text(at, "  \"");
    at = dw_put_text(at, name);
    at = dw_put_text(at, "\": ");
    at = dw_put_int(at, value);
    return dw_put_text(at, ",\n");
}

/* A value that does not exist when there is nothing to take it from. */
static char *field_or_null(char *at, const char *name, int exists, i64 value)
{
    if (exists)
        return field(at, name, value);
    at = dw_put_text(at, "  \"");
    at = dw_put_text(at, name);
    return dw_put_text(at, "\": null,\n");
}

static char *list(char *at, const char *name, const i64 *values, int n)
{
    at = dw_put_text(at, "  \"");
    at = dw_put_text(at, name);
    at = dw_put_text(at, "\": [");
    for (int i = 0; i < n; i++) {
        at = dw_put_text(at, i ? ", " : "");
        at = dw_put_int(at, values[i]);
    }
    return dw_put_text(at, "],\n");
}

static int32_t write_report(const i64 task[KEYS])
{
    i64 bounds[BANDS + 1], runs = task[RUNS], clear = runs - state.collisions;
    i64 width = task[FRICTION_MAX] - task[FRICTION_MIN] + 1;
    for (int b = 0; b < BANDS; b++) /* the least friction that falls into band b */
        bounds[b] = task[FRICTION_MIN] + (b * width + BANDS - 1) / BANDS;
    bounds[BANDS] = task[FRICTION_MAX] + 1;

    char *at = dw_put_text(report, "{\n");
    at = field(at, "seed", task[SEED]);
    at = field(at, "first_run", task[FIRST_RUN]);
    at = field(at, "runs", runs);
    at = field(at, "simulated_ms", state.steps);
    at = field(at, "collisions", state.collisions);
    at = field(at, "collisions_ppm", (state.collisions * 1000000 + runs / 2) / runs);
    at = field(at, "impact_sum_mm_s", state.impact_sum);
    at = field_or_null(at, "impact_mean_mm_s", state.collisions > 0,
                       state.collisions ? (state.impact_sum + state.collisions / 2) / state.collisions : 0);
    at = field_or_null(at, "impact_max_mm_s", state.collisions > 0, state.impact_max);
    at = field_or_null(at, "impact_max_run", state.collisions > 0, state.impact_max_run);
    at = field(at, "gap_sum_mm", state.gap_sum);
    at = field_or_null(at, "gap_mean_mm", clear > 0, clear ? (state.gap_sum + clear / 2) / clear : 0);
    at = field_or_null(at, "gap_min_mm", clear > 0, state.gap_least);
    at = field_or_null(at, "gap_min_run", clear > 0, state.gap_least_run);
    at = field_or_null(at, "ttc_min_ms", clear > 0, state.ttc_least);
    at = field(at, "aeb_runs", state.aeb_runs);
    at = list(at, "friction_bands_milli", bounds, BANDS + 1);
    at = list(at, "runs_by_band", state.band_runs, BANDS);
    at = list(at, "collisions_by_band", state.band_collisions, BANDS);
    at = dw_put_text(at, "  \"digest\": \"");
    for (int shift = 60; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[state.digest >> shift & 15];
    at = dw_put_text(at, "\"\n}\n");
    return dw_output_all(report, (int32_t)(at - report));
}

/* ---- entry ------------------------------------------------------------ */

static int32_t restore(u64 task_hash, i64 runs)
{
    int32_t n = dw_resume_len();
    if (n <= 0) {
        state.magic = MAGIC;
        state.task = task_hash;
        state.impact_max_run = state.gap_least_run = -1;
        state.ttc_least = 60000;
        state.digest = DW_FNV_START;
        return DW_DONE;
    }
    if (n != (int32_t)sizeof state)
        return DW_BAD_CHECKPOINT;
    if (dw_resume_exact(0, &state, n))
        return DW_READ_FAILED;
    if (state.magic != MAGIC || state.task != task_hash || state.check != check_of(&state) ||
        state.done < 1 || state.done >= runs)
        return DW_BAD_CHECKPOINT;
    return DW_DONE;
}

DW_EXPORT(run) int32_t run(void)
{
    static char input[INPUT_MAX];
    i64 task[KEYS];
    int32_t n = dw_input_len(), failed;
    if (n <= 0 || n > INPUT_MAX)
        return DW_BAD_INPUT;
    if ((failed = dw_input_exact(0, input, n)) || (failed = parse_task(input, n, task)))
        return failed;
    if ((failed = restore(dw_fnv(DW_FNV_START, input, n), task[RUNS])))
        return failed;

    while (state.done < task[RUNS]) {
        i64 index = task[FIRST_RUN] + state.done;
        struct outcome o;
        simulate(task, index, &o);
        add(task, index, &o);
        state.done++;
        dw_progress((float)state.done / (float)task[RUNS]);
        if (state.done < task[RUNS] && dw_should_yield()) {
            state.check = check_of(&state);
            return dw_checkpoint(&state, (int32_t)sizeof state) ? DW_WRITE_FAILED : DW_YIELDED;
        }
    }
    return write_report(task);
}
