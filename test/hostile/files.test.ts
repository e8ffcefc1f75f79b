import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { trace } from "../crash/strace.ts";
import { makeFifo, temporaryFolder } from "../support/folder.ts";
import { runScript, scriptPath } from "../support/script.ts";
import { createCa } from "../support/set.ts";
import { modeOf } from "../support/tree.ts";
import { isOneSentence, otherUser, runAsOtherUser, type Stage, setStage, signPath } from "./stage.ts";

let stage: Stage;
let token = "";
beforeAll(async () => {
  stage = await setStage();
  token = await stage.server.hostToken("worker");
});
afterAll(() => stage[Symbol.asyncDispose]());
beforeEach(() => stage.relay.reset());

interface BadFile {
  readonly name: string;
  make(path: string): void;
  readonly code: number;
  readonly words: string;
}

const gigabyte = 2 ** 30;

/** The state of a file, or of each file in a folder. The time of change shows every write. */
function look(path: string): unknown {
  const { ino, mode, uid, size, ctimeNs } = lstatSync(path, { bigint: true });
  const inside: unknown[] = lstatSync(path).isDirectory()
    ? readdirSync(path).map((name) => [name, look(join(path, name))])
    : [];
  return { ino, mode, uid, size, ctimeNs, inside };
}

function makeHuge(path: string): void {
  writeFileSync(path, "", { mode: 0o600 });
  truncateSync(path, gigabyte);
}

/** Files that must never be read as secrets. */
const neverRead: readonly BadFile[] = [
  { name: "huge", code: 65, words: "is longer than", make: makeHuge },
  { name: "a folder", code: 65, words: "is not a plain file", make: (path) => mkdirSync(path) },
  { name: "a FIFO", code: 65, words: "is not a plain file", make: makeFifo },
];

const neverToken: readonly BadFile[] = [
  ...neverRead,
  {
    name: "a link",
    code: 65,
    words: "it is a symbolic link (ELOOP)",
    make: (path) => symlinkSync("/dev/zero", path),
  },
  {
    name: "binary",
    code: 65,
    words: "holds something that is not a token",
    make: (path) => writeFileSync(path, Buffer.from([0, 255, 1, 254]), { mode: 0o600 }),
  },
  {
    name: "two lines",
    code: 65,
    words: "holds something that is not a token",
    make: (path) => writeFileSync(path, "one\ntwo\n", { mode: 0o600 }),
  },
  {
    name: "another user's",
    code: 77,
    words: `belongs to another user (${otherUser.uid})`,
    make: (path) => {
      writeFileSync(path, token, { mode: 0o600 });
      chownSync(path, otherUser.uid, otherUser.gid);
    },
  },
];

const emptyToken: BadFile = {
  name: "empty",
  code: 77,
  words: "",
  make: (path) => writeFileSync(path, "", { mode: 0o600 }),
};

function renew(folder: string, ...flags: string[]) {
  return runScript("renew-token", ["--config-path", folder, "--init-role", "demo-worker", ...flags], {
    env: { VAULT_ADDR: stage.relay.address },
  });
}

