import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { HostRole } from "../../lib/cluster/cluster.ts";
import type { ClusterServer } from "../support/cluster-server.ts";
import { startHost } from "../support/host.ts";
import type { Fault } from "../support/relay.ts";
import type { ScriptResult } from "../support/script.ts";

/** A path that signs any name and that workers may use. */
export const signPath = "demo/pki/etcd-overlay/sign/client";

/** A host with its token and a folder of manifests. */
export async function startManifestHost(cluster: ClusterServer, fault?: Fault, role: HostRole = "worker") {
  const host = startHost(cluster.address, fault);
  host.put("token", await cluster.hostToken(role));
  const certs = join(host.path, "certs.d");
  mkdirSync(certs, { mode: 0o755 });
  const log = join(host.path, "hook.log");
  const destination = (name: string) => join(host.path, "ssl", name);
  return {
    ...host,
    certs,
    destinationOf: destination,
    /** Reads a file in the folder of destinations. */
    file: (name: string) => readFileSync(join(host.path, "ssl", name), "utf8"),
    /** @param fields as lines of TOML, added to the required ones or replacing them */
    write(name: string, fields = ""): void {
      const needed = { sign_path: signPath, common_name: name, destination: destination(name) };
      const lines = Object.entries(needed).filter(([field]) => !new RegExp(`^${field} `, "m").test(fields));
      const text = [...lines.map(([field, value]) => `${field} = "${value}"`), fields].join("\n");
      writeFileSync(join(certs, `${name}.toml`), `${text}\n`, { mode: 0o644 });
    },
    /** An `on_change` field that runs a shell command; `$1` is the log. */
    onChange: (words: string): string =>
      `on_change = [${JSON.stringify(["/bin/sh", "-c", words, "hook", log])}]`,
    logged: (): string[] => (existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : []),
    issue: (...args: string[]): Promise<ScriptResult> =>
      host.run("issue-cert", ["--config-dir", certs, ...args]),
    [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
  };
}

export type ManifestHost = Awaited<ReturnType<typeof startManifestHost>>;
