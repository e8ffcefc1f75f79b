import { describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { api } from "../cluster/api.ts";
import { storedTokens } from "../cluster/objects.ts";
import { relayedServer } from "../support/dev-server.ts";
import type { Fault } from "../support/relay.ts";
import { runScript, type ScriptResult } from "../support/script.ts";

let fault: Fault | undefined;
const { server, relay } = await relayedServer((...args) => fault?.(...args));
const admin = api(server.address, server.rootToken);
const env = { VAULT_ADDR: relay.address, VAULT_TOKEN: server.rootToken, VAULT_MAX_RETRIES: "1" };

/** Everything that scripts in this file printed. */
const printed: string[] = [];

async function say(script: string, ...args: string[]): Promise<ScriptResult> {
  const result = await runScript(script, [...args, "--log-level=2"], { env });
  printed.push(result.stdout, result.stderr);
  return result;
}

/** The lines of a PEM text that hold secrets: none of them may be printed. */
function lines(text: unknown): string[] {
  return String(text)
    .split("\n")
    .filter((line) => line.length > 20 && !line.startsWith("-----"));
}

async function secretsOf(id: string): Promise<readonly string[]> {
  const { key } = await admin.find(`${id}/secrets/service-accounts`);
  const { content } = await admin.find(`${id}/secrets/encryption-config`);
  const encryption = /secret: (\S+)/.exec(String(content))?.[1] ?? "";
  return [...Object.values(await storedTokens(admin, id)), ...lines(key), encryption];
}

const chosen = randomUUID();
const another = randomUUID();

describe("setup-mounts and write-roles at log level 2", () => {
  test("print no secret, in any run and with any outcome", async () => {
    const codes: number[] = [];
    const run = async (...words: [string, ...string[]]) => codes.push((await say(...words)).code);
    const secrets = [server.rootToken, chosen, another];

    // A first run, a second run, a check; for people and for machines.
    for (const more of [[], ["--json"], ["--dry-run"], ["--check", "--json"]]) {
      await run("setup-mounts", "silent", ...more);
      await run("write-roles", "silent", `--init-token-worker=${chosen}`, ...more);
    }
    expect(codes).toEqual(Array(8).fill(0));
    secrets.push(...(await secretsOf("silent")));

    // A flag that contradicts; a token for something else; one token for two roles.
    await run("write-roles", "silent", `--init-token-worker=${another}`);
    await admin.write("auth/token/create-orphan", { id: another, policies: ["another"] });
    await admin.remove("silent/secrets/init_token_etcd");
    await run("write-roles", "silent", `--init-token-etcd=${another}`, "--json");
    await run("write-roles", "silent", `--init-token-etcd=${another}`, `--init-token-all=${another}`);
    expect(codes.splice(0)).toEqual([...Array(8).fill(0), 78, 78, 64]);

    // Every write with a secret fails, in the ways of servers and proxies.
    for (const path of ["service-accounts", "encryption-config", "init_token_etcd"]) {
      await admin.remove(`silent/secrets/${path}`);
      for (const answer of failures) {
        fault = (request) =>
          request.method === "POST" && request.path.endsWith(path) ? answer() : undefined;
        await run("write-roles", "silent", "--json");
      }
    }
    fault = (request) => (request.path === "auth/token/create-orphan" ? sealed() : undefined);
    await run("write-roles", "silent");
    fault = (request) => (request.path === "auth/token/renew-self" ? sealed() : undefined);
    await run("write-roles", "silent");
    fault = undefined;
    await run("write-roles", "silent");
    expect(codes).toEqual([...Array(3).fill([75, 65, 69]).flat(), 75, 75, 0]);
    secrets.push(...(await secretsOf("silent")));

    const all = printed.join("\n");
    // The scripts did print something.
    expect(all).toContain("POST silent/secrets/service-accounts");
    expect(all).toContain("create init token's id silent/secrets/init_token_etcd");
    expect(secrets.length).toBeGreaterThan(80);
    expect(secrets.filter((secret) => secret.length < 20)).toEqual([]);
    expect(secrets.filter((secret) => all.includes(secret))).toEqual([]);
  }, 60_000);
});

function sealed(): Response {
  return Response.json({ errors: ["Vault is sealed"] }, { status: 503 });
}

const failures = [
  sealed,
  () => Response.json({ errors: ["no"] }, { status: 400 }),
  () => new Response("<html>not allowed</html>", { status: 403 }),
];
