import { Failure } from "../../lib/failure.ts";

export interface CommandOptions {
  readonly cwd?: string;
  /** Added to PATH and a locale in which nothing is sorted or told in another way. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Packages of Debian that have what a release is made with. */
const packageOf: Readonly<Record<string, string>> = {
  "dpkg-deb": "dpkg",
  rpmbuild: "rpm",
  "ssh-keygen": "openssh-client",
  tar: "tar",
};

/**
 * Runs a command that has to succeed, in an environment that the builder's own has no part in. Gives what it prints.
 *
 * @throws Failure (config) where there is no such command
 */
export async function runCommand(
  [command = "", ...args]: readonly string[],
  options: CommandOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const path = Bun.which(command);
  if (path === null) {
    throw new Failure("config", `${command} is not installed, which a release is made with`, {
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
    const told = `${errors}${new TextDecoder().decode(out)}`.trim();
    throw new Failure("internal", `${command} ended with ${code}: ${told}`);
  }
  return out;
}
