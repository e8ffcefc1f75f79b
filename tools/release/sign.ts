import { runCommand } from "./run.ts";

/** What a signature is for: one that was made for something else is none of a file. */
const namespace = "file";

/**
 * Signs a file with an SSH key. The signature is put beside it, as `FILE.sig`.
 *
 * @param key path of the private key, or of the public key of one that the SSH agent holds
 * @throws Failure (internal) with what ssh-keygen said
 * @see https://man.openbsd.org/ssh-keygen#Y
 */
export async function signFile(path: string, key: string): Promise<void> {
  await runCommand(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", namespace, path], {
    env: { SSH_AUTH_SOCK: process.env.SSH_AUTH_SOCK, HOME: process.env.HOME },
  });
}
