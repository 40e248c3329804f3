#!/usr/bin/env python3
"""Writes the reference clip that README.md describes, with the standard library alone.

    make_clip.py OUT [--seed 1] [--width 160] [--height 120] [--frames 64]
"""
import argparse
import struct

SQUARE = 24


def clip(seed: int, width: int, height: int, frames: int) -> bytes:
    """A square of 6 x 6 patches that moves 3 right and 2 down per frame, over a slope with noise."""
    out = bytearray(struct.pack("<4sHHHHI", b"DWCL", 1, width, height, frames, 0))
    lcg = seed & 0xFFFFFFFF
    for frame in range(frames):
        left = (7 * seed + 3 * frame) % (width - SQUARE)
        top = (5 * seed + 2 * frame) % (height - SQUARE)
        for y in range(height):
            for x in range(width):
                lcg = (lcg * 1664525 + 1013904223) & 0xFFFFFFFF
                value = 40 + (x + y) % 256 // 4 + (lcg >> 28)
                u, v = x - left, y - top
                if 0 <= u < SQUARE and 0 <= v < SQUARE:
                    a, b = u // 4, v // 4
                    value += 40 + (3 * a * a + 5 * b * b + a * b) % 11 * 9
                out.append(value)
    return bytes(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--height", type=int, default=120)
    parser.add_argument("--frames", type=int, default=64)
    args = parser.parse_args()
    with open(args.out, "wb") as file:
        file.write(clip(args.seed, args.width, args.height, args.frames))


if __name__ == "__main__":
    main()
