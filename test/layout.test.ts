import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const ROOT = resolve(import.meta.dir, "..");

/** The rooms that each room of lib/ may import. Every room may also import itself and the files in lib/ itself. */
const MAY_IMPORT: Record<string, string[]> = {
  vault: [],
  cluster: ["vault", "toml", "x509"],
  x509: [],
  host: [],
  toml: ["host"],
  manifest: ["x509", "host", "toml"],
  renewal: ["vault", "x509", "host", "manifest"],
  tasks: ["vault", "x509", "host", "manifest", "renewal"],
  cli: ["vault", "cluster", "x509", "host", "toml", "manifest", "renewal", "tasks"],
  server: ["vault", "cluster", "host"],
};

interface Import {
  from: string;
  to: string;
}

const FILES = [...new Bun.Glob("{lib,scripts,test,tools}/**/*.{ts,mjs}").scanSync(ROOT)];
const IMPORTS = FILES.flatMap(importsOf);

/** Uses a pattern, because Bun's own scanner leaves out imports of types. */
function importsOf(from: string): Import[] {
  const text = readFileSync(join(ROOT, from), "utf8");
  return [...text.matchAll(/\b(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)].map(([, path = ""]) => ({
    from,
    to: relative(ROOT, resolve(ROOT, dirname(from), path)),
  }));
}

/** `lib/vault/client.ts` is in the room `vault`. `lib/failure.ts` is in no room. */
function roomOf(path: string): string | undefined {
  return /^lib\/([^/]+)\//.exec(path)?.[1];
}

function mayImport({ from, to }: Import): boolean {
  const [top = ""] = from.split("/");
  // This script contains all the others.
  if (from === "scripts/vault-helper.ts") return /^(lib|scripts)\//.test(to);
  if (top === "scripts") return to.startsWith("lib/");
  if (top !== "lib") return true;
  // The version that a script prints.
  if (to === "package.json") return true;
  if (!to.startsWith("lib/")) return false;
  const [source, target] = [roomOf(from), roomOf(to)];
  return target === undefined || target === source || (MAY_IMPORT[source ?? ""] ?? []).includes(target);
}

/** Each cycle of imports, types included, as a list of files that ends with its first. */
function cyclesOf(imports: readonly Import[]): string[][] {
  const targets = Map.groupBy(imports, ({ from }) => from);
  const done = new Set<string>();
  const cycles: string[][] = [];
  const visit = (file: string, way: readonly string[]) => {
    if (way.includes(file)) cycles.push([...way.slice(way.indexOf(file)), file]);
    if (way.includes(file) || done.has(file)) return;
    for (const { to } of targets.get(file) ?? []) visit(to, [...way, file]);
    done.add(file);
  };
  for (const file of targets.keys()) visit(file, []);
  return cycles;
}

describe("imports", () => {
  test("are found", () => {
    expect(IMPORTS).toContainEqual({ from: "lib/server/build.ts", to: "lib/failure.ts" });
  });

  test("go one way", () => {
    expect(IMPORTS.filter((found) => !mayImport(found))).toEqual([]);
  });

  test("have a rule for each room", () => {
    const rooms = FILES.map(roomOf).filter((room) => room !== undefined);
    expect([...new Set(rooms)].filter((room) => !(room in MAY_IMPORT))).toEqual([]);
  });

  test("have no cycles", () => {
    expect(cyclesOf(IMPORTS)).toEqual([]);
    const [a, b, c] = ["lib/a.ts", "lib/b.ts", "lib/c.ts"];
    const round = [
      { from: a, to: b },
      { from: b, to: c },
      { from: c, to: a },
    ];
    expect(cyclesOf(round)).toEqual([[a, b, c, a]]);
  });

  test.each([
    ["lib/vault/a.ts", "lib/host/b.ts"],
    ["lib/host/a.ts", "lib/vault/b.ts"],
    ["lib/server/a.ts", "lib/tasks/b.ts"],
    ["lib/failure.ts", "lib/vault/b.ts"],
    ["lib/cli/a.ts", "scripts/b.ts"],
    ["scripts/a.ts", "scripts/b.ts"],
    ["scripts/a.ts", "tools/b.ts"],
  ])("would be refused from %s to %s", (from, to) => {
    expect(mayImport({ from, to })).toBe(false);
  });
});

/** The packages that a script loads before it begins: the static imports of its files, without types. */
function packagesOf(path: string, seen = new Set<string>()): Set<string> {
  const packages = new Set<string>();
  if (seen.has(path) || !path.endsWith(".ts")) return packages;
  seen.add(path);
  const text = readFileSync(join(ROOT, path), "utf8");
  for (const [, from = ""] of text.matchAll(/^(?:import|export) (?!type )(?:[^"]*? from )?"([^"]+)"/gm)) {
    if (!from.startsWith(".")) packages.add(from);
    else for (const it of packagesOf(join(dirname(path), from), seen)) packages.add(it);
  }
  return packages;
}

test("a timer's run loads no library before it needs one", () => {
  // Loading node:crypto takes a tenth of a renewal's CPU time.
  const cheap = ["node:fs", "node:os", "node:path"];
  for (const script of ["scripts/renew-token.ts", "scripts/issue-cert.ts"]) {
    expect([...packagesOf(script)].filter((it) => !cheap.includes(it))).toEqual([]);
    expect(packagesOf(script)).toContain("node:fs");
  }
  expect(packagesOf("lib/cli/tls-fault.ts")).toContain("node:crypto");
});

test("only lib/cli knows exit codes", () => {
  const knows = /\bExitCode\b|\bexit-code\.ts\b|\bprocess\.exit\b/;
  const others = FILES.filter((path) => path.startsWith("lib/") && !path.startsWith("lib/cli/"));
  expect(others.filter((path) => knows.test(readFileSync(join(ROOT, path), "utf8")))).toEqual([]);
  expect(readFileSync(join(ROOT, "lib/cli/exit-code.ts"), "utf8")).toMatch(knows);
});

test("only lib/renewal decides when a certificate is due", () => {
  // Code that computes with a certificate's times, or asks whether a window is open, has its own rule.
  const rules =
    /\bnot(?:After|Before)\b[^;\n]*?(?:\.getTime\(\)|[<>] |[-+*/] )|\b(?:isOpen|nextOpening|dueAt|urgentAt)\(/;
  const files = FILES.filter((path) => /^(?:lib|scripts)\//.test(path) && !path.startsWith("lib/renewal/"));
  expect(files.filter((path) => rules.test(readFileSync(join(ROOT, path), "utf8"))).sort()).toEqual([
    // For CAs in the server, which no host renews.
    "lib/cluster/ca-certificates.ts",
    "lib/cluster/ca-rotation.ts",
    "lib/cluster/issuer-status.ts",
    "lib/cluster/mount-cas.ts",
    "lib/cluster/mount-contents.ts",
    "lib/cluster/rotatable.ts",
    "lib/cluster/rotation-status.ts",
    // Defines windows.
    "lib/manifest/window.ts",
    // Whether the server's own TLS certificate has expired.
    "lib/vault/network-error.ts",
  ]);
  for (const rule of ["notAfter.getTime() - day", "if (notAfter > now)", "isOpen(windows, now)"]) {
    expect(rule).toMatch(rules);
  }
});

test("no file of lib/ has a default export", () => {
  const withDefault = FILES.filter(
    (path) => path.startsWith("lib/") && /^export\s+default\b/m.test(readFileSync(join(ROOT, path), "utf8")),
  );
  expect(withDefault).toEqual([]);
});

test("everything is printed through the log, which replaces characters that control a terminal", () => {
  const prints =
    /\bconsole\.|\.std(?:out|err)\.write\b|\bBun\.std(?:out|err)\b|\bwriteSync\((?:1|2)\b|\bprintText\(/;
  const ours = FILES.filter((path) => /^(lib|scripts)\//.test(path));
  expect(ours.filter((path) => prints.test(readFileSync(join(ROOT, path), "utf8"))).sort()).toEqual([
    "lib/cli/log.ts",
    // Tells developers that a server is being built.
    "lib/server/binary.ts",
    // Prints a secret, which is filtered only on a terminal.
    "scripts/read-secret.ts",
  ]);
});

test("no test is skipped, postponed or singled out", () => {
  // The linter finds `skip` and `only`. `skipIf` is allowed for tests that a machine can't run.
  const left = /^\s*(?:test|it|describe)\.(?:todo|skip|only|if|todoIf)\b/m;
  expect(FILES.filter((path) => left.test(readFileSync(join(ROOT, path), "utf8")))).toEqual([]);
  for (const call of ["test.todo(", "  test.skip.each(", "describe.only("]) expect(call).toMatch(left);
  expect("describe.skipIf(").not.toMatch(left);
});

test("CONTRIBUTING.md has a line for each room and each folder of the clone", () => {
  const [, layout = ""] = readFileSync(join(ROOT, "CONTRIBUTING.md"), "utf8").split("\n## Layout\n");
  const named = [...layout.matchAll(/^ {4,6}(\w+)\/(?: |$)/gm)].map(([, name]) => name);
  const rooms = FILES.map(roomOf).filter((room) => room !== undefined);
  const folders = FILES.map((path) => path.split("/")[0]);
  expect(named.toSorted()).toEqual([...new Set([...rooms, ...folders, "units", "docs"])].toSorted());
});

test("the top of the clone has no further folders", () => {
  const tracked = Bun.spawnSync(["git", "ls-files"], { cwd: ROOT }).stdout.toString().split("\n");
  const folders = new Set(tracked.filter((path) => path.includes("/")).map((path) => path.split("/")[0]));
  expect([...folders].sort()).toEqual([".ci", "docs", "lib", "scripts", "test", "tools", "units"]);
});

test("test/README.md has a row for each room and each fixture", () => {
  const rows = [
    ...readFileSync(join(ROOT, "test/README.md"), "utf8").matchAll(/^\| `(test\/[\w./-]+)` \| /gm),
  ].map(([, path]) => path);
  const rooms = readdirSync(join(ROOT, "test"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== "support")
    .map(({ name }) => `test/${name}`);
  const fixtures = readdirSync(join(ROOT, "test/support")).map((name) => `test/support/${name}`);
  expect(rows.toSorted()).toEqual([...rooms, ...fixtures].toSorted());
});

describe("packages", () => {
  test("are required in exact versions", () => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    const versions: string[] = Object.values({ ...dependencies, ...devDependencies });
    expect(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
  });

  test("are locked without their download addresses", () => {
    expect(readFileSync(join(ROOT, "package-lock.json"), "utf8")).not.toContain('"resolved"');
  });
});
