/**
 * A keeper is a tiny shell that cleans up after us, however we end. It reads a pipe whose other end only we hold. The
 * kernel closes that end when we die, even by SIGKILL. Then the keeper kills the process that it watches and removes
 * our folder. It has its own session, so that Ctrl-C doesn't end it together with us.
 */
export interface Keeper {
  /** Has a process killed when we die. It has to be a child of ours that still waits for its line (see `gated`). */
  watch(pid: number): Promise<void>;
  /** Stops watching: the process has ended, and another may soon have its number. */
  forget(): Promise<void>;
  /** Kills the watched process, removes the folder, and waits until both are gone. */
  close(): Promise<void>;
}

// It ignores a service manager's signal to all processes of a unit, since it has to end after us.
// It tries to remove the folder several times: a process that was just killed may still write a file into it.
const SCRIPT = `
trap "" TERM INT QUIT HUP
pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then kill -KILL "$pid"; fi
if [ -z "$1" ]; then exit; fi
for pause in 0 1 1 1 1; do sleep "$pause"; rm -rf "$1" && exit; done
`;

/** Starts a keeper. Without a folder it only kills. */
export function startKeeper(folder?: string): Keeper {
  const shell = Bun.spawn(["/bin/sh", "-c", SCRIPT, "keeper", folder ?? ""], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
    cwd: "/",
    detached: true,
  });
  shell.unref();

  async function say(line: string) {
    shell.stdin.write(`${line}\n`);
    await shell.stdin.flush();
  }
  return {
    watch: (pid) => say(String(pid)),
    forget: () => say(""),
    async close() {
      // Without this, our process could end in the middle, with success.
      shell.ref();
      await shell.stdin.end();
      await shell.exited;
    },
  };
}

/**
 * Wraps a command for `Bun.spawn` with `stdin: "pipe"`, so that it waits for a line before it starts. If we die before
 * the keeper knows its number, it reads the end of the pipe and never starts.
 */
export function gated(command: string[]): string[] {
  return ["/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "gate", ...command];
}
