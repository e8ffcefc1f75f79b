import { runCommand } from "./run.ts";

/** The purpose of a signature. One made for another purpose does not verify as a file's signature. */
const namespace = "file";

/**
 * Signs a file with an SSH key. The signature goes beside it, as `FILE.sig`.
 *
 * @param key path of a private key, or of a public key whose private key the SSH agent holds
 * @throws Failure (internal) with ssh-keygen's message
 * @see https://man.openbsd.org/ssh-keygen#Y
 */
export async function signFile(path: string, key: string): Promise<void> {
  await runCommand(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", namespace, path], {
    env: { SSH_AUTH_SOCK: process.env.SSH_AUTH_SOCK, HOME: process.env.HOME },
  });
}
