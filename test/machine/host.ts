import { createPrivateKey, X509Certificate } from "node:crypto";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { ensureBuilt } from "../../tools/build.ts";
import { ROOT } from "../../tools/main.ts";
import { temporaryFolder } from "../support/folder.ts";
import { createMachine, type Machine } from "./machine.ts";
import { machineTree } from "./tree.ts";

export const destination = "/etc/etcd/ssl/etcd";
export const signPath = "demo/pki/etcd-k8s/sign/server";
export const manifestPath = "/etc/vault/certs.d/etcd.toml";
export const timers = ["token-renewal.timer", "cert.timer"];
export const services = ["token-renewal.service", "cert.service", "cert-hooks.service"];

/** A manifest for etcd's certificate, with fields changed or added as TOML. */
export function manifest(changes: Readonly<Record<string, string>> = {}): string {
  const fields = {
    sign_path: `"${signPath}"`,
    common_name: '"%H"',
    destination: `"${destination}"`,
    san_hosts: '["%H", "localhost"]',
    ip_sans: '["127.0.0.1"]',
    owner: '"etcd"',
    group: '"etcd"',
    reload: '["etcd.service"]',
    ...changes,
  };
  return Object.entries(fields)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join("");
}

/** Changes a host's manifest, so that it needs another certificate for etcd. */
export function changeManifest(disk: string, changes: Readonly<Record<string, string>>): void {
  writeHostFile(disk, manifestPath, { content: manifest(changes) });
}

/** The step of the retry delays in seconds. The first retry is after two seconds. */
export function retries(step: number): Readonly<Record<string, HostFile>> {
  const soon = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=2s\n";
  return {
    ...dropIn("token-renewal.service", soon),
    ...dropIn("cert.service", soon),
    ...dropIn("retry-delay@.service", `[Service]\nEnvironment=STEP_SECONDS=${step}\n`),
  };
}

/** Our executables and units, installed as an admin would copy them. */
export interface Installed extends Disposable {
  /** The layers of a machine on which they are installed. */
  readonly layers: readonly string[];
}

