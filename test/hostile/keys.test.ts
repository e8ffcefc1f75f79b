import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { runScript } from "../support/script.ts";
import { treeOf } from "../support/tree.ts";
import { isOneSentence, otherUser, type Stage, setStage, signPath } from "./stage.ts";

// Another user puts a key of their own where root has a certificate issued. They would then know the key of root's
// certificate.

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

const thirdUser = { uid: 4321, gid: 4321 } as const;

/** A destination and its files. */
function setScene({ mode, owner }: { mode: number; owner: number }) {
  const root = temporaryFolder();
  chmodSync(root.path, 0o755);
  const folder = join(root.path, "ssl");
  mkdirSync(folder);
  chmodSync(folder, mode);
  chownSync(folder, owner, owner);
  const destination = join(folder, "admin");
  const issue = (...flags: string[]) =>
    runScript("issue-cert", [...flags, signPath, "admin", destination], { env: stage.admin });
  return {
    root: root.path,
    folder,
    destination,
    issue,
    status: () =>
      runScript(
        "status",
        ["--json", "--config-path", join(root.path, "none"), "--offline", "--destination", destination],
        { env: stage.admin },
      ),
    [Symbol.dispose]: () => root[Symbol.dispose](),
  };
}

type Scene = ReturnType<typeof setScene>;

/** A plain file with a private key that its author knows. */
function plant(path: string, { uid, mode = 0o600 }: { uid: number; mode?: number }): string {
  const key = opensslEcKey("P-256");
  rmSync(path, { force: true });
  writeFileSync(path, key);
  chmodSync(path, mode);
  chownSync(path, uid, uid);
  return key;
}

function keyPath({ destination }: Scene): string {
  return `${destination}-key.pem`;
}

/** Expects that the present certificate is not for this key. */
function expectNotSigned({ destination }: Scene, key: string): void {
  if (!existsSync(`${destination}.pem`)) return;
  const leaf = new X509Certificate(readFileSync(`${destination}.pem`));
  expect(leaf.checkPrivateKey(createPrivateKey(key))).toBe(false);
}

async function expectRefused(scene: Scene, key: string, why: RegExp, ...flags: string[]): Promise<void> {
  const before = treeOf(scene.folder);
  const asked = stage.relay.passed.length;
  const run = await scene.issue(...flags);
  expect([run.code, isOneSentence(run), run.stderr]).toEqual([65, true, expect.stringMatching(why)]);
  expect(run.stderr).toContain(`${keyPath(scene)} is not used: `);
  expect(stage.relay.passed.slice(asked).filter(({ path }) => path.includes("/sign/"))).toEqual([]);
  expect(treeOf(scene.folder)).toEqual(before);
  expectNotSigned(scene, key);
}

/** Removes the note that a group can't read the key any more. */
function withoutModeNote(stderr: string): string {
  return stderr.replace(/^issue-cert: the mode of .* was \d+ and is 0600 now: .*\n$/, "");
}

async function expectForced(scene: Scene, key: string, flags: readonly string[] = [], told = /^$/) {
  const run = await scene.issue("--force", ...flags);
  expect([run.code, run.stderr]).toEqual([0, expect.stringMatching(told)]);
  expect(existsSync(`${scene.destination}.pem`)).toBe(true);
  expectNotSigned(scene, key);
}

