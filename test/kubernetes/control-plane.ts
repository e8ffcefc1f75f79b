import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../lib/server/process.ts";
import { startServer } from "../../lib/server/start-server.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { readSecret } from "../../lib/vault/kv.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type RunningProgram, startProgram } from "../support/program.ts";
import { runScript, type ScriptResult } from "../support/script.ts";
import type { Kubernetes } from "./programs.ts";

/** A Vault with cluster `demo`, and an etcd and a kube-apiserver with certificates and secrets from it. */
export interface ControlPlane extends AsyncDisposable {
  /** `https://127.0.0.1:34567` */
  readonly server: string;
  readonly folder: string;
  /** Runs an executable of ours as an admin of that Vault. */
  run(script: string, ...args: string[]): Promise<ScriptResult>;
  /** Replaces the API server's own certificate. @returns the serial number of the new one */
  renewServer(): Promise<string>;
}

/** A start takes half a minute on busy cores. */
const startSeconds = 150;

export async function startControlPlane({ etcd, apiserver }: Kubernetes): Promise<ControlPlane> {
  await using stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(temporaryFolder());
  const vault = stack.use(await startServer({ mode: "dev" }));
  const env = { VAULT_ADDR: vault.address, VAULT_TOKEN: vault.rootToken };
  const run: ControlPlane["run"] = (script, ...args) => runScript(script, args, { env, cwd: folder });
  const must = async (script: string, ...args: string[]) => {
    const { code, stderr } = await run(script, ...args);
    if (code !== 0) throw new Error(`${script} ended with ${code}: ${stderr}`);
  };
  await must("setup-mounts", "demo");
  await must("write-roles", "demo");
  const ssl = (name: string) => join(folder, "ssl", name);
  const names = ["-s", "localhost,kubernetes.default.svc", "-i", "127.0.0.1,10.96.0.1"];
  await must("issue-cert", ...names, "demo/pki/etcd-k8s/sign/server", "etcd-1", ssl("etcd"));
  await must("issue-cert", "demo/pki/etcd-k8s/sign/client", "apiserver", ssl("etcd-client"));
  const renewServer: ControlPlane["renewServer"] = async () => {
    await must("issue-cert", ...names, "demo/pki/k8s/sign/kube-apiserver", "kubernetes", ssl("apiserver"));
    return new X509Certificate(readFileSync(ssl("apiserver.pem"))).serialNumber;
  };
  await renewServer();
  const secrets = { address: vault.address, token: vault.rootToken };
  const secret = async (path: string, field: string) => {
    const file = join(folder, field);
    const fields = await readSecret(createVaultClient(secrets), `demo/secrets/${path}`);
    writeFileSync(file, String(fields?.[field]), { mode: 0o600 });
    return file;
  };
  const accountKey = await secret("service-accounts", "key");
  const encryption = await secret("encryption-config", "content");

  const [etcdPort, peerPort, port] = freePorts(3);
  const etcdUrl = `https://127.0.0.1:${etcdPort}`;
  const server = `https://127.0.0.1:${port}`;
  stack.use(
    await startProgram(folder, etcd, [
      `--data-dir=${join(folder, "etcd-data")}`,
      ...[`--listen-client-urls=${etcdUrl}`, `--advertise-client-urls=${etcdUrl}`],
      `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
      ...[`--cert-file=${ssl("etcd.pem")}`, `--key-file=${ssl("etcd-key.pem")}`],
      ...["--client-cert-auth", `--trusted-ca-file=${ssl("etcd-ca.pem")}`],
      ...["--unsafe-no-fsync", "--log-level=error"],
    ]),
  );
  const api = stack.use(
    await startProgram(folder, apiserver, [
      `--etcd-servers=${etcdUrl}`,
      `--etcd-cafile=${ssl("etcd-client-ca.pem")}`,
      ...[`--etcd-certfile=${ssl("etcd-client.pem")}`, `--etcd-keyfile=${ssl("etcd-client-key.pem")}`],
      ...["--bind-address=127.0.0.1", `--secure-port=${port}`],
      ...[`--tls-cert-file=${ssl("apiserver.pem")}`, `--tls-private-key-file=${ssl("apiserver-key.pem")}`],
      `--client-ca-file=${ssl("apiserver-ca.pem")}`,
      `--service-account-issuer=${server}`,
      ...[`--service-account-key-file=${accountKey}`, `--service-account-signing-key-file=${accountKey}`],
      `--encryption-provider-config=${encryption}`,
      ...["--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/24"],
      // An address for documentation. It is never announced.
      ...["--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none"],
      `--cert-dir=${join(folder, "apiserver-own")}`,
    ]),
  );
  await untilReady(server, readFileSync(ssl("apiserver-ca.pem"), "utf8"), api);
  const held = stack.move();
  return { server, folder, run, renewServer, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

async function untilReady(server: string, ca: string, api: RunningProgram): Promise<void> {
  const deadline = Date.now() + startSeconds * 1000;
  for (let why = ""; Date.now() < deadline; await Bun.sleep(200)) {
    const log = api.ended();
    if (log !== undefined) throw new Error(`the API server has ended (${why}):\n${log}`);
    try {
      const answer = await fetch(`${server}/readyz`, { tls: { ca }, signal: AbortSignal.timeout(5000) });
      if (answer.ok) return;
      why = await answer.text();
    } catch (error) {
      why = String(error);
    }
  }
  throw new Error(`the API server was not ready within ${startSeconds} s`);
}
