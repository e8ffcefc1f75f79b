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

/** The whole way on a real server, with the executables as they are shipped: told as a story, gone at its end. */
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
    `This demo writes to a temporary folder alone, ${home.path}, which it shows as / and removes at its end.`,
  );
  tell(`A ${server.binary.kind} server runs at ${server.address}. An admin sets cluster "demo" up in it:`);
  await asAdmin("setup-mounts", ["demo"]);
  await asAdmin("write-roles", ["demo"]);

  tell("Once more, as CI would each night. Nothing changes but the init tokens, which live on:");
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

  tell("The host trades it for a token of its own:");
  await onHost("renew-token", ["--config-path", config]);

  tell("... has its kubelet's key signed by the cluster's CA:");
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

  tell("How does the host stand?");
  await onHost("vault-helper", ["status", "--config-path", config, "--destination", kubelet]);

  tell("What is where:");
  const files = [join(config, "token"), `${kubelet}-key.pem`, `${kubelet}.pem`, `${kubelet}-ca.pem`];
  const rows = await Promise.all(
    files.map(async (path) => [...fileRow(home.path, path), await validUntil(path)]),
  );
  table([["file", "mode", "valid until"], ...rows]);

  tell(
    `The server stops, and the folder goes. That took ${((performance.now() - began) / 1000).toFixed(1)} s.`,
  );
  return ExitCode.ok;
}

function tell(sentence: string): void {
  console.log(`\n${sentence}`);
}

interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Left out of the command lines that are shown. */
  readonly home: string;
}

/** Shows a command as one would type it, and what it prints. */
async function run(command: string, args: readonly string[], { env, home }: RunOptions): Promise<void> {
  const name = command.split("/").at(-1) ?? command;
  console.log(`  $ ${[name, ...args].join(" ").replaceAll(`${home}/`, "/")}`);
  const path = Bun.which(command);
  if (path === null)
    throw new Failure("config", `${name} is not installed`, { hint: `install the package ${name}` });
  const child = Bun.spawn([path, ...args], {
    // Not our own environment: a VAULT_TOKEN or BAO_ADDR in it would take the demo to another server.
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

/** A folder that goes at the end, also when the demo is interrupted; the server ends by itself then. */
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
