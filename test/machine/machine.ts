import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRunning, until } from "../support/wait.ts";

/** A machine with systemd that can boot, lose power and boot again. It shares only the loopback with this machine. */
export interface Machine extends AsyncDisposable {
  /** The path of its disk's files from outside, booted or not. */
  readonly disk: string;
  /** The process id of its init, as seen from outside. */
  readonly leader: number;
  /** Boots it. Resolves when its service manager accepts commands. */
  boot(): Promise<void>;
  /** Resolves when the boot has ended: `running`, or `degraded` if a unit failed. */
  settled(): Promise<string>;
  /** Runs a command inside the machine, as root and outside our units. */
  run(...command: string[]): Promise<Ran>;
  /** Runs a command that has to succeed. Returns its output. */
  output(...command: string[]): Promise<string>;
  /** The value of a unit's property, by `systemctl show`. */
  show(unit: string, property: string): Promise<string>;
  /** The lines of units since the boot, and the service manager's lines about them, without debug. */
  journal(units: readonly string[]): Promise<readonly string[]>;
  /** Kills everything in it at once, like a power cut. */
  cutOff(): Promise<void>;
  /** Reboots it like an admin. */
  shutDown(): Promise<void>;
}

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The keeper's script. It holds the disk's mount and the machine in its own mount namespace. When its input ends, which it
 * does however this process ends, it stops the machine and removes the folder. Only the machine's control groups are
 * outside the folder.
 */
const keeperScript = `
folder=$1 name=$2 lower=$3 hostname=$4 pid=
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then groups=/sys/fs/cgroup/$name
else groups="/sys/fs/cgroup/systemd/$name /sys/fs/cgroup/unified/$name"; fi

trap 'rm -rf "$folder"' EXIT
# Keeps the state files of nspawn inside this namespace.
mount -t tmpfs tmpfs /run || exit
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$folder/upper,workdir=$folder/work" "$folder/root" || exit
echo $$

boot() {
  for group in $groups; do
    if [ -d "\${group%/*}" ]; then mkdir "$group"; sh -c 'echo $PPID > "$1/cgroup.procs"' - "$group"; fi
  done
  exec unshare --pid --fork --kill-child systemd-nspawn --quiet --directory="$folder/root" --machine="$name" \
    --hostname="$hostname" --register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off \
    --console=pipe --boot </dev/null >"$folder/console" 2>&1
}
gone() {
  for group in $groups; do
    if [ -d "$group" ]; then find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || return 1; fi
  done
}
cut() {
  if [ -n "$pid" ]; then kill -KILL "$pid" 2>/dev/null; { wait "$pid"; } 2>/dev/null; pid=; fi
  for try in $(seq 200); do if gone; then return; fi; sleep 0.05; done
}
while read -r order; do
  case $order in
    boot) boot & pid=$!; echo "$pid";;
    cut) cut; echo "cut off";;
  esac
done
cut
umount -l "$folder/root"
`;

/**
 * A process between us and the keeper. Bun kills the children of a test that takes too long, and Ctrl-C kills the
 * foreground processes of a terminal. The keeper is neither, so it survives, sees its input end and cleans up.
 */
const starterScript = `
exec 3<&0
setsid unshare --mount --propagation private /bin/sh -c "$0" keeper "$@" <&3 3<&- &
wait
`;

export interface MachineOptions {
  /** Read-only folders with the machine's files, the uppermost first. */
  readonly layers: readonly string[];
  /** Writes files to its disk before the first boot. */
  readonly prepare?: (disk: string) => void | Promise<void>;
  /** @default etcd-1 */
  readonly hostname?: string;
}

export async function createMachine({
  layers,
  prepare,
  hostname = "etcd-1",
}: MachineOptions): Promise<Machine> {
  const folder = mkdtempSync(join(tmpdir(), "vault-helper-machine-"));
  for (const part of ["upper", "work", "root"]) mkdirSync(join(folder, part), { mode: 0o755 });
  const name = `vault-helper-${randomBytes(4).toString("hex")}`;
  const keeper = [keeperScript, folder, name, layers.join(":"), hostname];
  const starter = Bun.spawn(["/bin/sh", "-c", starterScript, ...keeper], {
    cwd: "/",
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
    detached: true,
  });
  const answers = lines(starter.stdout);
  const keeperPid = await answers();
  if (keeperPid === undefined) throw new Error("the disk of a machine can't be mounted");
  const order = async (word: string) => {
    starter.stdin.write(`${word}\n`);
    await starter.stdin.flush();
    return await answers();
  };
  const disk = `/proc/${keeperPid}/root${folder}/root`;
  const told = () => readFileSync(join(folder, "console"), "utf8").trim();
  let [pid, leader] = [0, 0];

  const run = async (...command: string[]): Promise<Ran> => {
    const inside = ["nsenter", "-t", String(leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"];
    const started = Bun.spawn(
      [...inside, "systemd-run", "--pipe", "--wait", "--quiet", "--collect", "--", ...command],
      { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" }, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    );
    const [stdout, stderr, code] = await Promise.all([
      started.stdout.text(),
      started.stderr.text(),
      started.exited,
    ]);
    return { code, stdout, stderr };
  };
  const output = async (...command: string[]) => {
    const { code, stdout, stderr } = await run(...command);
    if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${stderr}${stdout}`);
    return stdout.trim();
  };
  const machine: Machine = {
    disk,
    get leader() {
      return leader;
    },
    run,
    output,
    async boot() {
      pid = Number(await order("boot"));
      await until(() => {
        if (!isRunning(pid)) throw new Error(`it did not boot: ${told()}`);
        leader = childOf(childOf(pid)) ?? 0;
        return leader !== 0 && existsSync(`/proc/${leader}/root/run/dbus/system_bus_socket`);
      });
    },
    async settled() {
      // The exit code is not 0 for `degraded`.
      return (await run("systemctl", "is-system-running", "--wait")).stdout.trim();
    },
    show: (unit, property) => output("systemctl", "show", "--value", `--property=${property}`, unit),
    async journal(units) {
      const which = units.flatMap((unit) => ["--unit", unit]);
      // Without a cursor: with --unit, journalctl 252 leaves out the first line after it.
      const text = await output("journalctl", "-q", "--output=cat", "--priority=info", "--boot", ...which);
      return text.split("\n").filter(Boolean);
    },
    async cutOff() {
      await order("cut");
    },
    async shutDown() {
      // The command kills itself by what it does.
      await run("systemctl", "poweroff", "--no-block");
      await until(() => !isRunning(pid));
      await order("cut");
    },
    async [Symbol.asyncDispose]() {
      await starter.stdin.end();
      // Its output ends when it has cleaned up.
      while ((await answers()) !== undefined);
    },
  };
  try {
    await prepare?.(disk);
  } catch (error) {
    await machine[Symbol.asyncDispose]();
    throw error;
  }
  return machine;
}

/** Returns a function that reads the next line; undefined at the end. */
function lines(stream: ReadableStream<Uint8Array>): () => Promise<string | undefined> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  return async () => {
    for (;;) {
      const end = text.indexOf("\n");
      if (end >= 0) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        return line;
      }
      const { value, done } = await reader.read();
      if (done) return undefined;
      text += decoder.decode(value, { stream: true });
    }
  };
}

function childOf(pid: number | undefined): number | undefined {
  try {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ");
    return child ? Number(child) : undefined;
  } catch {
    return undefined;
  }
}