describe.each(["token", "init-token"])("the file %s", (file) => {
  const empty = {
    ...emptyToken,
    words: file === "token" ? "is empty, and there is no init token at" : "and the init token is empty at",
  };
  test.each([...neverToken, empty].map((it) => [it.name, it] as const))(
    "is refused with one sentence when it is %s",
    async (_, { make, code, words }) => {
      using folder = temporaryFolder();
      make(join(folder.path, file));
      const before = look(folder.path);
      const result = await renew(folder.path);
      expect(result.stderr).toContain(words);
      expect(result.stderr).toContain(join(folder.path, file));
      expect(result).toMatchObject({ code, stdout: "" });
      expect(isOneSentence(result)).toBe(true);
      expect(result.stderr).not.toContain(token);
      expect(stage.relay.passed).toEqual([]);
      expect(look(folder.path)).toEqual(before);
    },
  );

  test("gets mode 0600 if others can read it, and the run says so", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, file);
    writeFileSync(path, file === "token" ? token : await stage.server.initToken("worker"));
    chmodSync(path, 0o644);
    // The exchange is refused, so that the files can be checked afterwards.
    const { stderr } = await runScript(
      "renew-token",
      ["--config-path", folder.path, "--init-role", "demo-nobody"],
      {
        env: { VAULT_ADDR: stage.relay.address },
      },
    );
    expect(stderr).toContain(`${path} was readable by others; its mode is 0600 now`);
    expect(modeOf(path)).toBe("600");
  });

  test("is not read by a user without permission", async () => {
    using folder = temporaryFolder();
    chmodSync(folder.path, 0o755);
    writeFileSync(join(folder.path, file), token, { mode: 0o600 });
    const before = look(folder.path);
    const result = await runAsOtherUser("renew-token", ["--config-path", folder.path], {
      VAULT_ADDR: stage.relay.address,
    });
    expect(result).toMatchObject({ code: 77, stdout: "" });
    expect(result.stderr).toContain(`can't read ${join(folder.path, file)}: permission denied (EACCES)`);
    expect(look(folder.path)).toEqual(before);
  });
});

test("a configuration folder behind another user's link is refused", async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "real"));
  writeFileSync(join(folder.path, "real/token"), token, { mode: 0o600 });
  symlinkSync("real", join(folder.path, "link"));
  execFileSync("chown", ["-h", `${otherUser.uid}`, join(folder.path, "link")]);
  const result = await renew(join(folder.path, "link"));
  expect(result.stderr).toContain("is a symbolic link of another user (65534), and is not followed");
  expect(result).toMatchObject({ code: 73, stdout: "" });
  expect(stage.relay.passed).toEqual([]);
});

describe("the file that VAULT_TOKEN_FILE names", () => {
  const setup = (path: string) =>
    runScript("setup-mounts", ["demo"], { env: { VAULT_ADDR: stage.relay.address, VAULT_TOKEN_FILE: path } });

  // A link of the running user is followed here.
  const cases = neverToken.map((it) => (it.name === "a link" ? { ...it, words: "is not a plain file" } : it));
  test.each(
    [...cases, { ...emptyToken, code: 78, words: "VAULT_TOKEN_FILE names" }].map(
      (it) => [it.name, it] as const,
    ),
  )("is refused with one sentence when it is %s", async (_, { make, code, words }) => {
    using folder = temporaryFolder();
    const path = join(folder.path, "admin");
    make(path);
    const before = look(folder.path);
    const result = await setup(path);
    expect(result.stderr).toContain(words);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(isOneSentence(result)).toBe(true);
    expect(stage.relay.passed).toEqual([]);
    expect(look(folder.path)).toEqual(before);
  });
});

