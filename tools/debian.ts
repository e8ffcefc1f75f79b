/** Commands, and the packages of Debian that bring them. */
export type Needed = Readonly<Record<string, string>>;

/**
 * Installs the packages of those commands that are missing, where this is Debian and we are root.
 *
 * @param why for whom, in a line that is told before
 * @returns the commands that are missing still
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
