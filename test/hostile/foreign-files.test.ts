import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { makeFifo, temporaryFolder } from "../support/folder.ts";
import { runCommand, runScript, type ScriptResult, scriptPath } from "../support/script.ts";
import { treeOf } from "../support/tree.ts";
import { otherUser, type Stage, setStage, signPath } from "./stage.ts";

// Files and folders that only look like this tool's, or that have a second name elsewhere.

let stage: Stage;
let worker = "";
beforeAll(async () => {
  stage = await setStage();
  worker = await stage.server.hostToken("worker");
});
afterAll(() => stage[Symbol.asyncDispose]());

const { uid, gid } = otherUser;
const forOtherUser = ["-o", String(uid), "-g", String(gid)];

function setScene(mode = 0o755, owner = 0) {
  const root = temporaryFolder();
  chmodSync(root.path, 0o755);
  const folder = join(root.path, "d");
  mkdirSync(folder);
  chmodSync(folder, mode);
  chownSync(folder, owner, owner);
  return { root: root.path, folder, [Symbol.dispose]: () => root[Symbol.dispose]() };
}

function issue(destination: string, ...flags: string[]): Promise<ScriptResult> {
  return runScript("issue-cert", [...flags, signPath, "etcd-1", destination], { env: stage.admin });
}

function look(path: string) {
  const { uid, gid, mode, ino } = lstatSync(path);
  return { uid, gid, mode: (mode & 0o7777).toString(8), ino };
}

describe("issue-cert gives away no folder that an admin has made:", () => {
  test.each([0o700, 0o750, 0o755, 0o1777])(
    "one of mode %o, empty, on the way to a destination",
    async (mode) => {
      using scene = setScene(mode);
      const before = look(scene.folder);
      const run = await issue(join(scene.folder, "ssl/etcd"), ...forOtherUser);
      expect([run.code, run.stderr]).toEqual([0, ""]);
      expect(look(scene.folder)).toEqual(before);
      expect(look(join(scene.folder, "ssl"))).toMatchObject({ uid, gid, mode: "750" });
    },
  );

  test("but finishes one that an earlier run had begun to make", async () => {
    using scene = setScene();
    const ssl = join(scene.folder, "ssl");
    mkdirSync(ssl);
    chmodSync(ssl, 0o1700);
    expect((await issue(join(ssl, "etcd"), ...forOtherUser)).code).toBe(0);
    expect(look(ssl)).toMatchObject({ uid, gid, mode: "750" });
  });
});

describe("a file with a second name keeps its owner and mode:", () => {
  /** Plain files, as the Go tool left them. */
  async function plainFiles(folder: string): Promise<string> {
    const destination = join(folder, "etcd");
    expect((await issue(destination, ...forOtherUser)).code).toBe(0);
    for (const end of ["-key.pem", ".pem", "-ca.pem"]) {
      const text = readFileSync(destination + end, "utf8");
      rmSync(destination + end);
      writeFileSync(destination + end, text, { mode: 0o600 });
      chownSync(destination + end, uid, gid);
    }
    return destination;
  }

  test.each(["-ca.pem", ".pem"])("etcd%s, a hard link to a file of root's", async (end) => {
    using scene = setScene(0o755, uid);
    const destination = await plainFiles(scene.folder);
    const roots = join(scene.root, "roots");
    writeFileSync(roots, readFileSync(destination + end));
    chmodSync(roots, 0o664);
    chownSync(roots, 0, 4321);
    const before = look(roots);
    rmSync(destination + end);
    linkSync(roots, destination + end);
    const run = await issue(destination, "--if-due", ...forOtherUser);
    expect([run.code, run.stderr]).toEqual([
      0,
      `issue-cert: ${destination}${end} has another name (a hard link), so its owner and mode are left as they are\n`,
    ]);
    expect(look(roots)).toEqual(before);
    // A file without a second name is fixed.
    rmSync(roots);
    const fixed = await issue(destination, "--if-due", ...forOtherUser);
    expect(fixed.stderr).toBe(`issue-cert: owner and mode of ${destination}${end} were set again\n`);
    expect(look(destination + end)).toMatchObject({ uid, gid, mode: "644" });
  });
});

