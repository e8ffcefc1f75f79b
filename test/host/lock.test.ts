import { describe, expect, spyOn, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../lib/failure.ts";
import { takeLock, untilHeld } from "../../lib/host/lock.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { snippet } from "../support/snippet.ts";

/** Another process that holds the lock until it is killed or its input ends. */
async function holder(path: string) {
  const code = `
    const lock = await takeLock(${JSON.stringify(path)}, { signal: AbortSignal.timeout(10_000) });
    console.log("held");
    await Bun.stdin.text();
    lock[Symbol.dispose]();
    console.log("released");
    await Bun.sleep(60_000);`;
  const child = Bun.spawn(snippet("{ takeLock }", "host/lock.ts", code), { stdin: "pipe", stdout: "pipe" });
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  expect((await lines.read()).value).toBe("held\n");
  return {
    async release() {
      child.stdin.end();
      expect((await lines.read()).value).toBe("released\n");
    },
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

const within = (milliseconds: number) => ({ signal: AbortSignal.timeout(milliseconds) });

describe("takeLock()", () => {
  test("waits for another process, and gets the lock when it is released", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "lock");
    await using other = await holder(path);
    let got = false;
    const waiting = takeLock(path, within(10_000)).then((lock) => {
      got = true;
      return lock;
    });
    await Bun.sleep(300);
    expect(got).toBe(false);
    await other.release();
    (await waiting)[Symbol.dispose]();
  });

  test("gets the lock at once when the holder is killed, which leaves nothing behind", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "lock");
    await using other = await holder(path);
    expect(readdirSync(folder.path)).toEqual(["lock"]);
    await other.kill();
    using _ = await takeLock(path, within(1000));
    expect(readdirSync(folder.path)).toEqual(["lock"]);
  });

  test("gives up when the signal comes, and says what it waited for", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "lock");
    await using _ = await holder(path);
    const failure = await failureOf(() => takeLock(path, within(300), "/etc/vault/.lock"));
    expect(failure.kind).toBe("temporary");
    expect(failure.message).toBe(
      "another run held /etc/vault/.lock until this one ended (The operation timed out.)",
    );
  });

  test("says by which signal its run was stopped", async () => {
    const stop = AbortSignal.abort(new Failure("temporary", "stopped by SIGTERM"));
    const failure = await failureOf(() => untilHeld(async () => undefined, { signal: stop }, "/srv/a"));
    expect([failure.kind, failure.message]).toEqual([
      "temporary",
      "another run held /srv/a until this one ended (stopped by SIGTERM)",
    ]);
  });

  test("says once that it is waiting, after two seconds", async () => {
    let now = 0;
    const clock = spyOn(performance, "now").mockImplementation(() => now);
    const told: Array<readonly [sentence: string, atMs: number]> = [];
    const onWait = (sentence: string) => told.push([sentence, now]);
    // A second later at each try, and free at the fifth.
    const open = async () => {
      now += 1000;
      return now < 5000 ? undefined : { [Symbol.dispose]() {} };
    };
    try {
      await untilHeld(open, { ...within(10_000), onWait }, "/etc/vault/.lock");
    } finally {
      clock.mockRestore();
    }
    expect(told).toEqual([["waiting for another run that holds /etc/vault/.lock", 2000]]);
  });

  test("gives the lock to one of many waiters in a process at a time", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "lock");
    let [inside, served] = [0, 0];
    await Promise.all(
      Array.from({ length: 12 }, async () => {
        using _ = await takeLock(path, within(20_000));
        expect(++inside).toBe(1);
        await Bun.sleep(5);
        inside--;
        served++;
      }),
    );
    expect(served).toBe(12);
  });

  test("makes an empty file that only its owner can read", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "lock");
    const umask = process.umask(0);
    try {
      for (let i = 0; i < 3; i++) (await takeLock(path, within(1000)))[Symbol.dispose]();
    } finally {
      process.umask(umask);
    }
    const { mode, size } = statSync(path);
    expect([mode & 0o777, size]).toEqual([0o600, 0]);
  });

  test.each([
    ["no folder", "missing/lock", "make the lock file", () => {}],
    ["a folder in its place", "lock", "lock", (path: string) => mkdirSync(path)],
    ["a foreign file in its place", "lock", "lock", (path: string) => writeFileSync(path, "x".repeat(4096))],
  ])("fails with a clear message when there is %s", async (_name, name, tried, make) => {
    using folder = temporaryFolder();
    const path = join(folder.path, name);
    make(path);
    const failure = await failureOf(() => takeLock(path, within(1000)));
    expect(failure.kind).toBe("file");
    expect(failure.message).toStartWith(`can't ${tried} ${path}: `);
  });

  test("leaves a foreign file unchanged", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "lock");
    writeFileSync(path, "x".repeat(4096));
    await failureOf(() => takeLock(path, within(1000)));
    expect(readFileSync(path, "utf8")).toBe("x".repeat(4096));
  });
});
