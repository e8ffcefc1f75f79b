import { Failure } from "../../lib/failure.ts";

export interface CommandOptions {
  readonly cwd?: string;
  /** Added to PATH and to a fixed locale and time zone. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The Debian package of each command that a release needs. */
const packageOf: Readonly<Record<string, string>> = {
  "dpkg-deb": "dpkg",
  rpmbuild: "rpm",
  "ssh-keygen": "openssh-client",
  tar: "tar",
};

/**
 * Runs a command that has to succeed, in an environment independent of the builder's.
 *
 * @returns its standard output
 * @throws Failure (config) if the command is not installed; (internal) if it fails
 */
export async function runCommand(
  [command = "", ...args]: readonly string[],
  options: CommandOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const path = Bun.which(command);
  if (path === null) {
    throw new Failure("config", `${command} is not installed, but a release needs it`, {
      hint: `install the package ${packageOf[command] ?? command}`,
    });
  }
  const child = Bun.spawn([path, ...args], {
    cwd: options.cwd ?? "/",
    env: { PATH: process.env.PATH ?? "", LC_ALL: "C.UTF-8", TZ: "UTC", ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors, code] = await Promise.all([child.stdout.bytes(), child.stderr.text(), child.exited]);
  if (code !== 0) {
    const output = `${errors}${new TextDecoder().decode(out)}`.trim();
    throw new Failure("internal", `${command} ended with ${code}: ${output}`);
  }
  return out;
}
