/** <sys/socket.h> of Linux. */
const [AF_UNIX, SOCK_DGRAM, SOCK_CLOEXEC] = [1, 2, 0o2000000];

/** The names of the C library: glibc's and musl's. */
const libraries = ["libc.so.6", `libc.musl-${process.arch === "x64" ? "x86_64" : "aarch64"}.so.1`];

/**
 * Tells the service manager the state of this process, like sd_notify(3). The datagram comes from this process itself,
 * since units with the default `NotifyAccess=main` accept no other. The runtime has no datagram sockets for Unix paths,
 * so this calls the C library, which needs the JIT.
 *
 * @param socket the value of NOTIFY_SOCKET: a path, or an abstract name after `@`
 * @param state `READY=1`
 * @throws an Error that says what failed
 * @see https://www.freedesktop.org/software/systemd/man/sd_notify.html
 */
export async function notifyServiceManager(socket: string, state: string): Promise<void> {
  if (!/^[/@]./.test(socket)) throw new Error("it is neither a path nor an abstract name");
  const { symbols } = await openLibrary();
  const address = Buffer.concat([
    new Uint8Array(Uint16Array.of(AF_UNIX).buffer),
    // No zero at the end: abstract names have none, and the length ends a path.
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
