import { describe, expect, test } from "bun:test";
import { readTokenFile } from "../../lib/host/token-files.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { createFromRole } from "../../lib/vault/token.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { readKey } from "../../lib/x509/key.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { opensslKey } from "../support/openssl.ts";
import { startRaw, startScripted } from "../support/scripted.ts";
import { pieces } from "./listener.ts";

const secret = "hvs.CANARY0123456789abcdef";

/** Everything that an error object shows when it is printed in any way. */
function everything(error: unknown): string {
  const causes: unknown[] = [];
  for (let it = error; it !== undefined && it !== null; it = it instanceof Error ? it.cause : undefined) {
    causes.push(it);
  }
  return causes
    .flatMap((it) => [
      Bun.inspect(it, { depth: 20 }),
      JSON.stringify(it) ?? "",
      String(it),
      it instanceof Error ? (it.stack ?? "") : "",
    ])
    .join("\n");
}

describe("an error about a request contains neither token nor answer:", () => {
  const answers: ReadonlyArray<readonly [name: string, answer: () => Response]> = [
    ["403", () => Response.json({ errors: ["permission denied"] }, { status: 403 })],
    ["400", () => Response.json({ errors: ["no"] }, { status: 400 })],
    ["sealed", () => Response.json({ errors: ["Vault is sealed"] }, { status: 503 })],
    ["a page that repeats it", () => new Response(`<html>X-Vault-Token: ${secret}`, { status: 502 })],
    ["JSON that is cut off", () => new Response(`{"auth":{"client_token":"${secret}"`)],
    ["a value instead of an object", () => Response.json(secret)],
    ["a list instead of an object", () => Response.json({ auth: [secret] })],
    ["a token that is a list", () => Response.json({ auth: { client_token: [secret] } })],
    ["no accessor", () => Response.json({ auth: { client_token: secret } })],
    ["a redirect to elsewhere", () => Response.redirect("https://127.0.0.1/other", 307)],
  ];
  test.each(answers)("%s", async (_, answer) => {
    await using server = startScripted(() => answer());
    const client = createVaultClient({ address: server.address, maxRetries: 0 });
    const failure = await failureOf(() => createFromRole(client, "demo-worker", secret));
    expect(server.seen[0]?.headers.get("x-vault-token")).toBe(secret);
    expect(everything(failure)).not.toContain(secret);
  });

  test("a connection that breaks off", async () => {
    await using server = await startRaw({ onRequest: (socket) => void socket.resetAndDestroy() });
    const client = createVaultClient({ address: server.address, maxRetries: 0 });
    const failure = await failureOf(() => createFromRole(client, "demo-worker", secret));
    expect(server.requests).toBeGreaterThan(0);
    expect(everything(failure)).not.toContain(secret);
  });
});

describe("an error about a file contains nothing of its content:", () => {
  test.each([`${secret} and more\n`, `${secret}\u0001`])("a token file with %j", async (content) => {
    using folder = temporaryFolder();
    const path = `${folder.path}/token`;
    await Bun.write(path, content);
    expect(everything(await failureOf(() => readTokenFile(path)))).not.toContain(secret);
  });

  test.each(["RSA", "ED25519"])("a key with one wrong character (%s)", async (type) => {
    const pem = opensslKey(type);
    const lines = pieces(pem);
    const last = lines.at(-1) ?? "";
    for (const broken of [
      pem.replace(last, `${last.slice(0, -8)}!!!!${last.slice(-4)}`),
      pem.replace(last, last.slice(4)),
      pem.replace(/\n.{8}/, "\nMIGHAAAA"),
      `${pem}${pem}`,
      pem.replace("-----END", "-----MIDDLE"),
    ]) {
      const shown = everything(await failureOf(() => readKey(broken, "the key")));
      for (const line of lines) expect(shown).not.toContain(line.slice(0, 24));
    }
  });

  test("a key instead of a certificate", async () => {
    const pem = opensslKey("ED25519");
    const wrong = pem.replaceAll("PRIVATE KEY", "CERTIFICATE");
    const shown = everything(await failureOf(() => readCertificates(wrong, "it")));
    for (const line of pieces(pem)) expect(shown).not.toContain(line.slice(0, 24));
  });
});