describe("a key", () => {
  const issue = (destination: string, ...flags: string[]) =>
    runScript("issue-cert", [...flags, signPath, "etcd-1", destination], { env: stage.admin });

  const neverKey: readonly BadFile[] = [
    ...neverRead,
    {
      name: "empty",
      code: 65,
      words: "holds no private key in PEM",
      make: (path) => writeFileSync(path, ""),
    },
    {
      name: "binary",
      code: 65,
      words: "holds no private key in PEM",
      make: (path) => writeFileSync(path, Buffer.from([0, 255, 1, 254])),
    },
    {
      name: "cut off",
      code: 65,
      words: "holds a PEM block that is cut off",
      make: (path) => writeFileSync(path, "-----BEGIN PRIVATE KEY-----\nMIGH\n"),
    },
  ];

  test.each(neverKey.map((it) => [it.name, it] as const))(
    "is refused with one sentence, and left as it is, when it is %s",
    async (_, { make, code, words }) => {
      using folder = temporaryFolder();
      const path = join(folder.path, "etcd-key.pem");
      make(path);
      const before = look(path);
      const result = await issue(join(folder.path, "etcd"));
      expect(result.stderr).toContain(`${path} ${words}`);
      expect(result).toMatchObject({ code, stdout: "" });
      expect(isOneSentence(result)).toBe(true);
      expect(stage.relay.passed).toEqual([]);
      expect(look(path)).toEqual(before);
    },
  );

  /** Three plain files, as the Go tool left them. */
  async function plainFiles(folder: string): Promise<string> {
    const destination = join(folder, "etcd");
    expect((await issue(destination)).code).toBe(0);
    for (const suffix of ["-key.pem", ".pem", "-ca.pem"]) {
      copyFileSync(destination + suffix, `${destination}.plain`);
      renameSync(`${destination}.plain`, destination + suffix);
    }
    rmSync(join(folder, ".etcd.set"), { recursive: true });
    chmodSync(`${destination}-key.pem`, 0o644);
    return destination;
  }

  test.each([
    ["issued again", [], "issued"],
    ["checked and not due", ["--if-due"], "not due"],
  ])("that all may read gets mode 0600 when its certificate is %s", async (_, flags, outcome) => {
    using folder = temporaryFolder();
    const destination = await plainFiles(folder.path);
    const key = readFileSync(`${destination}-key.pem`, "utf8");
    const { code, stdout } = await issue(destination, ...flags, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ outcome });
    expect(readFileSync(`${destination}-key.pem`, "utf8")).toBe(key);
    expect(execFileSync("stat", ["-L", "-c", "%a", `${destination}-key.pem`], { encoding: "utf8" })).toBe(
      "600\n",
    );
  });

  test("of another user keeps its owner, whose service reads it", async () => {
    using folder = temporaryFolder();
    const destination = await plainFiles(folder.path);
    chownSync(`${destination}-key.pem`, otherUser.uid, otherUser.gid);
    expect((await issue(destination)).code).toBe(0);
    expect(execFileSync("stat", ["-L", "-c", "%u %a", `${destination}-key.pem`], { encoding: "utf8" })).toBe(
      "65534 600\n",
    );
  });
});

describe("a file that a variable names for TLS", () => {
  const files: readonly BadFile[] = [
    { name: "huge", code: 78, words: "which is longer than 16 MiB", make: makeHuge },
    { name: "a FIFO", code: 78, words: "which is not a plain file", make: makeFifo },
  ];
  const variables = ["VAULT_CACERT", "VAULT_CAPATH", "VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY"];
  const cases = variables.flatMap((variable) => files.map((file) => [variable, file.name, file] as const));

  test.each(cases)("%s is refused when it is %s", async (variable, _, { make, code, words }) => {
    using folder = temporaryFolder();
    const path = join(folder.path, "file");
    make(path);
    // Certificate and key are given together, and the certificate is read first.
    const certificate = join(folder.path, "cert.pem");
    writeFileSync(certificate, createCa().pem);
    const pair = variable.includes("CLIENT")
      ? { VAULT_CLIENT_CERT: certificate, VAULT_CLIENT_KEY: certificate }
      : {};
    const result = await runScript("setup-mounts", ["demo"], {
      env: { VAULT_ADDR: "https://127.0.0.1:1", VAULT_TOKEN: "t", ...pair, [variable]: path },
    });
    expect(result.stderr).toContain(`${variable} names ${path}, ${words}`);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(isOneSentence(result)).toBe(true);
  });
});

test("a huge file is not read into memory", async () => {
  using folder = temporaryFolder();
  makeHuge(join(folder.path, "token"));
  const command = [await scriptPath("renew-token"), "--config-path", folder.path];
  const { code, calls } = await trace(command, { env: {}, folder: folder.path });
  expect(code).toBe(65);
  const reads = calls.filter(({ name, path }) => name.startsWith("read") && path?.endsWith("/token"));
  const bytes = reads.map(({ line }) => Number(/ = (\d+)$/.exec(line)?.[1]));
  expect(reads.length).toBeGreaterThan(0);
  expect(bytes.reduce((sum, count) => sum + count, 0)).toBeLessThan(10_000);
});
