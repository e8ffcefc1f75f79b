import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { resolveServerBinary } from "../../lib/server/binary.ts";
import { failureOf } from "../support/failure.ts";
import { isRunning, until } from "../support/wait.ts";

const BINARY_MODULE = resolve(import.meta.dir, "../../lib/server/binary.ts");
const GO_SUM_HASH = createHash("sha256")
  .update(readFileSync(join(import.meta.dir, "go.sum")))
  .digest("hex")
  .slice(0, 16);

/** The version output of a good build. */
const VERSION_SCRIPT = "#!/bin/sh\necho 'Vault v1.21.0, built today'\n";

let folder: string;
let cache: string;
let built: string;
let lines: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vault-helper-binary-"));
  cache = join(folder, "cache", "vault-helper", `server-${GO_SUM_HASH}`);
  built = join(cache, "vault");
  lines = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function executable(path: string, text = VERSION_SCRIPT): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

/** A fake `go` whose `build` runs these lines, with `$out` as the file to write. */
function fakeGo(script: string) {
  const start = 'while [ "$1" != -o ]; do shift; done\nout=$2\n';
  executable(join(folder, "bin", "go"), `#!/bin/sh\n${start}${script}\n`);
}

const GOOD_BUILD = `cat > "$out" <<'END'\n${VERSION_SCRIPT}END\nchmod +x "$out"`;

function env(more: Record<string, string> = {}): Record<string, string> {
  return {
    PATH: `${join(folder, "bin")}:/usr/bin:/bin`,
    HOME: folder,
    XDG_CACHE_HOME: join(folder, "cache"),
    ...more,
  };
}

function find(more?: Record<string, string>) {
  return resolveServerBinary({ env: env(more), progress: (line) => lines.push(line) });
}

/** Checks that the cache folder holds only the lock: no executable, and nothing left of the build. */
function expectNothingBuilt() {
  expect(readdirSync(cache)).toEqual(["lock"]);
}

describe("resolveServerBinary() finds", () => {
  test("BAO_BINARY first, then VAULT_BINARY", async () => {
    const path = executable(join(folder, "mine"));
    executable(join(folder, "bin", "bao"));
    expect(await find({ BAO_BINARY: path, VAULT_BINARY: "/nowhere" })).toEqual({ path, kind: "bao" });
    expect(await find({ BAO_BINARY: "", VAULT_BINARY: path })).toEqual({ path, kind: "vault" });
  });

  test.each(["BAO_BINARY", "VAULT_BINARY"])(
    "no executable in a %s that can't be run, and says so",
    async (variable) => {
      writeFileSync(join(folder, "text"), "");
      for (const path of [join(folder, "none"), join(folder, "text"), folder]) {
        const failure = await failureOf(() => find({ [variable]: path }));
        expect(failure.kind).toBe("config");
        expect(failure.message).toBe(`${variable} names ${path}, which is not an executable file`);
      }
    },
  );

  test("bao on PATH, then vault on PATH, then the cached build", async () => {
    executable(built);
    expect(await find()).toEqual({ path: built, kind: "vault", version: "1.21.0" });
    const vault = executable(join(folder, "bin", "vault"));
    expect(await find()).toEqual({ path: vault, kind: "vault" });
    const bao = executable(join(folder, "bin", "bao"));
    expect(await find()).toEqual({ path: bao, kind: "bao" });
    expect(lines).toEqual([]);
  });

  test("the cache in HOME if XDG_CACHE_HOME is empty or relative", async () => {
    const path = executable(join(folder, ".cache", "vault-helper", `server-${GO_SUM_HASH}`, "vault"));
    expect((await find({ XDG_CACHE_HOME: "" })).path).toBe(path);
    expect((await find({ XDG_CACHE_HOME: "some/folder" })).path).toBe(path);
  });
});

describe("resolveServerBinary() builds", () => {
  test("a missing server in the module's folder with its flags, and says so", async () => {
    const record = join(folder, "record");
    executable(
      join(folder, "bin", "go"),
      `#!/bin/sh\npwd > ${record}\necho "$1 $2 $3 $4 $5 $6 $8" >> ${record}\nout=$7\n${GOOD_BUILD}\n`,
    );
    expect(await find()).toEqual({ path: built, kind: "vault", version: "1.21.0" });
    expect(readFileSync(record, "utf8")).toBe(
      `${import.meta.dir}\nbuild -tags minimal -trimpath -ldflags=-s -w -o github.com/hashicorp/vault\n`,
    );
    expect(lines[0]).toBe("building Vault 1.21.0 with Go: this takes about 5 minutes, once on each machine");
    expect(readdirSync(cache).sort()).toEqual(["lock", "vault"]);
  });

  test("nothing that could be run if go fails", async () => {
    fakeGo(`${GOOD_BUILD}\necho 'no such module' >&2\nexit 1`);
    const failure = await failureOf(() => find());
    expect(failure.kind).toBe("unavailable");
    expect(failure.message).toContain("no such module");
    expectNothingBuilt();
  });

  test("no executable that reports another version", async () => {
    fakeGo(`printf '#!/bin/sh\\necho Vault v1.0.0\\n' > "$out"; chmod +x "$out"`);
    const failure = await failureOf(() => find());
    expect(failure.message).toContain('isn\'t Vault 1.21.0: it says "Vault v1.0.0"');
    expectNothingBuilt();
  });

  test("after removing the rest of an interrupted build", async () => {
    executable(join(cache, "build-old", "vault"));
    fakeGo(GOOD_BUILD);
    await find();
    expect(readdirSync(cache).sort()).toEqual(["lock", "vault"]);
  });

  test("nothing without go, and says what to install", async () => {
    const failure = await failureOf(() => find({ PATH: join(folder, "bin") }));
    expect(failure.kind).toBe("config");
    expect(failure.message).toStartWith("there is no server to run");
    expect(failure.hint).toStartWith("install Go 1.26 or newer");
    expect(existsSync(cache)).toBe(false);
  });
});

describe("resolveServerBinary() in several runs", () => {
  const CODE = `await (await import(${JSON.stringify(BINARY_MODULE)})).resolveServerBinary()`;

  function run() {
    return Bun.spawn([process.execPath, "-e", CODE], { env: env(), stdout: "ignore", stderr: "pipe" });
  }

  test("builds once for two runs at the same time", async () => {
    const record = join(folder, "record");
    fakeGo(`echo built >> ${record}\nsleep 3\n${GOOD_BUILD}`);
    const runs = [run(), run()];
    const said = await Promise.all(runs.map((process) => process.stderr.text()));
    expect(await Promise.all(runs.map((process) => process.exited))).toEqual([0, 0]);
    expect(readFileSync(record, "utf8")).toBe("built\n");
    expect(said.join("")).toContain("another run is building Vault: waiting for it");
    expect(existsSync(built)).toBe(true);
  });

  test("leaves neither go nor files behind when it is killed, so that the next run can build", async () => {
    const record = join(folder, "record");
    fakeGo(`echo $$ > ${record}\n${GOOD_BUILD}\nexec sleep 60`);
    const first = run();
    await until(() => existsSync(record) && readFileSync(record, "utf8").endsWith("\n"));
    first.kill("SIGKILL");
    await first.exited;
    await until(() => readdirSync(cache).length === 1);
    expectNothingBuilt();
    await until(() => !isRunning(Number(readFileSync(record, "utf8"))));

    fakeGo(GOOD_BUILD);
    expect((await find()).path).toBe(built);
  });
});
