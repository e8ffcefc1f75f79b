import { afterAll, describe, expect, test } from "bun:test";
import { basename, join, relative } from "node:path";
import { type Call, trace } from "../crash/strace.ts";
import { startCluster } from "../support/cluster-server.ts";
import { type Host, startHost } from "../support/host.ts";
import { scriptPath } from "../support/script.ts";
import { snippet } from "../support/snippet.ts";

// What a timer's run may cost, in counts that are the same on every machine. Times are for `npm run bench`.

const root = join(import.meta.dir, "../..");
const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

interface Loaded {
  /** Files of the project, from its root. */
  readonly files: readonly string[];
  readonly packages: readonly string[];
}

/** Runs a script like its executable does. @returns what was loaded by its end */
async function loadedBy(host: Host, file: string, name: string, args: readonly string[]): Promise<Loaded> {
  const code = `
    const { ${name} } = await import(${JSON.stringify(join(root, "scripts", file))});
    process.on("exit", () => console.log(JSON.stringify(Object.keys(require.cache))));
    await runScript(${name}, ${JSON.stringify(["-p", host.config, ...args])});`;
  const child = Bun.spawn(snippet("{ runScript }", "cli/script.ts", code), {
    env: { PATH: process.env.PATH ?? "", ...host.env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors, exit] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  expect([exit, errors]).toEqual([0, ""]);
  const all: string[] = JSON.parse(out.trim().split("\n").at(-1) ?? "");
  const paths = all.map((path) => relative(root, path)).toSorted();
  const packages = paths.flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []);
  return { files: paths.filter((path) => /^(lib|scripts)\//.test(path)), packages: [...new Set(packages)] };
}

/** Files by their folders. */
function inRooms(rooms: Readonly<Record<string, string>>): string[] {
  return Object.entries(rooms).flatMap(([room, names]) =>
    names.split(" ").map((name) => `${room}/${name}.ts`),
  );
}

/** The modules that renew a token. Every host loads all of them every day, so think before you add one. */
const renewal = inRooms({
  lib: "calendar duration failure suggest visible",
  "lib/cli":
    "arguments colour command-line config-file environment exit-code given-pem host-client log proxy script tls variable wrap",
  "lib/host": "access durable environment-file file-error folder path read-file token-files",
  "lib/tasks": "host-token renew-token",
  "lib/vault": "address body client data error gate json-limits meaning path retry shape token unknown-token",
  "lib/x509": "ip-address pem",
});
/** The further modules for a certificate that is not due. */
const look = inRooms({
  "lib/cli": "certificate-args issued manifest-args",
  "lib/host":
    "certificate-place certificate-set certificate-write foreign-key host-lock key-mode lock owner pending set-fingerprint",
  "lib/manifest": "window",
  "lib/renewal": "choose-key decide inspect issue request validity when-due",
  "lib/vault": "clocks sys",
  "lib/x509": "certificate key-type key names node-crypto pss",
});
/** The further modules for issuing. */
const issue = inRooms({
  "lib/renewal": "check-signed server-ca sign sign-refusal trust-bundle",
  "lib/vault": "acl chain issuers pki",
  "lib/x509": "csr der",
});

const sorted = (...lists: ReadonlyArray<readonly string[]>) => lists.flat().toSorted();
const args = (host: Host) => ["demo/pki/k8s/sign/kubelet", "system:node:a", host.destination];

describe("loads these modules and no other:", () => {
  test("renew-token", async () => {
    await using host = startHost(cluster.address);
    host.put("token", await cluster.hostToken("worker"));
    const loaded = await loadedBy(host, "renew-token.ts", "renewToken", []);
    expect(loaded).toEqual({ files: sorted(renewal, ["scripts/renew-token.ts"]), packages: [] });
  });

  test.each(["rsa", "ec", "ed25519"])(
    "issue-cert, for a new %s key and when that is not due",
    async (type) => {
      await using host = startHost(cluster.address);
      host.put("token", await cluster.hostToken("worker"));
      const words = ["--if-due", "-t", type, ...args(host)];
      expect(await loadedBy(host, "issue-cert.ts", "issueCert", words)).toEqual({
        files: sorted(renewal, look, issue, ["scripts/issue-cert.ts"]),
        packages: [],
      });
      expect(await loadedBy(host, "issue-cert.ts", "issueCert", words)).toEqual({
        files: sorted(renewal, look, ["scripts/issue-cert.ts"]),
        packages: [],
      });
    },
  );

  test("only a kubeconfig loads the YAML library", async () => {
    await using host = startHost(cluster.address);
    host.put("token", await cluster.hostToken("worker"));
    const words = [...args(host), `${host.path}/kube/config`];
    const { packages } = await loadedBy(host, "write-kubeconfig.ts", "writeKubeconfig", words);
    expect(packages).toEqual(["yaml"]);
  });
});

describe("a run asks and writes no more than it has to:", () => {
  test("renew-token sends one request, and syncs nothing to disk", async () => {
    await using host = startHost(cluster.address);
    host.put("token", await cluster.hostToken("worker"));
    const { code, calls } = await traced(host, "renew-token", []);
    expect(code).toBe(0);
    expect(requests(host)).toEqual(["POST auth/token/renew-self"]);
    expect(calls.filter(({ name }) => name === "fsync")).toEqual([]);
    expect(opened(calls, "token")).toBe(1);
  });

  test("issue-cert sends two requests, and syncs seven things to disk", async () => {
    await using host = startHost(cluster.address);
    host.put("token", await cluster.hostToken("worker"));
    // The first run for a destination also asks for the server's CAs, and makes the folders.
    expect((await host.run("issue-cert", args(host))).code).toBe(0);
    host.relay.reset();
    const { code, calls } = await traced(host, "issue-cert", args(host));
    expect(code).toBe(0);
    expect(requests(host)).toEqual(["POST auth/token/renew-self", `POST ${args(host)[0]}`]);
    // Four files, their folder, that folder's name, and the link that is switched.
    expect(calls.filter(({ name }) => name === "fsync")).toHaveLength(7);
    expect(opened(calls, "token")).toBe(1);
  });
});

/** Runs a script's executable, and returns its system calls on the host's files. */
async function traced(host: Host, script: string, words: readonly string[]) {
  const command = [await scriptPath(script), "-p", host.config, ...words];
  return await trace(command, { env: host.env, folder: host.path });
}

function requests(host: Host): string[] {
  return host.relay.passed.map(({ method, path }) => `${method} ${path}`);
}

function opened(calls: readonly Call[], name: string): number {
  return calls.filter((call) => call.name === "openat" && call.path?.endsWith(`/${name}`)).length;
}

/** The bytes of JavaScript that a script loads at its start, and those including parts that it loads later. */
async function bytesOf(script: string): Promise<number> {
  const { outputs } = await Bun.build({
    entrypoints: [join(root, "scripts", `${script}.ts`)],
    target: "bun",
    format: "esm",
    minify: true,
    splitting: true,
  });
  const texts = new Map(
    await Promise.all(outputs.map(async (it) => [basename(it.path), await it.text()] as const)),
  );
  const seen = new Set<string>();
  const add = (name: string) => {
    const text = texts.get(name);
    if (text === undefined || seen.has(name)) return;
    seen.add(name);
    for (const [, other = ""] of text.matchAll(/(?:^|[;}])import(?:[^"'();]*from)?"\.\/([^"]+)"/gm))
      add(other);
  };
  const entry = outputs.find(({ kind }) => kind === "entry-point");
  add(basename(entry?.path ?? ""));
  return [...seen].reduce((sum, name) => sum + (texts.get(name)?.length ?? 0), 0);
}

test.each([
  ["renew-token", 50_000],
  ["issue-cert", 107_000],
])("%s has at most %i bytes of JavaScript when it begins", async (script, most) => {
  const bytes = await bytesOf(script);
  expect(bytes).toBeLessThanOrEqual(most);
  // A bound far above would notice nothing.
  expect(bytes).toBeGreaterThan(most * 0.8);
});
