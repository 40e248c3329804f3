#!/usr/bin/env python3
"""Checks the committed workloads: each program under wasmtime, the network under
onnxruntime and tract. Exits 1 on any difference.

    pip install -r requirements.txt && python check.py [--write]

--write renews the expected results (scenario/result.json, video/result.csv)
from the programs instead of comparing with them.
"""
from __future__ import annotations

import json
import pathlib
import struct
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "guest"), str(HERE / "video")]

from host import INTERFACE, Attempt, Program  # noqa: E402
from make_clip import clip  # noqa: E402

BAD_INPUT, OUT_OF_RANGE, BAD_CHECKPOINT, READ_FAILED, WRITE_FAILED = 2, 3, 4, 5, 6
failures = 0
checks = 0


def expect(holds: bool, what: str) -> None:
    global failures, checks
    checks += 1
    if not holds:
        failures += 1
        print(f"FAILED: {what}")


def expect_code(a: Attempt, code: int, what: str) -> None:
    expect(a.trap is None and a.code == code, f"{what}: wanted code {code}, got {a.code} (trap: {a.trap})")


# ---- both programs -----------------------------------------------------------


def check_module(name: str, program: Program, size: int) -> None:
    expect(program.imports() == sorted(("driveway", f) for f in INTERFACE), f"{name}: imports {program.imports()}")
    expect(program.exports() == ["memory", "run"], f"{name}: exports {program.exports()}")
    expect(2_000 <= size <= 50_000, f"{name}: {size} bytes")


def check_resumption(name: str, program: Program, data: bytes, whole: Attempt, polls: list[int]) -> None:
    """Interrupted once at each of `polls`, the output is that of the uninterrupted run."""
    for poll in polls:
        first = program.attempt(data, yield_at=poll)
        expect_code(first, 1, f"{name}: yield at poll {poll}")
        expect(first.output == b"" and first.polls == poll, f"{name}: stops at once at poll {poll}")
        second = program.attempt(data, resume=first.checkpoint or b"")
        expect_code(second, 0, f"{name}: resumed from poll {poll}")
        expect(second.output == whole.output, f"{name}: output after poll {poll}")
        expect(first.polls + second.polls == whole.polls, f"{name}: no work twice after poll {poll}")


def check_relay(name: str, program: Program, data: bytes) -> None:
    """Interrupted after every single unit of work; also: fuel is the same each time."""
    whole, again = program.attempt(data), program.attempt(data)
    expect_code(whole, 0, f"{name}: small task")
    expect((whole.output, whole.fuel) == (again.output, again.fuel), f"{name}: same output and fuel twice")
    resume, attempts, at = b"", 0, []
    while True:
        a = program.attempt(data, resume=resume, yield_at=1)
        attempts += 1
        at += a.progress
        if a.code != 1:
            break
        resume = a.checkpoint
    expect_code(a, 0, f"{name}: last of {attempts} attempts")
    expect(attempts == whole.polls + 1, f"{name}: {attempts} attempts for {whole.polls} polls")
    expect(a.output == whole.output, f"{name}: output of {attempts} attempts")
    expect(at == whole.progress and at == sorted(at) and at[-1] == 1.0, f"{name}: progress")


def check_host_failures(name: str, program: Program, data: bytes, other: bytes) -> None:
    expect_code(program.attempt(data, output_limit=10), WRITE_FAILED, f"{name}: output refused")
    expect_code(program.attempt(data, yield_at=1, refuse_checkpoint=True), WRITE_FAILED, f"{name}: checkpoint refused")
    expect_code(program.attempt(data, short_reads=True), READ_FAILED, f"{name}: short reads")
    good = program.attempt(data, yield_at=2).checkpoint
    expect_code(program.attempt(data, resume=good[:-1]), BAD_CHECKPOINT, f"{name}: checkpoint cut short")
    expect_code(program.attempt(data, resume=good + b"\0" * 8), BAD_CHECKPOINT, f"{name}: checkpoint too long")
    expect_code(program.attempt(data, resume=b"x"), BAD_CHECKPOINT, f"{name}: checkpoint of one byte")
    expect_code(program.attempt(data, resume=bytes(len(good))), BAD_CHECKPOINT, f"{name}: checkpoint of zeros")
    expect_code(program.attempt(data, resume=b"\xff" * 3_000_000), BAD_CHECKPOINT, f"{name}: huge checkpoint")
    expect_code(program.attempt(other, resume=good), BAD_CHECKPOINT, f"{name}: checkpoint of another input")
    for at in range(0, len(good), 5):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        expect_code(program.attempt(data, resume=bytes(bad)), BAD_CHECKPOINT, f"{name}: checkpoint, bit flipped in byte {at}")


