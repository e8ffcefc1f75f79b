import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { ExitCode } from "../lib/cli/exit-code.ts";
import { tableLines } from "../lib/cli/table.ts";
import { Failure } from "../lib/failure.ts";
import { startServer } from "../lib/server/start-server.ts";
import { createVaultClient } from "../lib/vault/client.ts";
import { readSecret } from "../lib/vault/kv.ts";
import { readCertificates } from "../lib/x509/certificate.ts";
import { ensureBuilt } from "./build.ts";
import { runMain } from "./main.ts";

/** Shows the whole way on a real server, with the executables that are shipped. Everything is removed at the end. */
async function demo(): Promise<number> {
  const dist = await ensureBuilt();
  using home = temporaryFolder();
  await using server = await startServer({ mode: "dev" });
  const began = performance.now();
  const admin = { VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken };
  const host = { VAULT_ADDR: server.address, VAULT_INIT_ROLE: "demo-worker" };
  const config = join(home.path, "etc/vault");
  const kubelet = join(home.path, "etc/kubernetes/ssl/kubelet");
  const name = "ip-10-0-0-7.eu-west-1.compute.internal";
  const play = (env: Record<string, string>) => (script: string, args: readonly string[]) =>
    run(join(dist, script), args, { env, home: home.path });
  const [asAdmin, onHost] = [play(admin), play(host)];

  tell(
    `This demo writes only to a temporary folder, ${home.path}. It shows that as /, and removes it at the end.`,
  );
  tell(`A ${server.binary.kind} server runs at ${server.address}. An admin sets up cluster "demo" in it:`);
  await asAdmin("setup-mounts", ["demo"]);
  await asAdmin("write-roles", ["demo"]);

  tell("The same again, as CI would do every night. Nothing changes; the init tokens are renewed:");
  await asAdmin("setup-mounts", ["demo"]);
  await asAdmin("write-roles", ["demo"]);

  tell("A new worker starts. cloud-init drops the init token of its role on it:");
  const secret = await readSecret(
    createVaultClient({ address: server.address, token: server.rootToken }),
    "demo/secrets/init_token_worker",
  );
  mkdirSync(config, { recursive: true, mode: 0o700 });
  writeFileSync(join(config, "init-token"), `${String(secret?.init_token)}\n`, { mode: 0o600 });
  table([["file", "mode"], fileRow(home.path, join(config, "init-token"))]);

  tell("The host exchanges it for a host token:");
  await onHost("renew-token", ["--config-path", config]);

  tell("It gets a certificate for its kubelet from the cluster's CA:");
  const issue = [
    "--config-path",
    config,
    "demo/pki/k8s/sign/kubelet",
    `system:node:${name}`,
    kubelet,
    "-s",
    name,
  ];
  await onHost("issue-cert", issue);
  await run("openssl", ["verify", "-CAfile", `${kubelet}-ca.pem`, `${kubelet}.pem`], {
    env: {},
    home: home.path,
  });

  tell("The next day its timers fire. The token is renewed; the certificate is not due:");
  await onHost("renew-token", ["--config-path", config]);
  await onHost("issue-cert", ["--if-due", ...issue]);

  tell("The status of the host:");
  await onHost("vault-helper", ["status", "--config-path", config, "--destination", kubelet]);

  tell("The files:");
  const files = [join(config, "token"), `${kubelet}-key.pem`, `${kubelet}.pem`, `${kubelet}-ca.pem`];
  const rows = await Promise.all(
    files.map(async (path) => [...fileRow(home.path, path), await validUntil(path)]),
  );
  table([["file", "mode", "valid until"], ...rows]);

  tell(
    `The server stops, and the folder is removed. That took ${((performance.now() - began) / 1000).toFixed(1)} s.`,
  );
  return ExitCode.ok;
}

function tell(sentence: string): void {
  console.log(`\n${sentence}`);
}

interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  /** The folder that is shown as `/`. */
  readonly home: string;
}

/** Shows a command as a person would type it, runs it, and shows its output. */
async function run(command: string, args: readonly string[], { env, home }: RunOptions): Promise<void> {
  const name = command.split("/").at(-1) ?? command;
  console.log(`  $ ${[name, ...args].join(" ").replaceAll(`${home}/`, "/")}`);
  const path = Bun.which(command);
  if (path === null)
    throw new Failure("config", `${name} is not installed`, { hint: `install the package ${name}` });
  const child = Bun.spawn([path, ...args], {
    // Not our own environment: VAULT_TOKEN or BAO_ADDR in it could point the demo to another server.
    env: { PATH: process.env.PATH ?? "", HOME: home, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  for (const line of `${stdout}${stderr}`.trimEnd().split("\n"))
    console.log(`    ${line.replaceAll(`${home}/`, "/")}`);
  if (code !== 0) throw new Failure("internal", `${name} ended with ${code}; the demo stops here`);
}

function fileRow(home: string, path: string): string[] {
  return [`/${relative(home, path)}`, (statSync(path).mode & 0o777).toString(8).padStart(4, "0")];
}

async function validUntil(path: string): Promise<string> {
  const text = await Bun.file(path).text();
  if (!text.includes("BEGIN CERTIFICATE")) return "";
  return readCertificates(text, path)[0].notAfter.toISOString().slice(0, 10);
}

function table(rows: ReadonlyArray<readonly string[]>): void {
  for (const line of tableLines(rows, "    ")) console.log(line);
}

/** A folder that is removed at the end, even if the demo is interrupted. In that case the server ends by itself. */
function temporaryFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "vault-helper-demo-"));
  const remove = () => rmSync(path, { recursive: true, force: true });
  for (const [signal, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15],
  ] as const) {
    process.once(signal, () => {
      remove();
      process.exit(128 + number);
    });
  }
  return { path, [Symbol.dispose]: remove };
}

if (import.meta.main) await runMain(demo);
