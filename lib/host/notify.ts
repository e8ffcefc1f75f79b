/** <sys/socket.h> of Linux. */
const [AF_UNIX, SOCK_DGRAM, SOCK_CLOEXEC] = [1, 2, 0o2000000];

/** The C library's names: glibc's, and musl's. */
const libraries = ["libc.so.6", `libc.musl-${process.arch === "x64" ? "x86_64" : "aarch64"}.so.1`];

/**
 * Tells the service manager how this process stands, as sd_notify(3) does: one datagram of ours, so that a unit with
 * `NotifyAccess=main`, which is the default, takes it. The runtime has no such socket of its own; this needs its JIT.
 *
 * @param socket what NOTIFY_SOCKET says: a path, or with `@` before it an abstract name
 * @param state `READY=1`
 * @throws an Error that says what failed
 * @see https://www.freedesktop.org/software/systemd/man/sd_notify.html
 */
export async function notifyServiceManager(socket: string, state: string): Promise<void> {
  if (!/^[/@]./.test(socket)) throw new Error("it is neither a path nor an abstract name");
  const { symbols } = await openLibrary();
  const address = Buffer.concat([
    new Uint8Array(Uint16Array.of(AF_UNIX).buffer),
    // An abstract name has no zero at its end, and a path needs none: the length tells where it ends.
    Buffer.from(socket.replace(/^@/, "\0")),
  ]);
  const message = Buffer.from(state);
  const fd = symbols.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new Error("no socket can be made");
  const sent = symbols.sendto(fd, message, message.length, 0, address, address.length);
  symbols.close(fd);
  if (Number(sent) !== message.length) throw new Error("nobody listens there");
}

async function openLibrary() {
  const { dlopen } = await import("bun:ffi");
  const functions = {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
  } as const;
  const [first = "", second = ""] = libraries;
  try {
    return dlopen(first, functions);
  } catch {
    return dlopen(second, functions);
  }
}
