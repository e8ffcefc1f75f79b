import { describe, expect, test } from "bun:test";
import {
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  watch,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { certificatePaths } from "../../lib/host/certificate-place.ts";
import { readSet, type SetFiles } from "../../lib/host/certificate-set.ts";
import { lockPlace } from "../../lib/host/certificate-write.ts";
import type { Ownership } from "../../lib/host/durable.ts";
import { trace } from "../crash/strace.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { snippet } from "../support/snippet.ts";
import { treeOf } from "../support/tree.ts";
import type { ReaderResult, ReaderTask } from "./set-reader.ts";

interface TestSet extends SetFiles {
  readonly request: string;
}

const set = (number: number | string): TestSet => ({
  key: `key ${number}\n`,
  certificate: `certificate ${number}\n`,
  ca: `ca ${number}\n`,
  request: `request ${number}\n`,
});

async function replace(destination: string, files: TestSet, owner?: Ownership): Promise<void> {
  using place = await lockPlace(destination, owner, { signal: AbortSignal.timeout(10_000) });
  place.replace(files, { owner }, []);
}

/** What a service reads under the three names. */
function found(destination: string): string {
  const { key, certificate, ca } = certificatePaths(destination);
  return [key, certificate, ca].map((path) => readFileSync(path, "utf8")).join("");
}

const contentOf = ({ key, certificate, ca }: SetFiles) => key + certificate + ca;

function versions(destination: string): string[] {
  return readdirSync(join(dirname(destination), ".kubelet.set")).filter((name) => /^\d{8}T/.test(name));
}

/** The command that stores the set `child` in a process of its own, and prints its notes as errors. */
function replaceInChild(destination: string): string[] {
  const code = `
    const options = { signal: AbortSignal.timeout(10000), onNote: console.error };
    using place = await lockPlace(${JSON.stringify(destination)}, undefined, options);
    place.replace(${JSON.stringify(set("child"))}, {}, []);`;
  return snippet("{ lockPlace }", "host/certificate-write.ts", code);
}

/** Three plain files, as the Go tool leaves them. */
function putPlain(destination: string, files: SetFiles): void {
  mkdirSync(dirname(destination), { recursive: true });
  const paths = certificatePaths(destination);
  writeFileSync(paths.key, files.key, { mode: 0o600 });
  writeFileSync(paths.certificate, files.certificate, { mode: 0o644 });
  writeFileSync(paths.ca, files.ca, { mode: 0o644 });
}

describe("LockedPlace.replace()", () => {
  test("makes the first set, behind one link, with relative links only", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "ssl/kubelet");
    await replace(destination, set(1));
    expect(found(destination)).toBe(contentOf(set(1)));
    expect(readSet(destination)).toMatchObject({
      files: { key: set(1).key, certificate: set(1).certificate, ca: set(1).ca },
      request: set(1).request,
      attributes: { key: { uid: 0, gid: 0 } },
    });
    const paths = certificatePaths(destination);
    expect(Object.values(paths).map((path) => readlinkSync(path))).toEqual([
      ".kubelet.set/current/key.pem",
      ".kubelet.set/current/cert.pem",
      ".kubelet.set/current/ca.pem",
    ]);
    expect(readlinkSync(join(root.path, "ssl/.kubelet.set/current"))).toBe(versions(destination)[0] ?? "");
    // So they also work in a container that mounts the folder elsewhere.
    Bun.spawnSync(["mv", join(root.path, "ssl"), join(root.path, "moved")]);
    expect(found(join(root.path, "moved/kubelet"))).toBe(contentOf(set(1)));
  });

  test("keeps the previous set for readers that have just followed the link, but no older one", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    const names: string[] = [];
    for (let i = 1; i <= 5; i++) {
      await replace(destination, set(i));
      names.push(readlinkSync(join(root.path, ".kubelet.set/current")));
      expect(versions(destination).toSorted()).toEqual(names.slice(-2).toSorted());
    }
    expect(readdirSync(join(root.path, ".kubelet.set")).toSorted()).toEqual([
      ...names.slice(-2).toSorted(),
      "current",
    ]);
  });

  test("keeps the inodes of the names that services read", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    await replace(destination, set(1));
    const inodes = () => Object.values(certificatePaths(destination)).map((path) => lstatSync(path).ino);
    const before = inodes();
    await replace(destination, set(2));
    expect(inodes()).toEqual(before);
  });

  test("removes only what killed runs left", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    await replace(destination, set(1));
    mkdirSync(join(root.path, ".kubelet.set/20200101T000000Z-abcdef"));
    mkdirSync(join(root.path, ".kubelet.set/mine"));
    symlinkSync("x", join(root.path, ".kubelet.set/.current.tmp-0123456789ab"));
    symlinkSync("x", join(root.path, ".kubelet-key.pem.tmp-0123456789ab"));
    writeFileSync(join(root.path, "kubelet.conf"), "theirs");
    await replace(destination, set(2));
    expect(
      readdirSync(join(root.path, ".kubelet.set"))
        .filter((name) => !/^\d/.test(name))
        .toSorted(),
    ).toEqual(["current", "mine"]);
    expect(versions(destination)).toHaveLength(2);
    expect(readdirSync(root.path).toSorted()).toEqual([
      ".kubelet.set",
      "kubelet-ca.pem",
      "kubelet-key.pem",
      "kubelet.conf",
      "kubelet.pem",
    ]);
  });

  test("fixes a set whose link leads nowhere", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    await replace(destination, set(1));
    for (const name of versions(destination))
      rmSync(join(root.path, ".kubelet.set", name), { recursive: true });
    expect(readSet(destination)).toEqual({ state: "missing" });
    await replace(destination, set(2));
    expect(found(destination)).toBe(contentOf(set(2)));
  });

  test("wakes programs that watch the files, at each replacement", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    await replace(destination, set(1));
    for (const files of [set(2), set(3), set(4)]) {
      using watchers = new DisposableStack();
      const read = Object.values(certificatePaths(destination)).map((path) => {
        const { promise, resolve } = Promise.withResolvers<string>();
        const watcher = watch(path, () => resolve(readFileSync(path, "utf8")));
        watchers.defer(() => watcher.close());
        return promise;
      });
      await replace(destination, files);
      expect((await Promise.all(read)).join("")).toBe(contentOf(files));
    }
  });

  test("says so if it can't wake them, and has replaced the files all the same", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    await replace(destination, set(1));
    const fault = { call: "lchown", nth: 1, what: "error=EPERM" };
    const run = await trace(replaceInChild(destination), { env: {}, folder: root.path, fault });
    expect(run).toMatchObject({
      code: 0,
      stderr: `can't wake programs that watch ${destination}.pem: the system does not permit it (EPERM)\n`,
    });
    expect(found(destination)).toBe(contentOf(set("child")));
  });

  test("never shows a reader a missing file or a mixed set, in 200 replacements", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    await replace(destination, set(1));
    using reader = startReader(destination);
    await reader.turn();
    for (let i = 2; i <= 201; i++) {
      await replace(destination, set(i));
      await reader.turn();
    }
    const { rounds, seen, findings } = await reader.stop();
    expect(findings).toEqual([]);
    expect(rounds).toBeGreaterThan(200);
    // The reader has read many sets, also while they were replaced.
    expect(seen).toBe(201);
    expect(found(destination)).toBe(contentOf(set(201)));
  }, 60_000);
});

