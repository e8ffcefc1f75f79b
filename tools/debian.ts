/** Commands, each with the Debian package that contains it. */
export type Needed = Readonly<Record<string, string>>;

/**
 * Installs the packages of missing commands. Works on Debian and as root only.
 *
 * @param why the reason, printed before the installation
 * @returns the commands that are still missing
 */
export function installMissing(needed: Needed, why: string): readonly string[] {
  const missing = Object.keys(needed).filter((command) => Bun.which(command) === null);
  if (missing.length === 0 || process.getuid?.() !== 0 || Bun.which("apt-get") === null) return missing;
  const names = [...new Set(missing.map((command) => needed[command] ?? command))];
  console.error(`installing ${names.join(", ")}: ${why}`);
  const apt = (...args: string[]) =>
    Bun.spawnSync(["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      stdin: "ignore",
    }).success;
  const install = ["install", "--no-install-recommends", ...names];
  if (!apt(...install) && apt("update")) apt(...install);
  return missing.filter((command) => Bun.which(command) === null);
}
