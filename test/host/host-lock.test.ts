import { afterEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { type LockedThing, takeHostLock } from "../../lib/host/host-lock.ts";
import { runInChild } from "../support/child.ts";
import { failureOf } from "../support/failure.ts";
import { makeFifo, temporaryFolder } from "../support/folder.ts";
import { snippet } from "../support/snippet.ts";

const shared = "/run/vault-helper/sets";
const within = (milliseconds: number) => ({ signal: AbortSignal.timeout(milliseconds) });

function setOf(folder: string, base = "kubelet"): LockedThing {
  return { kind: "set", folder, base, name: join(folder, base) };
}

/** The folder with the locks of sets, which the units that issue can write in. */
async function lockFileOf(thing: LockedThing): Promise<string> {
  using _ = await takeHostLock(thing, within(1000));
  const open = readdirSync("/proc/self/fd").map((fd) => readlinkOf(`/proc/self/fd/${fd}`));
  const own = open.find((path) => path.startsWith("/run/vault-helper/private/")) ?? "";
  const lock = join(shared, basename(own));
  made.push(lock, own);
  return lock;
}

function readlinkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // the folder's own descriptor, which is closed by now
  }
}

const made: string[] = [];
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

describe("takeHostLock()", () => {
  test.each(["token", "set", "hooks", "kubeconfig"] as const)("locks one %s only", async (kind) => {
    using folder = temporaryFolder();
    using other = temporaryFolder();
    const thing = { ...setOf(folder.path), kind };
    using _ = await takeHostLock(thing, within(1000));
    const failure = await failureOf(() => takeHostLock(thing, within(200)));
    expect([failure.kind, failure.message]).toEqual([
      "temporary",
      `another run held ${thing.name} until this one ended (The operation timed out.)`,
    ]);
    using _base = await takeHostLock({ ...setOf(folder.path, "other"), kind }, within(200));
    using _folder = await takeHostLock({ ...setOf(other.path), kind }, within(200));
  });

  test("takes the same lock for all paths of a folder", async () => {
    using folder = temporaryFolder();
    symlinkSync(folder.path, join(folder.path, "link"));
    using _ = await takeHostLock(setOf(folder.path), within(1000));
    const failure = await failureOf(() => takeHostLock(setOf(join(folder.path, "link")), within(200)));
    expect(failure.kind).toBe("temporary");
  });

  test("waits for another process until that is killed", async () => {
    using folder = temporaryFolder();
    const code = `await takeHostLock(${JSON.stringify(setOf(folder.path))}, { signal: AbortSignal.timeout(5000) });
      console.log("held"); await Bun.sleep(60_000);`;
    const child = Bun.spawn(snippet("{ takeHostLock }", "host/host-lock.ts", code), { stdout: "pipe" });
    await child.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
    expect((await failureOf(() => takeHostLock(setOf(folder.path), within(200)))).kind).toBe("temporary");
    child.kill("SIGKILL");
    using _ = await takeHostLock(setOf(folder.path), within(2000));
  });

  test("leaves nothing in the folder of the locked thing", async () => {
    using folder = temporaryFolder();
    for (const kind of ["token", "set", "hooks", "kubeconfig"] as const) {
      (await takeHostLock({ ...setOf(folder.path), kind }, within(1000)))[Symbol.dispose]();
    }
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

describe("takeHostLock() when a unit that issues has planted", () => {
  /** Its attributes, to check that root has not changed them. */
  const look = (path: string) => {
    const { uid, gid, mode, size, ino } = lstatSync(path);
    return { uid, gid, mode, size, ino };
  };

  interface Trick {
    /** Puts something at the lock's path, or beside it. @returns the path that must not change */
    plant(lock: string, folder: string): string | undefined;
    /** The expected message; undefined if it does no harm and the lock is taken. */
    readonly refused: RegExp | undefined;
  }
  const precious = (folder: string) => {
    const path = join(folder, "precious");
    writeFileSync(path, "x".repeat(4096), { mode: 0o640 });
    return path;
  };
  const noPlainFile = /something other than a plain file is in its lock file's place/;
  const tricks: Readonly<Record<string, Trick>> = {
    "a link": {
      plant(lock, folder) {
        rmSync(lock);
        symlinkSync(precious(folder), lock);
        return precious(folder);
      },
      refused: noPlainFile,
    },
    "a link to an empty file": {
      plant(lock, folder) {
        rmSync(lock);
        writeFileSync(join(folder, "empty"), "");
        symlinkSync(join(folder, "empty"), lock);
        return join(folder, "empty");
      },
      refused: noPlainFile,
    },
    "a FIFO": {
      plant(lock) {
        rmSync(lock);
        makeFifo(lock);
        return lock;
      },
      refused: noPlainFile,
    },
    "a folder": {
      plant(lock) {
        rmSync(lock);
        mkdirSync(lock);
        return lock;
      },
      refused: /can't (lock|make the lock file)/,
    },
    "a hard link": {
      plant(lock) {
        rmSync(lock);
        writeFileSync(`${lock}.other`, "", { mode: 0o600 });
        linkSync(`${lock}.other`, lock);
        made.push(`${lock}.other`);
        return lock;
      },
      refused: /its lock file has another name \(a hard link\)/,
    },
    "another user's file": {
      plant(lock) {
        chownSync(lock, 1234, 1234);
        return lock;
      },
      refused: /others can write its lock file/,
    },
    "a file that all can write": {
      plant(lock) {
        chmodSync(lock, 0o666);
        return lock;
      },
      refused: /others can write its lock file/,
    },
    "a database": {
      plant(lock) {
        execFileSync("sh", [
          "-c",
          `printf 'SQLite format 3\\000' > "$0"; head -c 4096 /dev/zero >> "$0"`,
          lock,
        ]);
        return lock;
      },
      refused: /its lock file is not empty/,
    },
    "a FIFO as the lock's journal": {
      plant(lock) {
        for (const end of ["-journal", "-wal", "-shm"]) {
          makeFifo(lock + end);
          made.push(lock + end);
        }
        return `${lock}-journal`;
      },
      refused: undefined,
    },
    "a link as the lock's journal": {
      plant(lock, folder) {
        for (const end of ["-journal", "-wal", "-shm"]) {
          symlinkSync(precious(folder), lock + end);
          made.push(lock + end);
        }
        return precious(folder);
      },
      refused: undefined,
    },
    "another lock file": {
      plant(lock) {
        rmSync(lock);
        writeFileSync(lock, "", { mode: 0o600 });
        return lock;
      },
      refused: undefined,
    },
  };

  test.each(Object.entries(tricks))(
    "%s leaves it unchanged, and ends in time",
    async (_, { plant, refused }) => {
      using folder = temporaryFolder();
      const lock = await lockFileOf(setOf(folder.path));
      const kept = plant(lock, folder.path);
      const before = kept === undefined ? undefined : look(kept);
      const code = `
        try {
          (await takeHostLock(${JSON.stringify(setOf(folder.path))}, { signal: AbortSignal.timeout(1000) }))
            [Symbol.dispose]();
          console.log("taken");
        } catch ({ kind, message }) { console.log(kind, message) }`;
      // Some of them would have SQLite wait for ever.
      const told = await runInChild("{ takeHostLock }", "host/host-lock.ts", code);
      expect(told).toMatch(refused === undefined ? /^taken$/m : new RegExp(`^file .*${refused.source}`));
      if (kept !== undefined) expect(look(kept)).toMatchObject(before ?? {});
      // After it is removed, the lock works again.
      rmSync(lock, { recursive: true, force: true });
      if (refused !== undefined) {
        for (const path of made.filter((it) => it.startsWith(lock)))
          rmSync(path, { recursive: true, force: true });
        (await takeHostLock(setOf(folder.path), within(1000)))[Symbol.dispose]();
      }
    },
  );
});

describe("takeHostLock() when the lock folder can't be made", () => {
  /** Runs it with /run read-only, as in a unit of release 1.0.0. */
  const command = (folder: string, milliseconds: number) => [
    ...["unshare", "--mount", "--propagation", "private", "sh", "-ec"],
    'mkdir -p /run/vault-helper; mount -t tmpfs -o ro tmpfs /run; exec "$@"',
    "sh",
    ...snippet(
      "{ takeHostLock }",
      "host/host-lock.ts",
      `try {
         await takeHostLock(${JSON.stringify(setOf(folder))}, { signal: AbortSignal.timeout(${milliseconds}) });
         console.log("held");
         await Bun.stdin.text();
       } catch (error) { console.log(error.message); process.exit(error.kind === "temporary" ? 75 : 1); }`,
    ),
  ];

  test("locks the thing's folder, excludes another such run, and releases the lock when killed", async () => {
    using folder = temporaryFolder();
    const first = Bun.spawn(command(folder.path, 5000), { stdin: "pipe", stdout: "pipe" });
    const { value } = await first.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
    expect(value).toBe("held\n");
    const second = Bun.spawn(command(folder.path, 300), { stdin: "ignore", stdout: "pipe" });
    expect(await second.stdout.text()).toBe(
      `another run held ${join(folder.path, "kubelet")} until this one ended (The operation timed out.)\n`,
    );
    expect(await second.exited).toBe(75);
    first.kill("SIGKILL");
    await first.exited;
    const third = Bun.spawn(command(folder.path, 5000), { stdin: "ignore", stdout: "pipe" });
    expect(await third.stdout.text()).toBe("held\n");
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

test("other users than root have their own locks", async () => {
  using folder = temporaryFolder();
  chmodSync(folder.path, 0o755);
  const home = join(folder.path, "home");
  mkdirSync(home);
  chownSync(home, 65534, 65534);
  using thing = temporaryFolder();
  chmodSync(thing.path, 0o755);
  const code = `
    process.setgid(65534); process.setuid(65534);
    using _ = await takeHostLock(${JSON.stringify(setOf(thing.path))}, { signal: AbortSignal.timeout(1000) });`;
  const child = Bun.spawn(snippet("{ takeHostLock }", "host/host-lock.ts", code), {
    env: { PATH: process.env.PATH ?? "", HOME: home },
  });
  expect(await child.exited).toBe(0);
  const [lock = "", ...others] = readdirSync(join(home, ".local/state/vault-helper"));
  expect([basename(lock), others]).toEqual([expect.stringMatching(/^set-.*\.lock$/), []]);
  const { uid, mode } = lstatSync(join(home, ".local/state/vault-helper"));
  expect([uid, mode & 0o777]).toEqual([65534, 0o700]);
  expect(readFileSync(join(home, ".local/state/vault-helper", lock), "utf8")).toBe("");
});
