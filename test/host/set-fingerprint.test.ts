import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { certificatePaths } from "../../lib/host/certificate-place.ts";
import { lookAtSet, readSet } from "../../lib/host/certificate-set.ts";
import { lockPlace } from "../../lib/host/certificate-write.ts";
import { keepFoldersOpen } from "../../lib/host/folder.ts";
import { trace } from "../crash/strace.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { snippet } from "../support/snippet.ts";

const texts = { key: "a key\n", certificate: "a certificate\n", ca: "a CA\n" };

/** Puts a set at a destination. Returns the fingerprint that its record was made with. */
async function putSet(destination: string): Promise<string | undefined> {
  let fingerprint: string | undefined;
  using place = await lockPlace(destination, undefined, { signal: AbortSignal.timeout(10_000) });
  const request = (given: string | undefined) => {
    fingerprint = given;
    return "what was asked for\n";
  };
  place.replace({ ...texts, request }, {}, []);
  return fingerprint;
}

function fingerprintAt(destination: string): string | undefined {
  const seen = lookAtSet(destination);
  return seen.state === "unread" ? seen.fingerprint : undefined;
}

describe("lookAtSet()", () => {
  test("returns the same facts as readSet(), and the fingerprint from when the set was made", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    const fingerprint = await putSet(destination);
    expect(fingerprint).toMatch(/^\d+ /);
    const [seen, whole] = [lookAtSet(destination), readSet(destination)];
    if (seen.state !== "unread" || whole.state !== "whole") throw new Error("it is no whole set");
    expect(seen.fingerprint).toBe(fingerprint ?? "");
    expect(whole.files).toEqual(texts);
    for (const name of ["request", "noted", "checkedAt", "isPending", "isClosed", "keyOrigin"] as const) {
      expect(seen[name]).toEqual(whole[name]);
    }
    expect(seen.attributes).toMatchObject(whole.attributes);
  });

  test("opens none of the three files", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    await putSet(destination);
    const opened = async (call: "lookAtSet" | "readSet") => {
      const words = `if (${call}(${JSON.stringify(destination)}).state === "missing") process.exit(1)`;
      const command = snippet(`{ ${call} }`, "host/certificate-set.ts", words);
      const run = await trace(command, { env: {}, folder: root.path });
      expect([run.code, run.stderr]).toEqual([0, ""]);
      return run.calls.filter(({ name, path }) => name === "openat" && path?.endsWith(".pem")).length;
    };
    expect(await opened("lookAtSet")).toBe(0);
    expect(await opened("readSet")).toBe(3);
  });

  const current = (destination: string) => realpathSync(join(destination, "../.kubelet.set/current"));
  const certificate = (destination: string) => realpathSync(certificatePaths(destination).certificate);
  const changes: ReadonlyArray<readonly [name: string, change: (destination: string) => void]> = [
    ["written in place, of the same length", (it) => writeFileSync(certificate(it), "A CERTIFICATE\n")],
    ["written in place as it was", (it) => writeFileSync(certificate(it), texts.certificate)],
    [
      "written in place, its times set back",
      (it) => {
        writeFileSync(certificate(it), "A CERTIFICATE\n");
        utimesSync(certificate(it), 0, 0);
      },
    ],
    ["touched", (it) => utimesSync(certificate(it), new Date(), new Date())],
    ["given away", (it) => chownSync(certificate(it), 4321, 4321)],
    ["given another mode", (it) => chmodSync(certificatePaths(it).key, 0o640)],
    ["given a second name", (it) => linkSync(certificate(it), join(it, "../more.pem"))],
    [
      "replaced by a copy",
      (it) => {
        copyFileSync(certificate(it), join(it, "../copy"));
        renameSync(join(it, "../copy"), certificate(it));
      },
    ],
    [
      "restored from a backup with its whole folder",
      (it) => {
        const set = join(it, "../.kubelet.set");
        expect(Bun.spawnSync(["cp", "-a", set, `${set}.backup`]).exitCode).toBe(0);
        rmSync(set, { recursive: true });
        renameSync(`${set}.backup`, set);
      },
    ],
    [
      "swapped with another file",
      (it) => exchange(join(current(it), "key.pem"), join(current(it), "ca.pem")),
    ],
  ];
  test.each(changes)("returns another fingerprint for a file that was %s", async (_, change) => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    const fingerprint = await putSet(destination);
    await laterThanATick();
    change(destination);
    expect(fingerprintAt(destination)).toMatch(/^\d+ /);
    expect(fingerprintAt(destination)).not.toBe(fingerprint);
  });

  const others: ReadonlyArray<readonly [name: string, change: (destination: string) => void]> = [
    ["a file is missing", (it) => rmSync(certificate(it))],
    [
      "a plain file is in place of a link",
      (it) => {
        const { ca } = certificatePaths(it);
        rmSync(ca);
        writeFileSync(ca, "a CA\n");
      },
    ],
    ["a link is missing", (it) => rmSync(certificatePaths(it).key)],
    ["the link to the set is missing", (it) => rmSync(join(it, "../.kubelet.set/current"))],
    [
      "everything is missing",
      (it) => {
        for (const name of readdirSync(join(it, ".."))) rmSync(join(it, "..", name), { recursive: true });
      },
    ],
  ];
  test.each(others)("takes no fingerprint, and reads the files, if %s", async (_, change) => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    await putSet(destination);
    change(destination);
    const look = lookAtSet(destination);
    expect(look.state).not.toBe("unread");
    expect(look).toEqual(readSet(destination));
  });

  test("refuses a foreign link, even one to the same file", async () => {
    using root = temporaryFolder();
    const destination = join(root.path, "kubelet");
    await putSet(destination);
    const { ca } = certificatePaths(destination);
    const target = realpathSync(ca);
    rmSync(ca);
    symlinkSync(target, ca);
    const failure = await failureOf(() => lookAtSet(destination));
    expect(failure.message).toContain("which this tool did not make");
  });

  test("returns the same in folders that only root can change, and in one that another user can", async () => {
    for (const owner of [0, 4321]) {
      using root = temporaryFolder();
      const folder = join(root.path, "ssl");
      mkdirSync(folder);
      chownSync(folder, owner, owner);
      const destination = join(folder, "kubelet");
      const fingerprint = await putSet(destination);
      using folders = keepFoldersOpen();
      expect(lookAtSet(destination, folders)).toMatchObject({ state: "unread", fingerprint });
      expect(folders.open(folder).isLasting).toBe(owner === 0 ? true : undefined);
    }
  });
});

function exchange(a: string, b: string): void {
  const [first, second] = [readFileSync(a), readFileSync(b)];
  writeFileSync(a, second);
  writeFileSync(b, first);
}

/** Waits until the clock of file times has moved on, which takes at most 10 ms. */
async function laterThanATick(): Promise<void> {
  await Bun.sleep(25);
}