describe("another user's object with the name of a temporary file is kept and does no harm:", () => {
  const names = [".etcd.pem", ".etcd-key.pem", ".secret", ".metrics.prom", ".config"].map(
    (name) => `${name}.tmp-0123456789ab`,
  );
  const makes: Readonly<Record<string, (path: string) => void>> = {
    folder: (path) => mkdirSync(path),
    "folder with a file": (path) => {
      mkdirSync(path);
      writeFileSync(join(path, "file"), "");
    },
    "folder of root's": (path) => mkdirSync(path),
    file: (path) => writeFileSync(path, "mine"),
    link: (path) => symlinkSync("/etc/passwd", path),
  };
  const day = Date.now() / 1000 - 86_400;

  test.each(Object.entries(makes))("a %s", async (kind, make) => {
    using scene = setScene(0o1777);
    const paths = names.map((name) => join(scene.folder, name));
    for (const path of paths) {
      make(path);
      if (kind === "link" || kind === "folder of root's") continue;
      chownSync(path, uid, gid);
      utimesSync(path, day, day);
    }
    if (kind === "link") {
      for (const path of paths) {
        // lchown(2), which the runtime calls differently.
        Bun.spawnSync(["chown", "-h", `${uid}:${gid}`, path]);
      }
    }
    const before = paths.map(look);
    const at = (name: string) => join(scene.folder, name);
    const config = join(scene.root, "vault");
    mkdirSync(config, { mode: 0o700 });
    writeFileSync(join(config, "token"), worker, { mode: 0o600 });
    const env = { VAULT_ADDR: stage.relay.address };
    const runs = [
      await issue(at("etcd")),
      await runScript("read-secret", ["-d", at("secret"), "demo/secrets/service-accounts"], {
        env: stage.admin,
      }),
      await runScript("status", ["-p", config, "--config-dir", config, "--prometheus", at("metrics.prom")], {
        env,
      }),
      await runScript("write-kubeconfig", [signPath, "etcd-2", at("kube"), at("config")], {
        env: stage.admin,
      }),
    ];
    expect(runs.map(({ stderr }) => stderr).filter((it) => it.includes("can't write"))).toEqual([]);
    expect([runs[0]?.code, runs[1]?.code, runs[3]?.code]).toEqual([0, 0, 0]);
    for (const name of ["etcd.pem", "secret", "metrics.prom", "config"]) {
      expect(readFileSync(at(name), "utf8")).not.toBe("");
    }
    expect(paths.map(look)).toEqual(before);
  });

  test("but the rest of a killed run is removed", async () => {
    using scene = setScene(0o755, uid);
    const left = join(scene.folder, ".etcd-key.pem.tmp-0123456789ab");
    const given = join(scene.folder, ".etcd.pem.tmp-0123456789ab");
    for (const path of [left, given]) writeFileSync(path, "half a key");
    chownSync(given, uid, gid);
    expect((await issue(join(scene.folder, "etcd"), ...forOtherUser)).code).toBe(0);
    expect(readdirSync(scene.folder).filter((name) => name.includes(".tmp-"))).toEqual([]);
  });
});

test("a folder that its owner has filled with names costs a run little memory and time", async () => {
  using scene = setScene(0o755, uid);
  const long = "x".repeat(240);
  for (let i = 0; i < 60_000; i++) symlinkSync("x", join(scene.folder, `${long}${i}`));
  expect(statSync(scene.folder).size).toBeGreaterThan(1024 * 1024);
  const destination = join(scene.folder, "etcd");
  const command = ["/usr/bin/time", "-f", "%M", await scriptPath("issue-cert"), ...forOtherUser];
  const env = { env: stage.admin };
  const peak = async (...words: string[]) => {
    const run = await runCommand([...command, ...words], env);
    expect([run.code, run.stderr]).toEqual([0, expect.stringMatching(/^\d+\n$/)]);
    return Number(run.stderr) / 1024;
  };
  const ordinary = await peak(signPath, "etcd-1", join(scene.root, "ssl/etcd"));
  expect(await peak(signPath, "etcd-1", destination)).toBeLessThan(ordinary + 10);
});

test("hooks get nothing from the note of changes except certificate, key and ca", async () => {
  using scene = setScene();
  const told = join(scene.root, "told");
  const manifest = join(scene.root, "etcd.toml");
  const command = `on_change = [["/bin/sh", "-c", "echo \\"[$VAULT_HELPER_CHANGED]\\" >> ${told}"]]`;
  const lines = [
    `sign_path = "${signPath}"`,
    'common_name = "etcd-1"',
    `destination = "${scene.folder}/etcd"`,
    command,
  ];
  writeFileSync(manifest, `${lines.join("\n")}\n`, { mode: 0o600 });
  const run = (...flags: string[]) =>
    runScript("issue-cert", ["--config", manifest, ...flags], { env: stage.admin });
  expect((await run()).code).toBe(0);
  const notes = [
    { id: "0123456789abcdef", changed: ["certificate", `ca $(id>${scene.root}/ran)`], done: [] },
    { id: "0123456789abcdef", changed: ["key\nLINE"], done: [] },
    { id: "x; id", changed: ["key"], done: [] },
    { id: "0123456789abcdef", changed: [["ca"]], done: [] },
    { id: "0123456789abcdef", changed: "ca", done: [] },
    { id: "0123456789abcdef", changed: ["ca"], done: [{}] },
    { id: "0123456789abcdef", changed: ["ca", "ca"], done: [] },
  ];
  for (const note of notes) {
    writeFileSync(join(scene.folder, ".etcd.set/pending"), JSON.stringify(note));
    expect((await run("--hooks", "only")).code).toBe(0);
  }
  const all = "[certificate key ca]";
  expect(readFileSync(told, "utf8")).toBe(`${[all, all, all, all, all, all, all, "[ca]"].join("\n")}\n`);
  expect(readdirSync(scene.root).toSorted()).toEqual(["d", "etcd.toml", "told"]);
});

