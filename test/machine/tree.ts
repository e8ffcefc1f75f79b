import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { installMissing } from "../../tools/debian.ts";

/** Debian's release that is booted. */
const suite = process.env.VAULT_HELPER_SUITE || "bookworm";
/**
 * etcd stands for what uses the certificates; its package makes a user of that name. cloud-init comes with what an image
 * of a cloud has beside it. (debootstrap does not see that python3-cffi-backend is what python3-cryptography needs.)
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
/** For cloud-init, which runs where a test gives it a seed: the network is this machine's own, and there are no locales. */
const cloudConfig = "network: { config: disabled }\nlocale: C.UTF-8\n";
/** Of the tree's own, and none of ours. */
const masked = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"];
/** What this machine needs to build and boot a tree. */
const needed = { debootstrap: "debootstrap", "systemd-nspawn": "systemd-container" } as const;

/** Why no machine can be booted here, in a few words; undefined where one can. */
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

/** The tree of files that machines are booted over; built once for its list of packages. */
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
  // In namespaces of its own: what it mounts and starts ends with it, however it ends.
  const contained = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];
  const run = Bun.spawn([...contained, ...debootstrap], {
    // A tree that was not built to its end is thrown away: nothing has to reach the disk at once.
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C", DPKG_FORCE: "unsafe-io" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors, code] = await Promise.all([run.stdout.text(), run.stderr.text(), run.exited]);
  if (code !== 0) throw new Error(`debootstrap ended with ${code}:\n${(out + errors).slice(-2000)}`);
  const units = join(folder, "etc/systemd/system");
  for (const unit of masked) symlinkSync("/dev/null", join(units, unit));
  // Its package has it started at each boot; a test decides.
  for (const wanted of ["multi-user.target.wants/etcd.service", "etcd2.service"]) rmSync(join(units, wanted));
  writeFileSync(join(folder, "etc/cloud/cloud-init.disabled"), "");
  writeFileSync(join(folder, "etc/cloud/cloud.cfg.d/99-image.cfg"), cloudConfig);
  rmSync(join(folder, "var/cache/apt"), { recursive: true, force: true });
  rmSync(join(folder, "etc/hostname"), { force: true });
  // Each machine has an identity of its own from its first boot on.
  writeFileSync(join(folder, "etc/machine-id"), "");
}