describe("LockedPlace.replace() over plain files", () => {
  test("replaces them by links and a set", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    putPlain(destination, set("go"));
    chownSync(certificatePaths(destination).key, 12, 34);
    expect(readSet(destination)).toMatchObject({
      files: { key: "key go\n", ca: "ca go\n" },
      attributes: { key: { uid: 12, gid: 34 } },
    });
    await replace(destination, set(1), { uid: 12, gid: 34 });
    expect(found(destination)).toBe(contentOf(set(1)));
    expect(statSync(certificatePaths(destination).key).uid).toBe(12);
    // The old files are the previous set.
    const old = versions(destination).find(
      (name) => name !== readlinkSync(join(root.path, ".kubelet.set/current")),
    );
    expect(readFileSync(join(root.path, ".kubelet.set", old ?? "", "key.pem"), "utf8")).toBe("key go\n");
    expect(statSync(join(root.path, ".kubelet.set", old ?? "", "key.pem")).uid).toBe(12);
  });

  test.each([["key"], ["certificate"], ["ca"]] as const)("takes over a %s alone", async (member) => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    const paths = certificatePaths(destination);
    writeFileSync(paths[member], set("go")[member], { mode: 0o600 });
    await replace(destination, set(1));
    expect(found(destination)).toBe(contentOf(set(1)));
  });

  test("replaces a plain file in place of one of the links", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    await replace(destination, set(1));
    const { key } = certificatePaths(destination);
    rmSync(key);
    writeFileSync(key, "another key\n");
    // The record describes the key that was there before.
    expect(readSet(destination)).toMatchObject({
      files: { key: "another key\n", certificate: "certificate 1\n" },
      request: undefined,
    });
    await replace(destination, set(2));
    expect(found(destination)).toBe(contentOf(set(2)));
    expect(readlinkSync(key)).toBe(".kubelet.set/current/key.pem");
  });

  test("wakes those who watched them or the set made of them, after the new set is in place", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    putPlain(destination, set("go"));
    const { calls } = await trace(replaceInChild(destination), { env: {}, folder: root.path });
    const old = versions(destination).find(
      (name) => name !== readlinkSync(join(root.path, ".kubelet.set/current")),
    );
    const events = calls.filter(({ name }) => name === "rename" || name === "lchown");
    // Each rename over a plain file removes that file, which is an event. The last one is the switch.
    expect(events.map(({ name, path, target }) => [name, target ?? path])).toEqual([
      ["rename", join(root.path, ".kubelet.set/current")],
      ...["kubelet-key.pem", "kubelet.pem", "kubelet-ca.pem"].map((it) => ["rename", join(root.path, it)]),
      ["rename", join(root.path, ".kubelet.set/current")],
      ...["key", "cert", "ca"].map((it) => [
        "lchown",
        join(root.path, ".kubelet.set", `${old}`, `${it}.pem`),
      ]),
    ]);
  });

  test("killed at any rename, shows the three old files or the new ones, and the next run completes it", async () => {
    const outcomes: string[] = [];
    for (let nth = 1; nth <= 5; nth++) {
      using root = temporaryFolder();
      const destination = join(root.path, "kubelet");
      putPlain(destination, set("go"));
      const fault = { call: "rename", nth, what: "signal=KILL" };
      const run = await trace(replaceInChild(destination), { env: {}, folder: root.path, fault });
      expect(run.code).toBe(137);
      outcomes.push(found(destination));
      await replace(destination, set(2));
      expect(found(destination)).toBe(contentOf(set(2)));
      expect(readdirSync(root.path)).toHaveLength(4);
      expect(versions(destination)).toHaveLength(2);
    }
    // The renames: one for `current`, three for the names, and the one that switches. Each kill comes before the rename.
    expect(outcomes).toEqual(Array(5).fill(contentOf(set("go"))));
  });

  test("never shows a reader a missing file", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    await replace(destination, set(1));
    using reader = startReader(destination);
    for (let i = 2; i <= 60; i++) {
      // Plain files, as the Go tool would write them again, each by a rename.
      for (const path of Object.values(certificatePaths(destination))) {
        writeFileSync(`${path}.new`, readFileSync(path));
        renameSync(`${path}.new`, path);
      }
      await reader.turn();
      await replace(destination, set(i));
      await reader.turn();
    }
    const { findings, rounds } = await reader.stop();
    // Here the link is switched twice, so a reader inside the set's own folder may be too late. Services don't read there.
    expect(findings.filter((it) => !it.includes("/.kubelet.set/"))).toEqual([]);
    expect(rounds).toBeGreaterThan(100);
  }, 60_000);
});

