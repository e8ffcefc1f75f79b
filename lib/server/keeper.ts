/**
 * A keeper is a tiny shell that outlives us, however we end. It reads a pipe whose other end only we hold:
 * the kernel closes that end when we die, even by SIGKILL, and then the keeper kills the process that it
 * was told of and removes our folder. It has a session of its own, so that Ctrl-C doesn't end it with us.
 */
export interface Keeper {
  /** From now on this process is killed when we die. Only for a child of ours that still waits for us. */
  watch(pid: number): Promise<void>;
  /** The process has ended: its number may belong to another one soon, so it must not be killed any more. */
  forget(): Promise<void>;
  /** Kills what is watched, removes the folder, and waits until both are gone. */
  close(): Promise<void>;
}

// A service manager's signal for all of a unit's processes must not end it before us.
// The folder is tried a few times: a process that was just killed may write one more file into it.
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
      // Nothing else may hold this process, and it would end in the middle, with success.
      shell.ref();
      await shell.stdin.end();
      await shell.exited;
    },
  };
}

/**
 * A command for `Bun.spawn`, with `stdin: "pipe"`, that waits for a line before it becomes the real one. If
 * we die before the keeper knows its number, it reads the end of the pipe and never starts.
 */
export function gated(command: string[]): string[] {
  return ["/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "gate", ...command];
}
