//! Adds up the bytes of the standard input, in Zig without a C library.
const std = @import("std");
const wasi = std.os.wasi;

pub fn main() u8 {
    var buffer: [65536]u8 = undefined;
    var sum: u64 = 0;
    while (true) {
        var piece = [_]wasi.iovec_t{.{ .base = &buffer, .len = buffer.len }};
        var n: usize = 0;
        if (wasi.fd_read(0, &piece, 1, &n) != .SUCCESS) return 1;
        if (n == 0) break;
        for (buffer[0..n]) |byte| sum += byte;
    }
    var text: [32]u8 = undefined;
    const words = std.fmt.bufPrint(&text, "{d}\n", .{sum}) catch return 2;
    var out = [_]wasi.ciovec_t{.{ .base = words.ptr, .len = words.len }};
    var n: usize = 0;
    return if (wasi.fd_write(1, &out, 1, &n) == .SUCCESS and n == words.len) 0 else 3;
}
