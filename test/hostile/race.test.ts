import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { runScript } from "../support/script.ts";
import { treeOf } from "../support/tree.ts";
import { otherUser, type Stage, setStage, signPath } from "./stage.ts";

const runs = 100;

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

/** A victim's folder with every name to which root may be led, and the attacker's home beside it. */
function setScene() {
  const root = temporaryFolder();
  chmodSync(root.path, 0o755);
  const victim = join(root.path, "victim");
  const home = join(root.path, "home");
  mkdirSync(victim, { mode: 0o700 });
  mkdirSync(join(home, "ssl"), { recursive: true });
  for (const name of [
    "etcd-key.pem",
    "etcd.pem",
    "etcd-ca.pem",
    "lock",
    "lock-journal",
    "current",
    "request.json",
  ]) {
    writeFileSync(join(victim, name), `the victim's ${name}\n`, { mode: 0o600 });
  }
  for (const path of [home, join(home, "ssl")]) lchownSync(path, otherUser.uid, otherUser.gid);
  return { root, victim, home, [Symbol.dispose]: () => root[Symbol.dispose]() };
}

/** Runs until it is stopped or disposed of. Otherwise the test run would never end. */
function startAttacker(home: string, victim: string) {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "attacker.ts"), home, victim], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  return {
    /** @returns the number of tricks that it tried */
    async stop(): Promise<number> {
      child.kill("SIGTERM");
      return Number(await child.stdout.text());
    },
    [Symbol.dispose]: () => child.kill("SIGKILL"),
  };
}

/** All files with a private key that others than root can read. */
function openKeys(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const { uid, mode } = lstatSync(path);
      return readFileSync(path, "utf8").includes("PRIVATE KEY") && (uid !== 0 || (mode & 0o077) !== 0);
    });
}

test("the owner of a destination's folder can't lead root to a victim's files by being quick", async () => {
  using scene = setScene();
  const { root, victim, home } = scene;
  const destination = join(home, "ssl/etcd");
  const issue = (path: string) =>
    runScript("issue-cert", [signPath, "etcd-1", path, "--force"], { env: stage.admin });
  // The second one gives the attacker a link that root made.
  for (const path of [destination, join(home, "ssl")]) expect((await issue(path)).code).toBe(0);
  const before = treeOf(victim);

  using attacker = startAttacker(home, victim);
  const codes: Record<number, number> = {};
  for (let i = 0; i < runs; i++) {
    const { code, stderr } = await issue(destination);
    codes[code] = (codes[code] ?? 0) + 1;
    if (![0, 65, 73].includes(code)) throw new Error(`it ended with ${code}: ${stderr}`);
  }
  const tricks = await attacker.stop();

  expect(treeOf(victim)).toEqual(before);
  expect(openKeys(root.path)).toEqual([]);
  // The attacker ran all the time, and root still succeeded at times.
  expect(tricks).toBeGreaterThan(runs);
  expect(codes[0]).toBeGreaterThan(0);
  expect(codes[73]).toBeGreaterThan(0);
});
