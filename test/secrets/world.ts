import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type CertificateFiles, makeCertificates } from "../support/certificates.ts";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { scriptPath } from "../support/script.ts";
import { type Listener, pieces, startListener } from "./listener.ts";

/** A real server and a listener in front of it. */
export interface Stage extends AsyncDisposable {
  readonly server: ClusterServer;
  readonly listener: Listener;
  readonly tls: CertificateFiles;
  /** The client certificate of every run. */
  readonly clientKey: CertificateFiles;
}

export async function setStage(): Promise<Stage> {
  const folder = temporaryFolder();
  const server = await startCluster();
  const tls = makeCertificates(folder.path, "server");
  const clientKey = makeCertificates(folder.path, "client");
  const listener = startListener(server.address, tls);
  return {
    server,
    listener,
    tls,
    clientKey,
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** A host for one run. `vault` is its configuration folder, `ssl` the folder of its certificates. */
export interface World extends Disposable {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

export function createWorld({ listener, tls, clientKey }: Stage): World {
  const folder = temporaryFolder();
  for (const name of ["vault", "ssl", "tmp", "home"]) mkdirSync(join(folder.path, name), { mode: 0o700 });
  return {
    path: folder.path,
    env: {
      VAULT_ADDR: listener.address,
      VAULT_CACERT: tls.caFile,
      VAULT_CLIENT_CERT: clientKey.certFile,
      VAULT_CLIENT_KEY: clientKey.keyFile,
      VAULT_INIT_ROLE: "demo-worker",
      VAULT_MAX_RETRIES: "1",
      HOME: join(folder.path, "home"),
      TMPDIR: join(folder.path, "tmp"),
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

export function putSecret(world: World, name: string, secret: string, mode = 0o600): void {
  writeFileSync(join(world.path, name), secret, { mode });
}

export interface Traced {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The programs that it started, with arguments and environment, in strace's words. */
  readonly children: readonly string[];
  /** The files that it made outside of the world's folder. */
  readonly strays: readonly string[];
}

/** @param inject a fault of the system, in strace's words */
export async function runTraced(
  world: World,
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  inject?: string,
): Promise<Traced> {
  using work = temporaryFolder();
  const output = join(work.path, "trace");
  const faults = inject === undefined ? [] : ["-e", `inject=${inject}`];
  const watched = ["-e", "trace=execve,openat,mkdir,rename,fsync"];
  const command = ["strace", "-f", "-qq", "-v", "-s", "100000", ...watched, ...faults, "-o", output];
  const child = Bun.spawn([...command, await scriptPath(script), ...args], {
    cwd: world.path,
    env: { PATH: process.env.PATH ?? "", ...world.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  const calls = readFileSync(output, "utf8").split("\n");
  const made = calls.flatMap((line) => /openat\(AT_FDCWD, "([^"]+)", [^)]*O_CREAT/.exec(line)?.[1] ?? []);
  return {
    code,
    stdout,
    stderr,
    // The first program is ours.
    children: calls.filter((line) => line.includes(" execve(")).slice(1),
    strays: made.map((path) => resolve(world.path, path)).filter((path) => !isWithin(world.path, path)),
  };
}

function isWithin(folder: string, path: string): boolean {
  const isPlace = [`${folder}/`, "/proc/self/"].some((start) => path.startsWith(start));
  return isPlace || path === "/dev/null" || isEmptyLock(path);
}

/** Root's locks are all in one folder and have no content. */
function isEmptyLock(path: string): boolean {
  if (!/^\/run\/vault-helper\/.*\.lock$/.test(path)) return false;
  return (lstatSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0;
}

/** The only files that may hold a secret after a run, with a narrow mode. */
const meant =
  /^(vault\/(token|init-token)|secret|kube\/config|ssl\/\.etcd\.set\/(current|\d{8}T\d{6}Z-[0-9a-f]{6})\/key\.pem)$/;

/** Unexpected places where a secret was left. */
export function findings(world: World, stage: Stage, { stdout, stderr, children, strays }: Traced): string[] {
  const secrets = new Set([
    ...stage.listener.secrets,
    ...pieces(stage.clientKey.key),
    stage.server.rootToken,
    ...filesBelow(world).flatMap((name) =>
      meant.test(name) ? pieces(readFileSync(join(world.path, name), "utf8").trim()) : [],
    ),
  ]);
  // An empty file would match this.
  secrets.delete("");
  const holds = (text: string) =>
    [...secrets].some((secret) => text.includes(secret) || text.includes(btoa(secret)));
  return [
    ...(holds(stdout) ? ["standard output"] : []),
    ...(holds(stderr) ? ["standard error"] : []),
    ...children.filter(holds).map((line) => `a child: ${line.slice(0, 60)}`),
    ...strays.map((path) => `made outside: ${path}`),
    ...filesBelow(world).filter((name) => {
      const path = join(world.path, name);
      const isNarrow = meant.test(name) && (lstatSync(path).mode & 0o077) === 0;
      return !isNarrow && holds(readFileSync(path, "latin1"));
    }),
  ];
}

function filesBelow(world: World): string[] {
  return readdirSync(world.path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(world.path.length + 1));
}
