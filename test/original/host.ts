import { expect } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { linkNames } from "../../tools/build.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runCommand, type ScriptResult, scriptPath } from "../support/script.ts";
import {
  configFile,
  etcdUser,
  execStart,
  kubernetesUser,
  type Unit,
  type WantedCertificate,
} from "./units.ts";

/** A host as Tarmak left it, with its own root folder, so that `/opt/bin` and `/etc/vault` are its own as well. */
export interface OldHost extends Disposable {
  /** Runs a command line on the host. */
  run(words: readonly string[], env?: Readonly<Record<string, string>>): Promise<ScriptResult>;
  /** Runs a unit's command with the unit's environment. */
  start(unit: Unit): Promise<ScriptResult>;
  read(path: string): string;
  write(path: string, content: string, mode?: number): void;
  /** Mode and owner, like `0600 837:0`; undefined if the file does not exist. */
  rights(path: string): string | undefined;
  /** The path of a host's file, seen from outside. */
  outside(path: string): string;
}

export interface OldHostOptions {
  readonly server: string;
  readonly caFile: string;
  readonly initToken?: string | undefined;
  readonly initRole?: string | undefined;
}

/** Folders of the machine that the host needs. */
const shared = ["bin", "lib", "lib64", "usr", "proc", "dev"];

/** `$1` is the root folder, `$2` the folder of the executables. The mounts end with their namespace. */
const enter = `
  set -e
  root=$1 dist=$2; shift 2
  for folder in ${shared.join(" ")}; do
    if [ -e /$folder ]; then mkdir -p $root/$folder; mount --rbind /$folder $root/$folder; fi
  done
  mount --bind "$dist" $root/opt/vault-helper-1.0.0
  exec chroot $root "$@"
`;

/** Folders that belong to the user of the files in them. That user could put anything there. */
const folders = [
  ["/etc/kubernetes", kubernetesUser],
  ["/etc/kubernetes/ssl", kubernetesUser],
  ["/etc/etcd/ssl", etcdUser],
] as const;

export async function startOldHost({
  server,
  caFile,
  initToken,
  initRole,
}: OldHostOptions): Promise<OldHost> {
  const folder = temporaryFolder();
  const root = join(folder.path, "root");
  const outside = (path: string) => join(root, path);
  const dist = dirname(await scriptPath("vault-helper"));
  for (const path of ["/opt/bin", "/opt/vault-helper-1.0.0", "/tmp"]) {
    mkdirSync(outside(path), { recursive: true, mode: 0o755 });
  }
  for (const [path, owner] of folders) {
    mkdirSync(outside(path), { recursive: true });
    chmodSync(outside(path), 0o750);
    chownSync(outside(path), owner, owner);
  }
  for (const name of ["vault-helper", ...linkNames()]) {
    symlinkSync(`/opt/vault-helper-1.0.0/${name}`, outside(`/opt/bin/${name}`));
  }
  const write = (path: string, content: string, mode = 0o600) => {
    mkdirSync(dirname(outside(path)), { recursive: true, mode: 0o700 });
    writeFileSync(outside(path), content);
    chmodSync(outside(path), mode);
  };
  write("/etc/vault/config", configFile(server, initRole), 0o644);
  write("/etc/vault/ca.pem", readFileSync(caFile, "utf8"), 0o644);
  // Puppet writes it without a line feed at the end.
  if (initToken !== undefined) write("/etc/vault/init-token", initToken);

  const PATH = "/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  const run: OldHost["run"] = (words, env = {}) =>
    runCommand(["unshare", "-m", "sh", "-c", enter, "sh", root, dist, ...words], { env: { PATH, ...env } });
  return {
    run,
    start(unit) {
      const lines = readFileSync(outside("/etc/vault/config"), "utf8").trim().split("\n");
      const env = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
      return run(execStart(unit, env), env);
    },
    read: (path) => readFileSync(outside(path), "utf8"),
    write,
    rights(path) {
      const stats = statSync(outside(path), { throwIfNoEntry: false });
      return stats && `0${(stats.mode & 0o7777).toString(8)} ${stats.uid}:${stats.gid}`;
    },
    outside,
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

export function certificateOf(host: OldHost, base: string): X509Certificate {
  return new X509Certificate(host.read(`${base}.pem`));
}

/** The files of the Go tool: their names, their modes, and three that belong together. */
export function expectCertificate(
  host: OldHost,
  { base, uid, commonName, hosts = [], addresses = [] }: Omit<WantedCertificate, "name" | "role">,
) {
  expect(["-key.pem", ".pem", "-ca.pem"].map((end) => host.rights(base + end))).toEqual([
    `0600 ${uid}:0`,
    `0644 ${uid}:0`,
    `0644 ${uid}:0`,
  ]);
  const certificate = certificateOf(host, base);
  expect(certificate.subject).toContain(`CN=${commonName}`);
  const names = certificate.subjectAltName?.split(", ") ?? [];
  expect(names).toEqual(expect.arrayContaining(hosts.map((name) => `DNS:${name}`)));
  expect(names).toEqual(expect.arrayContaining(addresses.map((ip) => `IP Address:${ip}`)));
  const key = createPrivateKey(host.read(`${base}-key.pem`));
  expect([key.asymmetricKeyType, key.asymmetricKeyDetails?.modulusLength]).toEqual(["rsa", 2048]);
  expect(certificate.checkPrivateKey(key)).toBe(true);
  expect(certificate.verify(new X509Certificate(host.read(`${base}-ca.pem`)).publicKey)).toBe(true);
}