describe("a key that another user may have put there is refused with 65, and --force replaces it:", () => {
  interface Planted {
    readonly mode: number;
    readonly owner: number;
    readonly key: { readonly uid: number; readonly mode?: number };
    readonly flags?: readonly string[];
    readonly why: RegExp;
    /** The output with --force. @default nothing */
    readonly told?: RegExp;
  }
  const { uid } = otherUser;
  const planted: Readonly<Record<string, Planted>> = {
    "in a folder like /tmp": { mode: 0o1777, owner: 0, key: { uid }, why: /it belongs to user 65534/ },
    "in a folder that a group may write": {
      ...{ mode: 0o770, owner: uid, key: { uid } },
      why: /it belongs to user 65534, and its folder can be written by others/,
    },
    "of a third user, in the folder of another": {
      ...{ mode: 0o755, owner: uid, key: { uid: thirdUser.uid } },
      why: /it belongs to user 4321/,
    },
    "of the folder's owner, if root should own the files": {
      ...{ mode: 0o755, owner: uid, key: { uid }, flags: ["-o", "0", "-g", "0"] },
      why: /it belongs to user 65534/,
    },
    "of the folder's owner, if a third user should own them": {
      ...{ mode: 0o755, owner: uid, key: { uid }, flags: ["-o", "4321", "-g", "4321"] },
      why: /it belongs to user 65534/,
    },
    "of root, that a group may write": {
      ...{ mode: 0o755, owner: uid, key: { uid: 0, mode: 0o660 } },
      why: /others can write it/,
      told: /^issue-cert: the mode of \S+ was 0660 and is 0600 now: its group can no longer read it.*\n$/,
    },
    "of root, that its group may read": {
      ...{ mode: 0o755, owner: uid, key: { uid: 0, mode: 0o640 }, flags: ["-o", "0"] },
      why: /others can read it, and could have put it there/,
      told: /^issue-cert: the mode of \S+ was 0640 and is 0600 now: .*\n$/,
    },
    "of root, that anybody may read, in a folder that a group may write": {
      ...{ mode: 0o775, owner: 0, key: { uid: 0, mode: 0o604 } },
      why: /others can read it, and could have put it there/,
    },
    "of root, that anybody may write, in a folder of root": {
      ...{ mode: 0o755, owner: 0, key: { uid: 0, mode: 0o602 } },
      why: /others can write it/,
    },
  };

  test.each(Object.entries(planted))("%s", async (_, { mode, owner, key: made, flags = [], why, told }) => {
    using scene = setScene({ mode, owner });
    const key = plant(keyPath(scene), made);
    await expectRefused(scene, key, why, ...flags);
    await expectRefused(scene, key, why, "--if-due", ...flags);
    await expectForced(scene, key, flags, told);
  });

  test("a second name of root's file", async () => {
    using scene = setScene({ mode: 0o755, owner: uid });
    const key = plant(join(scene.root, "known"), { uid: 0 });
    linkSync(join(scene.root, "known"), keyPath(scene));
    await expectRefused(scene, key, /it has another name \(a hard link\)/);
    await expectForced(scene, key);
    expect(readFileSync(join(scene.root, "known"), "utf8")).toBe(key);
  });

  test("in place of the link of root's certificate", async () => {
    using scene = setScene({ mode: 0o755, owner: uid });
    const flags = ["-o", "0", "-g", "0"];
    expect((await scene.issue(...flags)).code).toBe(0);
    const key = plant(keyPath(scene), { uid });
    await expectRefused(scene, key, /it belongs to user 65534/, ...flags);
    expect(JSON.parse((await scene.status()).stdout).certificates).toEqual([
      expect.objectContaining({
        state: "wrong",
        reasons: expect.arrayContaining(["its key is not used: it belongs to user 65534"]),
      }),
    ]);
    await expectForced(scene, key, flags);
    expect(JSON.parse((await scene.status()).stdout).certificates[0].state).toBe("ok");
  });

  test("in the set of another certificate, put in place of this one's", async () => {
    using scene = setScene({ mode: 0o755, owner: uid });
    const mine = join(scene.folder, "mine");
    const env = { env: stage.admin };
    expect((await runScript("issue-cert", [signPath, "mine", mine, "-o", "65534"], env)).code).toBe(0);
    expect((await scene.issue()).code).toBe(0);
    const key = readFileSync(`${mine}-key.pem`, "utf8");
    const sets = [".mine.set", ".admin.set"].map((name) => join(scene.folder, name));
    const [one = "", other = ""] = sets;
    renameSync(one, `${one}.aside`);
    renameSync(other, one);
    renameSync(`${one}.aside`, other);
    expect(readFileSync(keyPath(scene), "utf8")).toBe(key);
    const run = await scene.issue();
    expect([run.code, run.stderr]).toEqual([
      65,
      expect.stringMatching(/\.admin\.set is the set of .*\/mine/),
    ]);
    expect(new X509Certificate(readFileSync(`${scene.destination}.pem`)).subject).toBe("CN=mine");
    expect(JSON.parse((await scene.status()).stdout).certificates[0].state).toBe("wrong");
    await expectForced(scene, key);
  });

  /** A certificate whose key another user can read through a group, and the key itself. */
  async function sharedKey(destination: string): Promise<string> {
    const flags = ["-g", "65534", "--key-mode", "0640"];
    const run = await runScript("issue-cert", ["--if-due", ...flags, signPath, "mine", destination], {
      env: stage.admin,
    });
    expect([run.code, statSync(`${destination}-key.pem`).mode & 0o777]).toEqual([0, 0o640]);
    return readFileSync(`${destination}-key.pem`, "utf8");
  }

  function swap(one: string, other: string): void {
    renameSync(one, `${one}.aside`);
    renameSync(other, one);
    renameSync(`${one}.aside`, other);
  }

  test("in the set of a certificate of the same name, in a folder put in place of this one's", async () => {
    using scene = setScene({ mode: 0o755, owner: uid });
    const [mine, other] = ["mine", "other"].map((name) => join(scene.folder, name));
    if (mine === undefined || other === undefined) throw new Error("two folders");
    for (const folder of [mine, other]) {
      mkdirSync(folder);
      chownSync(folder, uid, uid);
    }
    const key = await sharedKey(join(mine, "admin"));
    const issue = (...flags: string[]) =>
      runScript("issue-cert", [...flags, signPath, "admin", join(other, "admin"), "-o", "0"], {
        env: stage.admin,
      });
    expect((await issue()).code).toBe(0);
    swap(mine, other);
    const run = await issue();
    expect([run.code, run.stderr]).toEqual([
      65,
      expect.stringContaining(`.admin.set is the set of ${mine}/admin`),
    ]);
    expect(readFileSync(join(other, "admin-key.pem"), "utf8")).toBe(key);
    expect(new X509Certificate(readFileSync(join(other, "admin.pem"))).subject).toBe("CN=mine");
    swap(mine, other);
    expect(await issue()).toMatchObject({ code: 0, stderr: "" });
  });

  test.each(["a set of release 1.0.0", "plain files"])(
    "in %s that a group was able to read",
    async (kind) => {
      using scene = setScene({ mode: 0o755, owner: uid });
      const mine = join(scene.folder, "mine");
      for (const [name, destination] of [
        ["mine", mine],
        ["admin", scene.destination],
      ] as const) {
        const flags = [signPath, name, destination];
        expect((await runScript("issue-cert", flags, { env: stage.admin })).code).toBe(0);
        const note = join(scene.folder, `.${basename(destination)}.set/current/request.json`);
        const { home, owner, keyMode, ...old } = JSON.parse(readFileSync(note, "utf8"));
        writeFileSync(note, JSON.stringify(old));
      }
      if (kind === "plain files") {
        for (const end of ["-key.pem", ".pem", "-ca.pem"]) {
          const text = readFileSync(mine + end, "utf8");
          rmSync(mine + end);
          writeFileSync(mine + end, text, { mode: end === "-key.pem" ? 0o600 : 0o644 });
        }
        rmSync(join(scene.folder, ".mine.set"), { recursive: true });
      }
      const key = await sharedKey(mine);
      // It stays in use at its place.
      expect(await sharedKey(mine)).toBe(key);
      swap(join(scene.folder, ".mine.set"), join(scene.folder, ".admin.set"));
      expect(readFileSync(keyPath(scene), "utf8")).toBe(key);
      const run = await scene.issue("-o", "0");
      expect([run.code, run.stderr]).toEqual([
        65,
        expect.stringMatching(/\.admin\.set is the set of .*\/mine/),
      ]);
      await expectForced(scene, key, ["-o", "0"]);
    },
  );

  test("in a manifest's set, and --check reports it as well", async () => {
    using scene = setScene({ mode: 0o1777, owner: 0 });
    const key = plant(keyPath(scene), { uid });
    const manifest = join(scene.root, "admin.toml");
    const fields = { sign_path: signPath, common_name: "admin", destination: scene.destination };
    const lines = Object.entries(fields).map(([name, value]) => `${name} = "${value}"\n`);
    writeFileSync(manifest, lines.join(""), { mode: 0o600 });
    for (const flags of [["--check"], []]) {
      const run = await runScript("issue-cert", ["--config", manifest, ...flags], { env: stage.admin });
      expect([run.code, run.stderr]).toEqual([
        65,
        expect.stringContaining("is not used: it belongs to user"),
      ]);
    }
    expectNotSigned(scene, key);
  });
});

