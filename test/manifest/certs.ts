import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ClusterServer } from "../support/cluster-server.ts";
import { startHost } from "../support/host.ts";
import type { Fault } from "../support/relay.ts";
import type { ScriptResult } from "../support/script.ts";

/** Signs for any name, and a worker may use it. */
export const signPath = "demo/pki/etcd-overlay/sign/client";

/** A worker with its token, and a folder of manifests. */
export async function startManifestHost(cluster: ClusterServer, fault?: Fault) {
  const host = startHost(cluster.address, fault);
  host.put("token", await cluster.hostToken("worker"));
  const certs = join(host.path, "certs.d");
  mkdirSync(certs, { mode: 0o755 });
  const log = join(host.path, "hook.log");
  const destination = (name: string) => join(host.path, "ssl", name);
  return {
    ...host,
    certs,
    destinationOf: destination,
    /** Below the destinations' folder, links followed. */
    file: (name: string) => readFileSync(join(host.path, "ssl", name), "utf8"),
    /** @param fields beside the needed ones, or in their place, as TOML's lines */
    write(name: string, fields = ""): void {
      const needed = { sign_path: signPath, common_name: name, destination: destination(name) };
      const lines = Object.entries(needed).filter(([field]) => !new RegExp(`^${field} `, "m").test(fields));
      const text = [...lines.map(([field, value]) => `${field} = "${value}"`), fields].join("\n");
      writeFileSync(join(certs, `${name}.toml`), `${text}\n`, { mode: 0o644 });
    },
    /** A field that has a shell's words run on a change; `$1` is the log. */
    onChange: (words: string): string =>
      `on_change = [${JSON.stringify(["/bin/sh", "-c", words, "hook", log])}]`,
    logged: (): string[] => (existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : []),
    issue: (...args: string[]): Promise<ScriptResult> =>
      host.run("issue-cert", ["--config-dir", certs, ...args]),
    [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
  };
}

export type ManifestHost = Awaited<ReturnType<typeof startManifestHost>>;