def check_golden(name: str, path: pathlib.Path, got: bytes) -> None:
    if "--write" in sys.argv:
        path.write_bytes(got)
    expect(path.exists() and path.read_bytes() == got, f"{name}: differs from {path.relative_to(HERE)}")


# ---- scenario ----------------------------------------------------------------


def check_scenario() -> None:
    wasm = (HERE / "scenario/scenario.wasm").read_bytes()
    program, metered = Program(wasm), Program(wasm, metered=True)
    check_module("scenario", program, len(wasm))

    standard = (HERE / "scenario/task.json").read_bytes()
    whole = program.attempt(standard)
    expect_code(whole, 0, "scenario: standard task")
    check_golden("scenario", HERE / "scenario/result.json", bytes(whole.output))
    billed = metered.attempt(standard)
    expect(billed.output == whole.output, "scenario: the same with fuel and epochs")
    print(f"scenario: {len(wasm)} bytes; standard task {whole.cpu_s:.2f} s CPU, with fuel and epochs "
          f"{billed.cpu_s:.2f} s, {billed.fuel} fuel, {billed.host_calls} host calls, {len(whole.output)} bytes out")
    check_resumption("scenario", program, standard, whole, [1, 123, 250, 499])

    def task(**changes: object) -> bytes:
        return json.dumps({**json.loads(standard), **changes}).encode()

    def report(**changes: object) -> dict:
        a = program.attempt(task(**changes))
        expect_code(a, 0, f"scenario: {changes}")
        return json.loads(a.output)

    small = task(runs=12, cruise_ms=2000)
    check_relay("scenario", metered, small)
    check_host_failures("scenario", program, small, task(runs=12, cruise_ms=2001))

    # A sweep in parts adds up to the sweep in one.
    sums = ["simulated_ms", "collisions", "impact_sum_mm_s", "gap_sum_mm", "aeb_runs"]
    one = report(runs=60, cruise_ms=3000)
    parts = [report(first_run=first, runs=20, cruise_ms=3000) for first in (0, 20, 40)]
    for key in sums:
        expect(one[key] == sum(p[key] for p in parts), f"scenario: {key} of the parts")
    for key in ("runs_by_band", "collisions_by_band"):
        expect(one[key] == [sum(column) for column in zip(*(p[key] for p in parts))], f"scenario: {key} of the parts")
    expect(one["impact_max_mm_s"] == max(p["impact_max_mm_s"] or 0 for p in parts), "scenario: worst of the parts")
    expect(one["gap_min_mm"] == min(p["gap_min_mm"] for p in parts), "scenario: closest of the parts")
    alone = report(first_run=one["impact_max_run"], runs=1, cruise_ms=3000)
    expect(alone["impact_max_mm_s"] == one["impact_max_mm_s"], "scenario: the worst run, alone")

    # What any driver would expect.
    base = {"runs": 120, "cruise_ms": 4000}
    normal = report(**base)
    for what, changes in {
        "more distance": {"headway_ms": 3000},
        "a faster driver": {"reaction_ms": 400},
        "an emergency brake": {"aeb_ttc_ms": 3000},
        "less speed": {"speed_max_mm_s": 15000},
        "a dry road": {"friction_min_milli": 900},
    }.items():
        expect(report(**base, **changes)["collisions"] < normal["collisions"], f"scenario: {what} helps")
    safe = report(**base, headway_ms=4000, reaction_ms=100, friction_min_milli=900)
    expect(safe["collisions"] == 0 and safe["impact_mean_mm_s"] is None and safe["impact_max_run"] is None,
           "scenario: a good driver on a dry road")
    doomed = report(**base, headway_ms=200, reaction_ms=1600, speed_min_mm_s=30000)
    expect(doomed["collisions"] == 120 and doomed["gap_min_mm"] is None, "scenario: a tailgater")
    expect(normal["digest"] != report(**base, seed=2027)["digest"], "scenario: another seed")
    band = report(**base, friction_min_milli=700, friction_max_milli=700)
    expect(band["runs_by_band"] == [120] + [0] * 7, "scenario: one friction")

    # The corners of what is allowed end, too.
    report(runs=2, seed=9007199254740991, first_run=1000000000, cruise_ms=120000, headway_ms=5000, reaction_ms=1600,
           aeb_ttc_ms=5000, friction_min_milli=50, friction_max_milli=1200, speed_min_mm_s=70000, speed_max_mm_s=70000)
    report(runs=2, seed=0, cruise_ms=1000, headway_ms=200, reaction_ms=0, friction_min_milli=50, friction_max_milli=50,
           speed_min_mm_s=1000, speed_max_mm_s=1000)

    text = small.decode()
    for bad in (b"", b" ", b"{", b"{}", b"[]", b"null", b"\0" * 100, b"\xff" * 4096, b"{" * 4096, b" " * 4097,
                b"x" * 5_000_000, small[:-1], small + b"x", small + small, small.replace(b":", b"", 1),
                text.replace("}", ",}").encode(), text.replace("{", "{,").encode(), text.replace('"seed"', '"sead"').encode(),
                text.replace('"seed"', '"see\0"').encode(), text.replace('"seed"', '"seed\0"').encode(),
                text.replace('"seed": 2026', '"runs": 12').encode(), text.replace("12,", "12.5,", 1).encode(),
                text.replace("12,", "1e1,", 1).encode(), text.replace("12,", "012,", 1).encode(),
                text.replace("12,", '"12",', 1).encode(), text.replace("12,", "true,", 1).encode(),
                text.replace("12,", "-,", 1).encode(), text.replace('"seed": 2026, ', "").encode(),
                text.replace("{", '{"more": 1, ').encode()):
        expect_code(program.attempt(bad), BAD_INPUT, f"scenario: {bad[:40]!r}... of {len(bad)} bytes")
    for key, values in {
        "seed": [-1, 2**53, 2**63, 2**64, 10**200], "first_run": [-1, 10**9 + 1], "runs": [0, -5, 100001, 2**32],
        "cruise_ms": [999, 120001], "headway_ms": [199, 5001], "reaction_ms": [-1, 1601], "aeb_ttc_ms": [-1, 5001],
        "friction_min_milli": [49, 1001], "friction_max_milli": [299, 1201], "speed_min_mm_s": [999, 36001],
        "speed_max_mm_s": [13999, 70001],
    }.items():
        for value in values:
            expect_code(program.attempt(task(**{key: value})), OUT_OF_RANGE, f"scenario: {key} = {value}")


