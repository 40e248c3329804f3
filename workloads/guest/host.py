"""The guest interface of driveway.h under the wasmtime package: a host for tests.

    host.py PROGRAM.wasm INPUT          prints the output and the CPU time
"""
from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

import wasmtime
from wasmtime import Func, FuncType, ValType

I32, I64, F32 = ValType.i32(), ValType.i64(), ValType.f32()
INTERFACE = {
    "input_len": ([], [I32]),
    "input_read": ([I32, I32, I32], [I32]),
    "output_write": ([I32, I32], [I32]),
    "progress": ([F32], []),
    "should_yield": ([], [I32]),
    "checkpoint": ([I32, I32], [I32]),
    "resume_len": ([], [I32]),
    "resume_read": ([I32, I32, I32], [I32]),
    "log": ([I32, I32], [I32]),
    "metric": ([I32, I32, I64], [I32]),
}
PLENTY = 1 << 62


@dataclass
class Attempt:
    """What one call of run() left behind. `trap` is its message, if there was one."""

    code: int | None = None
    trap: str | None = None
    output: bytearray = field(default_factory=bytearray)
    checkpoint: bytes | None = None
    log: bytearray = field(default_factory=bytearray)
    metrics: dict[str, int] = field(default_factory=dict)
    progress: list[float] = field(default_factory=list)
    polls: int = 0
    host_calls: int = 0
    fuel: int | None = None
    cpu_s: float = 0.0


class Program:
    """A compiled module. `metered` switches on fuel and epochs, as a car does."""

    def __init__(self, wasm: bytes, metered: bool = False):
        config = wasmtime.Config()
        config.wasm_memory64 = False
        config.wasm_multi_memory = False
        config.consume_fuel = metered
        config.epoch_interruption = metered
        self.metered = metered
        self.engine = wasmtime.Engine(config)
        self.module = wasmtime.Module(self.engine, wasm)

    def imports(self) -> list[tuple[str, str]]:
        return sorted((i.module, i.name) for i in self.module.imports)

    def exports(self) -> list[str]:
        return sorted(e.name for e in self.module.exports)

    def attempt(
        self,
        data: bytes,
        resume: bytes = b"",
        yield_at: int | None = None,
        output_limit: int = 1 << 20,
        refuse_checkpoint: bool = False,
        short_reads: bool = False,
    ) -> Attempt:
        """Calls run() of a fresh instance; should_yield() answers 1 from poll `yield_at` (from 1) on."""
        a = Attempt()
        store = wasmtime.Store(self.engine)
        if self.metered:
            store.set_fuel(PLENTY)
            store.set_epoch_deadline(1)

        def copy_in(source: bytes, off: int, ptr: int, n: int) -> int:
            if off < 0 or n < 0:
                return -1
            part = source[off : off + n]
            if short_reads:
                part = part[:-1]
            room = memory.data_len(store)
            if ptr < 0 or ptr + len(part) > room:
                raise wasmtime.WasmtimeError("pointer outside memory")
            memory.write(store, part, ptr)
            return len(part)

        def copy_out(ptr: int, n: int) -> bytes:
            if ptr < 0 or n < 0 or ptr + n > memory.data_len(store):
                raise wasmtime.WasmtimeError("pointer outside memory")
            return bytes(memory.read(store, ptr, ptr + n))

        def output_write(ptr: int, n: int) -> int:
            part = copy_out(ptr, n)
            if len(a.output) + n > output_limit:
                return -1
            a.output += part
            return n

        def log(ptr: int, n: int) -> int:
            a.log += copy_out(ptr, n)
            return n

        def metric(ptr: int, n: int, value: int) -> int:
            a.metrics[copy_out(ptr, n).decode()] = value
            return 0

        def should_yield() -> int:
            a.polls += 1
            return int(yield_at is not None and a.polls >= yield_at)

        def checkpoint(ptr: int, n: int) -> int:
            if refuse_checkpoint:
                return -1
            a.checkpoint = copy_out(ptr, n)
            return 0

        functions = {
            "input_len": lambda: len(data),
            "input_read": lambda off, ptr, n: copy_in(data, off, ptr, n),
            "output_write": output_write,
            "progress": a.progress.append,
            "should_yield": should_yield,
            "checkpoint": checkpoint,
            "resume_len": lambda: len(resume),
            "resume_read": lambda off, ptr, n: copy_in(resume, off, ptr, n),
            "log": log,
            "metric": metric,
        }

        def counted(call):
            def inner(*args):
                a.host_calls += 1
                return call(*args)

            return inner

        linker = wasmtime.Linker(self.engine)
        for name, (params, results) in INTERFACE.items():
            linker.define(store, "driveway", name, Func(store, FuncType(params, results), counted(functions[name])))
        instance = linker.instantiate(store, self.module)
        memory = instance.exports(store)["memory"]
        start = time.process_time()
        try:
            a.code = instance.exports(store)["run"](store)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            a.trap = str(error)
        a.cpu_s = time.process_time() - start
        if self.metered:
            a.fuel = PLENTY - store.get_fuel()
        return a


def main() -> None:
    wasm, data = (open(path, "rb").read() for path in sys.argv[1:3])
    for metered in (False, True):
        a = Program(wasm, metered).attempt(data)
        if not metered:
            sys.stdout.write(a.output.decode())
        print(
            f"code {a.code} trap {a.trap} cpu {a.cpu_s:.3f} s, {a.polls} polls, {a.host_calls} host calls, fuel {a.fuel}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
