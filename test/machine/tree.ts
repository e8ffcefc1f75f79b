import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { installMissing } from "../../tools/debian.ts";

/** The Debian release to boot. */
const suite = process.env.VAULT_HELPER_SUITE || "bookworm";
/**
 * etcd stands for services that use certificates. Its package makes a user of that name. cloud-init comes with the
 * packages that a cloud image has. (debootstrap misses that python3-cryptography needs python3-cffi-backend.)
 */
const packages = [
  "systemd-sysv",
  "dbus",
  "etcd-server",
  "etcd-client",
  "python3-cffi-backend",
  "cloud-init",
  "curl",
  "ca-certificates",
];
/** cloud-init runs only if a test gives it a seed. It leaves the network and the locales alone. */
const cloudConfig = "network: { config: disabled }\nlocale: C.UTF-8\n";
/** Units of the tree itself, not ours. */
const masked = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"];
/** The programs needed on this machine to build and boot a tree. */
const needed = { debootstrap: "debootstrap", "systemd-nspawn": "systemd-container" } as const;

/** Why no machine can be booted here, in a few words; undefined if it can. */
export function whyNoMachine(): string | undefined {
  if (process.platform !== "linux") return "this is no Linux";
  if (process.getuid?.() !== 0) return "only root can boot one";
  for (const command of ["unshare", "nsenter"]) {
    if (Bun.which(command) === null) return `there is no ${command}`;
  }
  const missing = installMissing(needed, "tests boot a machine");
  if (missing.length > 0) return `${missing.join(" and ")} can't be had`;
  return mountsWork() ? undefined : "mounts are not allowed here";
}

function mountsWork(): boolean {
  const script = "mount -t tmpfs tmpfs /run";
  return Bun.spawnSync(["unshare", "--mount", "--propagation", "private", "sh", "-c", script]).success;
}

/** The file tree that machines boot from. Built once for each list of packages. */
export async function machineTree(): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "vault-helper");
  const recipe = JSON.stringify({ suite, packages, cloudConfig, masked, arch: process.arch });
  const tree = join(cache, `machine-${createHash("sha256").update(recipe).digest("hex").slice(0, 16)}`);
  if (existsSync(tree)) return tree;
  mkdirSync(cache, { recursive: true });
  console.error("Building the tree of a Debian machine, once for this machine");
  const work = mkdtempSync(join(cache, ".machine-"));
  try {
    await build(work);
    renameSync(work, tree);
  } catch (error) {
    rmSync(work, { recursive: true, force: true });
    // Another run may have been faster.
    if (!existsSync(tree)) throw error;
  }
  return tree;
}

async function build(folder: string): Promise<void> {
  const debootstrap = ["debootstrap", "--variant=minbase", `--include=${packages.join(",")}`, suite, folder];
  // In its own namespaces, so that its mounts and processes always end with it.
  const contained = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];
  const run = Bun.spawn([...contained, ...debootstrap], {
    // An unfinished tree is thrown away, so nothing has to be synced.
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C", DPKG_FORCE: "unsafe-io" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors, code] = await Promise.all([run.stdout.text(), run.stderr.text(), run.exited]);
  if (code !== 0) throw new Error(`debootstrap ended with ${code}:\n${(out + errors).slice(-2000)}`);
  const units = join(folder, "etc/systemd/system");
  for (const unit of masked) symlinkSync("/dev/null", join(units, unit));
  // The package enables it, but here each test decides.
  for (const wanted of ["multi-user.target.wants/etcd.service", "etcd2.service"]) rmSync(join(units, wanted));
  writeFileSync(join(folder, "etc/cloud/cloud-init.disabled"), "");
  writeFileSync(join(folder, "etc/cloud/cloud.cfg.d/99-image.cfg"), cloudConfig);
  rmSync(join(folder, "var/cache/apt"), { recursive: true, force: true });
  rmSync(join(folder, "etc/hostname"), { force: true });
  // Each machine makes its own identity at its first boot.
  writeFileSync(join(folder, "etc/machine-id"), "");
}