# ---- video -------------------------------------------------------------------


def reference_table(data: bytes) -> str:
    """The definitions of video/README.md in numpy: another hand, the same numbers."""
    width, height, frames = struct.unpack_from("<HHH", data, 6)
    clip_frames = np.frombuffer(data, np.uint8, offset=16).reshape(frames, height, width).astype(np.int64)

    def levels(frame):
        out = [frame]
        for _ in range(2):
            p = out[-1]
            p = p[: p.shape[0] // 2 * 2, : p.shape[1] // 2 * 2]
            out.append((p[0::2, 0::2] + p[0::2, 1::2] + p[1::2, 0::2] + p[1::2, 1::2] + 2) // 4)
        return out

    def motion(now, before):
        """(dx, dy) of each block, as two arrays [rows, columns]."""
        h, w = now.shape
        rows, columns = h // 8, w // 8
        best = np.full((rows, columns), 1 << 30)
        dx, dy = np.zeros((2, rows, columns), np.int64)
        still = None
        for oy in range(-12, 13):
            for ox in range(-12, 13):
                moved = np.full((rows * 8, columns * 8), 1 << 20)  # far outside: never the best
                y0, y1 = max(0, -oy), min(rows * 8, h - oy)
                x0, x1 = max(0, -ox), min(columns * 8, w - ox)
                if y0 < y1 and x0 < x1:
                    moved[y0:y1, x0:x1] = abs(now[y0:y1, x0:x1] - before[y0 + oy : y1 + oy, x0 + ox : x1 + ox])
                sad = moved.reshape(rows, 8, columns, 8).sum((1, 3))
                if (ox, oy) == (0, 0):
                    still = sad
                better = sad < best
                best, dx, dy = np.where(better, sad, best), np.where(better, -ox, dx), np.where(better, -oy, dy)
        moves = 2 * best < still
        return dx * moves, dy * moves

    lines = ["frame,edge,difference,motion_1,motion_2,motion_4,moving_blocks,shift_x,shift_y,centre_x,centre_y"]
    before = None
    for f, frame in enumerate(clip_frames):
        now = levels(frame)
        p = frame
        gx = p[:-2, 2:] + 2 * p[1:-1, 2:] + p[2:, 2:] - p[:-2, :-2] - 2 * p[1:-1, :-2] - p[2:, :-2]
        gy = p[2:, :-2] + 2 * p[2:, 1:-1] + p[2:, 2:] - p[:-2, :-2] - 2 * p[:-2, 1:-1] - p[:-2, 2:]
        row = [f, (gx**2 + gy**2).sum(), 0, 0, 0, 0, 0, 0, 0, -1, -1]
        if before:
            row[2] = ((now[0] - before[0]) ** 2).sum()
            for k in range(3):
                dx, dy = motion(now[k], before[k])
                row[3 + k] = (dx**2 + dy**2).sum()
                if k == 0 and (n := np.count_nonzero(dx**2 + dy**2)):
                    y, x = np.nonzero(dx**2 + dy**2)
                    row[6:] = [n, dx.sum(), dy.sum(), (x * 8 + 4).sum() // n, (y * 8 + 4).sum() // n]
        before = now
        lines.append(",".join(str(int(v)) for v in row))
    return "\n".join(lines) + "\n"


def check_video() -> None:
    wasm = (HERE / "video/video.wasm").read_bytes()
    program, metered = Program(wasm), Program(wasm, metered=True)
    check_module("video", program, len(wasm))

    standard = clip(1, 160, 120, 64)
    whole = program.attempt(standard)
    expect_code(whole, 0, "video: standard clip")
    check_golden("video", HERE / "video/result.csv", bytes(whole.output))
    billed = metered.attempt(standard)
    expect(billed.output == whole.output, "video: the same with fuel and epochs")
    print(f"video: {len(wasm)} bytes; standard clip ({len(standard)} bytes) {whole.cpu_s:.2f} s CPU, with fuel and epochs "
          f"{billed.cpu_s:.2f} s, {billed.fuel} fuel, {billed.host_calls} host calls, {len(whole.output)} bytes out")
    check_resumption("video", program, standard, whole, [1, 20, 43, 63])
    expect(program.attempt(standard, yield_at=63).polls == 63, "video: one poll per frame but the last")

    small = clip(9, 64, 48, 6)
    check_relay("video", metered, small)
    check_host_failures("video", program, small, clip(9, 64, 48, 7))

    # Against another implementation; odd sizes, pure noise, one colour.
    noise = np.random.RandomState(5).randint(0, 256, 70 * 61 * 4).astype(np.uint8).tobytes()
    for name, data in {
        "square": small,
        "standard, head": struct.pack("<4sHHHHI", b"DWCL", 1, 160, 120, 6, 0) + standard[16 : 16 + 6 * 19200],
        "odd size": clip(3, 77, 53, 5),
        "noise": struct.pack("<4sHHHHI", b"DWCL", 1, 70, 61, 4, 0) + noise,
        "black": struct.pack("<4sHHHHI", b"DWCL", 1, 32, 32, 3, 0) + bytes(32 * 32 * 3),
        "one frame": clip(4, 40, 40, 1),
    }.items():
        a = program.attempt(data)
        expect_code(a, 0, f"video: {name}")
        expect(a.output.decode() == reference_table(data), f"video: {name} differs from the reference")

    # The largest frame fits, and one frame stays well inside the grace to leave.
    largest = struct.pack("<4sHHHHI", b"DWCL", 1, 640, 480, 2, 0) + bytes(2 * 640 * 480)
    a = program.attempt(largest)
    expect_code(a, 0, "video: 640 x 480")
    print(f"video: a 640 x 480 frame takes {a.cpu_s:.2f} s")
    longest = struct.pack("<4sHHHHI", b"DWCL", 1, 32, 32, 1024, 0) + bytes(1024 * 32 * 32)
    a = program.attempt(longest)
    expect_code(a, 0, "video: 1024 frames")
    last = program.attempt(longest, yield_at=1023)
    print(f"video: the largest checkpoint is {len(last.checkpoint)} bytes")
    expect(program.attempt(longest, resume=last.checkpoint).output == a.output, "video: resumed at the last frame")

    def header(magic=b"DWCL", version=1, width=64, height=48, frames=6, reserved=0) -> bytes:
        return struct.pack("<4sHHHHI", magic, version, width, height, frames, reserved) + small[16:]

    for bad in (b"", b"DWCL", small[:15], small[:16], small[:-1], small + b"\0", small[1:], b"\0" * 5000, b"\xff" * 5000,
                header(magic=b"DWCM"), header(version=0), header(version=2), header(reserved=1), header(frames=5),
                header(width=63), header(width=640, height=480, frames=1024)):
        expect_code(program.attempt(bad), BAD_INPUT, f"video: {bad[:16]!r}... of {len(bad)} bytes")
    for changes in ({"width": 31}, {"width": 641}, {"width": 65535, "height": 65535, "frames": 65535}, {"height": 31},
                    {"height": 481}, {"frames": 0}, {"frames": 1025}, {"width": 0}, {"height": 0}):
        expect_code(program.attempt(header(**changes)), OUT_OF_RANGE, f"video: {changes}")


# ---- digits ------------------------------------------------------------------


def check_digits() -> None:
    import onnxruntime
    import tract

    folder = HERE / "digits"
    for name in ("heldout-images.npy", "heldout-labels.npy"):
        expect((folder / name).read_bytes()[:8] == b"\x93NUMPY\x01\x00", f"digits: {name} is not .npy 1.0")
    images, labels = np.load(folder / "heldout-images.npy"), np.load(folder / "heldout-labels.npy")
    expect((images.dtype.str, images.shape, images.flags.c_contiguous) == ("<f4", (360, 1, 8, 8), True), "digits: images")
    expect((labels.dtype.str, labels.shape, int(labels.max())) == ("|u1", (360,), 9), "digits: labels")
    expect(bool((images * 16 == np.round(images * 16)).all() and images.min() == 0 and images.max() == 1), "digits: values")

    model = str(folder / "digits.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (into,), (out,) = session.get_inputs(), session.get_outputs()
    expect((into.name, into.type, into.shape) == ("image", "tensor(float)", ["N", 1, 8, 8]), "digits: input")
    expect((out.name, out.type, out.shape) == ("logits", "tensor(float)", ["N", 10]), "digits: output")
    car = tract.onnx().load(model).into_model().into_runnable()

    for batch in (360, 32, 1):
        parts = [images[i : i + batch] for i in range(0, 360, batch)]
        theirs = np.concatenate([session.run(None, {"image": part})[0] for part in parts])
        ours = np.concatenate([car.run([part])[0].to_numpy() for part in parts])
        expect(theirs.shape == (360, 10) and theirs.dtype == np.float32, "digits: shape of the logits")
        expect(float(abs(ours - theirs).max()) < 1e-4, f"digits: tract and onnxruntime at batch {batch}")
        for name, logits in (("onnxruntime", theirs), ("tract", ours)):
            right = int((logits.argmax(1) == labels).sum())
            expect(right == 358, f"digits: {right} of 360 right under {name} at batch {batch}")
    print(f"digits: {(folder / 'digits.onnx').stat().st_size} bytes; {right} of 360 held-out right, {right / 360:.4f}; "
          f"tract differs from onnxruntime by {abs(ours - theirs).max():.1e} at most")


def main() -> None:
    check_digits()
    check_scenario()
    check_video()
    print(f"{checks} checks, {failures} failed")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
