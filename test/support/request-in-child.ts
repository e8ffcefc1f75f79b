import { resolve } from "node:path";

const CLIENT = resolve(import.meta.dir, "../../lib/vault/client.ts");
const PROXY = resolve(import.meta.dir, "../../lib/cli/proxy.ts");

export interface ChildRequest {
  readonly address: string;
  readonly token: string;
  readonly ca?: readonly string[];
  /** The environment besides PATH, with variables that a runtime reads when it starts. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Reads `sys/mounts` in a child process, which prints "done" or the error's message. */
export async function requestInChild({ address, token, ca = [], env = {} }: ChildRequest) {
  const options = JSON.stringify({ address, token, tls: { ca }, maxRetries: 0, requestTimeoutMs: 5_000 });
  const request = JSON.stringify({ method: "GET", path: "sys/mounts", capability: "read", repeatable: true });
  const code = `
    const env = { ...process.env };
    delete process.env.NO_PROXY;
    delete process.env.no_proxy;
    const { createVaultClient } = await import(${JSON.stringify(CLIENT)});
    const { proxyFor } = await import(${JSON.stringify(PROXY)});
    const proxy = (to) => proxyFor(env, to);
    try {
      await createVaultClient({ ...${options}, proxy }).request(${request});
      console.log("done");
    } catch (error) {
      console.log(error.message);
    }
    process.exit();`;
  const child = Bun.spawn([process.execPath, "-e", code], {
    env: { PATH: process.env.PATH ?? "", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  return { said: stdout.trim(), everything: stdout + stderr };
}