describe("a key that nobody else can have put there is kept:", () => {
  interface Kept {
    readonly mode: number;
    readonly owner: number;
    readonly uid: number;
    readonly keyMode?: number;
    readonly flags?: readonly string[];
  }
  const { uid } = otherUser;
  const kept: Readonly<Record<string, Kept>> = {
    "root's, in another user's folder": { mode: 0o755, owner: uid, uid: 0 },
    "the folder's owner's, where nobody else may write": { mode: 0o750, owner: uid, uid },
    "root's, that its group may read, in a folder that only root can write": {
      ...{ mode: 0o755, owner: 0, uid: 0, keyMode: 0o640 },
    },
    "any user's, in a folder that only root can write": { mode: 0o755, owner: 0, uid },
    "of another owner than the requested one, in a folder that only root can write": {
      ...{ mode: 0o755, owner: 0, uid },
      flags: ["-o", "4321", "-g", "4321"],
    },
    "of the requested owner, in any folder": {
      ...{ mode: 0o1777, owner: 0, uid },
      flags: ["-o", "65534", "-g", "65534"],
    },
  };

  test.each(Object.entries(kept))("%s", async (_, { mode, owner, uid, keyMode = 0o600, flags = [] }) => {
    using scene = setScene({ mode, owner });
    const key = plant(keyPath(scene), { uid, mode: keyMode });
    for (let i = 0; i < 2; i++) {
      const run = await scene.issue(...flags);
      expect([run.code, withoutModeNote(run.stderr)]).toEqual([0, ""]);
      expect(readFileSync(keyPath(scene), "utf8")).toBe(key);
    }
    expect((await scene.issue("--if-due", ...flags)).stdout).toContain("is not due");
  });

  test("in a set whose folder was renamed", async () => {
    using scene = setScene({ mode: 0o750, owner: uid });
    expect((await scene.issue()).code).toBe(0);
    const key = readFileSync(keyPath(scene), "utf8");
    const moved = join(dirname(scene.folder), "moved");
    renameSync(scene.folder, moved);
    const run = await runScript("issue-cert", [signPath, "admin", join(moved, "admin")], {
      env: stage.admin,
    });
    expect([run.code, run.stderr]).toEqual([0, ""]);
    expect(readFileSync(join(moved, "admin-key.pem"), "utf8")).toBe(key);
  });
});