export async function install(): Promise<Installed> {
  const [dist, tree] = await Promise.all([ensureBuilt(), machineTree()]);
  const folder = temporaryFolder();
  const bin = join(folder.path, "usr/local/bin");
  mkdirSync(bin, { recursive: true, mode: 0o755 });
  for (const name of ["renew-token", "issue-cert", "vault-helper"]) {
    copyFileSync(join(dist, name), join(bin, name));
    chmodSync(join(bin, name), 0o755);
  }
  const target = join(folder.path, "etc/systemd/system");
  mkdirSync(target, { recursive: true, mode: 0o755 });
  for (const name of unitFiles()) copyFileSync(join(ROOT, "units", name), join(target, name));
  chmodSync(folder.path, 0o755);
  return { layers: [folder.path, tree], [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

/** The names of the shipped units. */
export function unitFiles(): string[] {
  return readdirSync(join(ROOT, "units")).filter((name) => /\.(service|timer|target)$/.test(name));
}

/** A file on a machine's disk. */
export interface HostFile {
  readonly content: string;
  readonly mode?: number;
  /** The name of a user on the machine. */
  readonly owner?: string;
}

export interface HostOptions {
  readonly address: string;
  readonly files: Readonly<Record<string, HostFile>>;
  /** Units to enable before the first boot. */
  readonly enabled: readonly string[];
  /** @default etcd-1 */
  readonly hostname?: string;
}

/** A host of cluster `demo` before its first boot, with the files of an image and of cloud-init. */
export async function createHost(installed: Installed, options: HostOptions): Promise<Machine> {
  return await createMachine({
    layers: installed.layers,
    ...(options.hostname !== undefined && { hostname: options.hostname }),
    prepare(disk) {
      makeFolder(disk, "/etc/vault", 0o700);
      makeFolder(disk, "/etc/vault/certs.d", 0o700);
      makeFolder(disk, "/etc/etcd", 0o755);
      makeFolder(disk, dirname(destination), 0o750, "etcd");
      const config = `VAULT_ADDR=${options.address}\nVAULT_INIT_ROLE=demo-etcd\n`;
      writeHostFile(disk, "/etc/vault/config", { content: config, mode: 0o600 });
      for (const [path, file] of Object.entries(options.files)) writeHostFile(disk, path, file);
      for (const unit of options.enabled) enable(disk, unit);
    },
  });
}

export function writeHostFile(disk: string, path: string, { content, mode, owner }: HostFile): void {
  mkdirSync(dirname(disk + path), { recursive: true, mode: 0o755 });
  rmSync(disk + path, { force: true });
  writeFileSync(disk + path, content, { mode: 0o600 });
  chmodSync(disk + path, mode ?? 0o644);
  if (owner !== undefined) chownTo(disk, path, owner);
}

function makeFolder(disk: string, path: string, mode: number, owner?: string): void {
  mkdirSync(disk + path, { recursive: true });
  chmodSync(disk + path, mode);
  if (owner !== undefined) chownTo(disk, path, owner);
}

function chownTo(disk: string, path: string, user: string): void {
  const { uid, gid } = userOf(disk, user);
  chownSync(disk + path, uid, gid);
}

/** A user's numbers in the machine's own passwd file. */
export function userOf(disk: string, name: string): { uid: number; gid: number } {
  const lines = readFileSync(`${disk}/etc/passwd`, "utf8").split("\n");
  const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(":") ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`the machine has no user ${name}`);
  return { uid: Number(uid), gid: Number(gid) };
}

/** Enables a unit like `systemctl enable`. */
function enable(disk: string, unit: string): void {
  const template = unit.replace(/@.*\./, "@.");
  const file = [`/etc/systemd/system/${template}`, `/lib/systemd/system/${template}`].find((path) =>
    existsSync(disk + path),
  );
  const wanted = file && /^WantedBy=(\S+)$/m.exec(readFileSync(disk + file, "utf8"))?.[1];
  if (!wanted) throw new Error(`${unit} can't be enabled`);
  const folder = `${disk}/etc/systemd/system/${wanted}.wants`;
  mkdirSync(folder, { recursive: true });
  symlinkSync(file, join(folder, unit));
}

/** The token in a token file; empty if there is none. */
export function tokenIn(disk: string, name: "token" | "init-token"): string {
  const path = `${disk}/etc/vault/${name}`;
  return existsSync(path) ? readFileSync(path, "utf8").trim() : "";
}

/** Every file below a folder, with all attributes that a write, a rename or a chmod changes. */
export function filesAsTheyAre(disk: string, folder: string): Readonly<Record<string, string>> {
  const entries = readdirSync(disk + folder, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const { ino, mtimeNs, ctimeNs, mode, uid, gid } = lstatSync(path, { bigint: true });
      const facts = `inode ${ino} mtime ${mtimeNs} ctime ${ctimeNs} mode ${mode.toString(8)} owner ${uid}:${gid}`;
      return [path.slice(disk.length), facts];
    }),
  );
}

/** The serial number of the current certificate. Checks that the three files belong together. */
export function matchingSerial(disk: string): string {
  const read = (suffix: string) => readFileSync(disk + destination + suffix, "utf8");
  const leaf = new X509Certificate(read(".pem"));
  if (!leaf.checkPrivateKey(createPrivateKey(read("-key.pem"))))
    throw new Error("key and certificate differ");
  if (!leaf.verify(new X509Certificate(read("-ca.pem")).publicKey)) throw new Error("the CA did not sign it");
  return leaf.serialNumber;
}

/** The serial number of the current certificate. */
export function serialOf(disk: string): string {
  return new X509Certificate(readFileSync(`${disk}${destination}.pem`, "utf8")).serialNumber;
}

/** The current key in PEM. */
export function keyOf(disk: string): string {
  return readFileSync(`${disk}${destination}-key.pem`, "utf8");
}

/** A drop-in for a unit. */
export function dropIn(unit: string, content: string): Readonly<Record<string, HostFile>> {
  return { [`/etc/systemd/system/${unit}.d/test.conf`]: { content } };
}
