/*
 * driveway.h: the interface between a Driveway program and the car that runs it.
 *
 * A program is one WebAssembly module. It exports its linear memory as
 * `memory` and one function, `run`. It imports the functions below, from the
 * module `driveway`. It may import WASI preview 1 as well, which has nothing
 * but a clock and random numbers that are the same on every car (README.md).
 * The same program on the same input must therefore write the same output
 * on every car.
 *
 * Life of a task
 *   1. The host makes a fresh instance and calls run() once.
 *   2. The program reads its input, works, and asks should_yield() between
 *      units of work (a few milliseconds to a tenth of a second each).
 *   3. If the answer is not zero, the driver wants the car back: the program
 *      calls checkpoint() with all that it needs to go on, and returns
 *      DW_YIELDED within the grace (half a second). Otherwise it is killed
 *      and what it did since its last checkpoint is lost.
 *   4. Later, here or on another car, the host calls run() of a fresh
 *      instance with the same input; resume_len() is then greater than zero.
 *   5. At the end the program writes its output and returns DW_DONE.
 *
 * Output counts only when run() returns DW_DONE: what an attempt wrote before
 * it yielded is discarded. Keep partial results in the checkpoint and write
 * the output last.
 *
 * Rule for authors: ask should_yield() after a unit of work, not before the
 * first, and only while work is left. Then every attempt moves forward.
 *
 * Pointers are offsets into the exported memory. The host checks each range;
 * a range outside the memory is the program's failure. The host never calls
 * an allocator of the program.
 */
#ifndef DRIVEWAY_H
#define DRIVEWAY_H

#include <stdint.h>

#define DW_IMPORT(name) __attribute__((import_module("driveway"), import_name(#name)))
#define DW_EXPORT(name) __attribute__((export_name(#name), visibility("default")))

/* Length of the input in bytes, unsigned. */
DW_IMPORT(input_len) int32_t dw_input_len(void);

/* Copies up to n bytes of the input, from offset off, to ptr. Returns the
 * number of bytes copied: fewer than n only at the end of the input, 0 past
 * it, negative on error. */
DW_IMPORT(input_read) int32_t dw_input_read(int32_t off, void *ptr, int32_t n);

/* Appends n bytes to the output. Returns the number of bytes written,
 * negative on error (for example: the output's limit is reached). */
DW_IMPORT(output_write) int32_t dw_output_write(const void *ptr, int32_t n);

/* Says how far the task is, from 0 to 1. For people only. */
DW_IMPORT(progress) void dw_progress(float done);

/* Not zero: checkpoint and return DW_YIELDED now. */
DW_IMPORT(should_yield) int32_t dw_should_yield(void);

/* Stores n bytes as this task's checkpoint, in place of the one before.
 * Returns 0 if it is stored. May be called more than once. */
DW_IMPORT(checkpoint) int32_t dw_checkpoint(const void *ptr, int32_t n);

/* Length of the checkpoint to go on from; 0: start from the beginning. */
DW_IMPORT(resume_len) int32_t dw_resume_len(void);

/* As input_read, for the checkpoint to go on from. */
DW_IMPORT(resume_read) int32_t dw_resume_read(int32_t off, void *ptr, int32_t n);

/* Appends n bytes to the log, of which the last 16 KiB reach the customer. */
DW_IMPORT(log) int32_t dw_log(const void *ptr, int32_t n);

/* Reports a number under a name of n bytes (1 to 64 of a-z0-9_.); the last
 * value of a name counts. 0, or -1 if the name is none or there are 16
 * others. */
DW_IMPORT(metric) int32_t dw_metric(const char *name, int32_t n, int64_t value);

/* What run() returns. 0 and 1 have a meaning for the host; every other value
 * is a failure of the program, shown to the customer as it is. The values 2
 * to 6 are the convention of the programs in this folder. */
enum {
    DW_DONE = 0,
    DW_YIELDED = 1,
    DW_BAD_INPUT = 2,      /* malformed: wrong magic, length, syntax, key */
    DW_OUT_OF_RANGE = 3,   /* well formed, but a value is outside its limits */
    DW_BAD_CHECKPOINT = 4, /* damaged, or of another input or version */
    DW_READ_FAILED = 5,    /* the host gave fewer bytes than it promised */
    DW_WRITE_FAILED = 6    /* the host refused the output or the checkpoint */
};

/* Reads exactly n bytes; 0 if that worked. */
static inline int32_t dw_input_exact(int32_t off, void *ptr, int32_t n)
{
    return dw_input_read(off, ptr, n) == n ? DW_DONE : DW_READ_FAILED;
}

static inline int32_t dw_resume_exact(int32_t off, void *ptr, int32_t n)
{
    return dw_resume_read(off, ptr, n) == n ? DW_DONE : DW_READ_FAILED;
}

/* Writes all n bytes; 0 if that worked. */
static inline int32_t dw_output_all(const void *ptr, int32_t n)
{
    const uint8_t *from = (const uint8_t *)ptr;
    while (n > 0) {
        int32_t wrote = dw_output_write(from, n);
        if (wrote <= 0 || wrote > n)
            return DW_WRITE_FAILED;
        from += wrote;
        n -= wrote;
    }
    return DW_DONE;
}

/* FNV-1a, 64 bits: tells a damaged or foreign checkpoint. Start with
 * DW_FNV_START. Not a defence against an attacker. */
#define DW_FNV_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t dw_fnv(uint64_t hash, const void *ptr, int32_t n)
{
    const uint8_t *bytes = (const uint8_t *)ptr;
    for (int32_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Decimal text without a C library. Returns the end of what was written (at
 * most 20 bytes). */
static inline char *dw_put_int(char *at, int64_t value)
{
    char digits[20];
    int32_t n = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    if (value < 0)
        *at++ = '-';
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

static inline char *dw_put_text(char *at, const char *text)
{
    while (*text)
        *at++ = *text++;
    return at;
}

#endif
