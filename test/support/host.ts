import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { temporaryFolder } from "./folder.ts";
import { type Fault, type Relay, startRelay } from "./relay.ts";
import { runScript, type ScriptResult } from "./script.ts";

/** A host: a folder for its files, and a relay between it and the server. */
export interface Host extends AsyncDisposable {
  readonly path: string;
  /** The configuration folder. */
  readonly config: string;
  /** The destination of a certificate. */
  readonly destination: string;
  readonly relay: Relay;
  readonly env: Readonly<Record<string, string>>;
  put(name: "token" | "init-token", content: string): void;
  read(path: string): string;
  /** Runs an executable with this host's configuration folder. */
  run(
    script: string,
    args?: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<ScriptResult>;
}

export function startHost(server: string, fault?: Fault): Host {
  const folder = temporaryFolder();
  const relay = startRelay(server, fault);
  const config = join(folder.path, "vault");
  mkdirSync(config, { mode: 0o700 });
  const env = { VAULT_ADDR: relay.address, VAULT_INIT_ROLE: "demo-worker" };
  return {
    path: folder.path,
    config,
    destination: join(folder.path, "ssl/kubelet"),
    relay,
    env,
    put(name, content) {
      writeFileSync(join(config, name), content, { mode: 0o600 });
    },
    read: (path) => readFileSync(path, "utf8"),
    run: (script, args = [], more = {}) =>
      runScript(script, ["--config-path", config, ...args], {
        env: { ...env, ...more },
        cwd: dirname(config),
      }),
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}