test("a note of changes that a unit has replaced by something else is refused, and no hook runs", async () => {
  using scene = setScene();
  const manifest = join(scene.root, "etcd.toml");
  writeFileSync(
    manifest,
    `sign_path = "${signPath}"\ncommon_name = "etcd-1"\ndestination = "${scene.folder}/etcd"\n` +
      `on_change = [["/usr/bin/touch", "${scene.root}/ran"]]\n`,
    { mode: 0o600 },
  );
  const run = (...flags: string[]) =>
    runScript("issue-cert", ["--config", manifest, ...flags], { env: stage.admin });
  expect((await run("--hooks", "later")).code).toBe(0);
  const note = join(scene.folder, ".etcd.set/pending");
  renameSync(note, `${note}.aside`);
  symlinkSync("pending.aside", note);
  const refused = await run("--hooks", "only");
  expect([refused.code, readdirSync(scene.root).includes("ran")]).toEqual([65, false]);
  rmSync(note);
  renameSync(`${note}.aside`, note);
  expect((await run("--hooks", "only")).code).toBe(0);
  expect(readdirSync(scene.root).includes("ran")).toBe(true);
});

describe("root does not follow what an issuing unit has put in place of a certificate set:", () => {
  const version = "20261124T101500Z-6f1c2a";
  const leads: Readonly<Record<string, (set: string, victim: string) => void>> = {
    "a link to a folder elsewhere": (set, victim) => symlinkSync(victim, join(set, "current")),
    "a link upwards": (set) => symlinkSync("../../victim", join(set, "current")),
    "a link to a link": (set, victim) => {
      symlinkSync(victim, join(set, version));
      symlinkSync(version, join(set, "current"));
    },
  };

  test.each(Object.entries(leads))("%s", async (_, lead) => {
    using scene = setScene();
    const destination = join(scene.folder, "etcd");
    const set = join(scene.folder, ".etcd.set");
    expect((await issue(destination)).code).toBe(0);
    const victim = join(scene.root, "victim");
    renameSync(join(set, readlinkSync(join(set, "current"))), victim);
    rmSync(join(set, "current"));
    lead(set, victim);
    const key = readFileSync(join(victim, "key.pem"), "utf8");
    expect(readFileSync(`${destination}-key.pem`, "utf8")).toBe(key);
    const before = treeOf(victim);
    for (const flags of [["--if-due"], [], ["--force"]]) {
      const run = await issue(destination, ...flags, ...forOtherUser);
      expect([run.code, run.stderr]).toEqual([73, expect.stringContaining(set)]);
    }
    const told = await runScript("status", ["--json", "--offline", "--destination", destination], {
      env: stage.admin,
    });
    expect(JSON.parse(told.stdout).certificates[0].state).toBe("wrong");
    expect(treeOf(victim)).toEqual(before);
    rmSync(join(set, "current"));
    rmSync(join(set, version), { force: true });
    expect(await issue(destination, "--if-due", ...forOtherUser)).toMatchObject({ code: 0, stderr: "" });
    expect(statSync(`${destination}-key.pem`)).toMatchObject({ uid, gid });
    expect(treeOf(victim)).toEqual(before);
  });
});

test("a FIFO in place of the note of the last CA check keeps no run waiting", async () => {
  using scene = setScene();
  const destination = join(scene.folder, "etcd");
  expect((await issue(destination)).code).toBe(0);
  const checked = join(scene.folder, ".etcd.set/ca-checked");
  makeFifo(checked);
  const look = () => issue(destination, "--if-due", "--refresh-ca", "--timeout", "3s");
  expect(await look()).toMatchObject({ code: 0, stderr: expect.stringContaining("(ENXIO)") });
  rmSync(checked);
  expect(await look()).toMatchObject({ code: 0, stderr: "" });
  expect(statSync(checked).isFile()).toBe(true);
});

test("files at the paths of release 1.0.0's locks are not opened", async () => {
  using scene = setScene(0o755, uid);
  const destination = join(scene.folder, "etcd");
  const call = () =>
    runScript("write-kubeconfig", [signPath, "etcd-1", destination, join(scene.folder, "config")], {
      env: stage.admin,
    });
  expect((await call()).code).toBe(0);
  mkdirSync(join(scene.folder, ".config.lock"));
  for (const lock of [".etcd.set/lock", ".etcd.set/hooks-lock", ".config.lock/lock"]) {
    for (const end of ["", "-journal", "-wal"]) makeFifo(join(scene.folder, lock + end));
  }
  expect(await call()).toMatchObject({ code: 0, stderr: "" });
});