describe("lockPlace()", () => {
  test("refuses a sets' folder that other users can change, and writes nothing into it", async () => {
    using root = temporaryFolder();
    const folder = join(root.path, ".kubelet.set");
    mkdirSync(folder);
    chownSync(folder, 4321, 4321);
    const before = treeOf(root.path);
    const failure = await failureOf(() => replace(join(root.path, "kubelet"), set(1)));
    expect(failure.kind).toBe("file");
    expect(failure.message).toContain("can be changed by other users");
    expect(treeOf(root.path)).toEqual(before);
  });

  test("admits one at a time", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    const first = await lockPlace(destination, undefined, { signal: AbortSignal.timeout(5000) });
    const failure = await failureOf(() =>
      lockPlace(destination, undefined, { signal: AbortSignal.timeout(200) }),
    );
    expect(failure.kind).toBe("temporary");
    expect(failure.message).toContain(`another run held ${destination} until this one ended`);
    first[Symbol.dispose]();
    await replace(destination, set(1));
  });

  test("leaves no descriptor open", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    await replace(destination, set(1));
    const count = () => readdirSync("/proc/self/fd").length;
    const before = count();
    for (let i = 0; i < 5; i++) await replace(destination, set(i));
    expect(readSet(destination)).toMatchObject({ files: { key: "key 4\n" } });
    expect(count()).toBe(before);
  });
});

/**
 * Reads the three names, and the three files of the current set, on another thread. A reader may sleep during one
 * replacement but not during two, so `turn` waits until it has read once.
 */
function startReader(destination: string) {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL("./set-reader.ts", import.meta.url).href);
  const ended = new Promise<ReaderResult>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<ReaderResult>) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });
  worker.postMessage({ destination, shared } satisfies ReaderTask);
  return {
    async turn() {
      const round = Atomics.load(shared, 0);
      for (const deadline = Date.now() + 20_000; Atomics.load(shared, 0) === round; await Bun.sleep(0)) {
        if (Date.now() > deadline) throw new Error("the reader reads no more");
      }
    },
    async stop() {
      Atomics.store(shared, 1, 1);
      return await ended;
    },
    [Symbol.dispose]: () => worker.terminate(),
  };
}

describe("readSet()", () => {
  test("names the path that it can't examine", async () => {
    using folder = temporaryFolder();
    const destination = join(folder.path, "kubelet");
    await replace(destination, set(1));
    symlinkSync("pending", join(folder.path, ".kubelet.set/pending"));
    const failure = await failureOf(() => readSet(destination));
    expect(failure.message).toStartWith(`can't look at ${folder.path}/.kubelet.set: `);
    expect(failure.kind).toBe("file");
  });
});
