import { afterAll, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { answer, recorded } from "../support/recorded.ts";
import { runScript } from "../support/script.ts";
import { type ScriptedServer, type Seen, startScripted } from "../support/scripted.ts";
import { createHost, hostToken, renewal } from "./host.ts";
import { createScriptedVault, goodLease } from "./scripted-vault.ts";

// The executables with a scripted OpenBao that no longer knows the host token.

const vault = await createScriptedVault();
afterAll(() => vault[Symbol.dispose]());

const newToken = "s.the-new-token-of-a-host";
const refused = recorded["a renewal with an unknown token"].openbao;

function startOpenBao(): ScriptedServer {
  const known = [newToken, "s.init-token"];
  return startScripted((seen: Seen, number) => {
    const token = seen.headers.get("x-vault-token");
    if (token !== null && !known.includes(token)) return answer(refused);
    if (seen.path !== "/v1/auth/token/create/demo-worker") return vault.good(seen, number);
    return Response.json({ auth: { ...goodLease.auth, client_token: newToken } });
  });
}

test("renew-token exchanges the new init token, after status has reported that it waits", async () => {
  await using server = startOpenBao();
  using host = createHost(renewal);
  const initToken = join(dirname(host.token), "init-token");
  writeFileSync(initToken, "s.init-token\n", { mode: 0o600 });
  const status = await runScript("status", ["-p", dirname(host.token)], {
    env: { VAULT_ADDR: server.address },
  });
  expect(status.stdout).toMatch(/the server does not know it: it expired.*init token waiting/);
  expect(status.code).toBe(2);

  const { code, stderr } = await host.run(server.address);
  expect([code, stderr]).toEqual([
    0,
    "renew-token: the init token was exchanged for a host token, accessor accessor-of-a-host\n",
  ]);
  expect(readFileSync(host.token, "utf8")).toBe(`${newToken}\n`);
  expect(existsSync(initToken)).toBe(false);
});

test("renew-token explains the failure if no init token waits, and keeps the host token", async () => {
  await using server = startOpenBao();
  using host = createHost(renewal);
  const { code, stderr } = await host.run(server.address);
  expect(code).toBe(77);
  expect(stderr).toContain(`the server does not know the token in ${host.token}`);
  expect(readFileSync(host.token, "utf8")).toBe(`${hostToken}\n`);
});
