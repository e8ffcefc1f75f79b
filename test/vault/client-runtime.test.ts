import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { makeCertificates } from "../support/certificates.ts";
import { temporaryFolder } from "../support/folder.ts";
import { requestInChild } from "../support/request-in-child.ts";
import { type ScriptedServer, startScripted } from "../support/scripted.ts";

// Variables of the runtime must neither turn verification off nor print requests.
describe("client.request() with a variable of the runtime", () => {
  const folder = temporaryFolder();
  const own = makeCertificates(folder.path, "vault");
  const other = makeCertificates(folder.path, "other");
  const token = "hvs.secret";
  let server: ScriptedServer;

  beforeAll(() => {
    server = startScripted(() => Response.json({ data: {} }), own);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  test("works with the right CA and without such a variable", async () => {
    const { said } = await requestInChild({ address: server.address, token, ca: [own.ca] });
    expect(said).toBe("done");
  });

  test.each([
    ["NODE_TLS_REJECT_UNAUTHORIZED", "0"],
    ["NODE_EXTRA_CA_CERTS", own.caFile],
    ["SSL_CERT_FILE", own.caFile],
    ["SSL_CERT_DIR", folder.path],
    ["NODE_OPTIONS", "--use-system-ca"],
  ])("%s does not replace the given CA", async (name, value) => {
    const before = server.seen.length;
    const { said } = await requestInChild({
      address: server.address,
      token,
      ca: [other.ca],
      env: { [name]: value },
    });
    expect(said).toContain("shows a certificate that no trusted CA has signed");
    expect(server.seen.length).toBe(before);
  });

  test("NODE_TLS_REJECT_UNAUTHORIZED has no effect if no CA is given", async () => {
    const env = { NODE_TLS_REJECT_UNAUTHORIZED: "0" };
    const { said } = await requestInChild({ address: server.address, token, env });
    expect(said).toContain("shows a certificate that no trusted CA has signed");
  });

  test.each(["1", "true", "curl"])("BUN_CONFIG_VERBOSE_FETCH=%s prints no token", async (value) => {
    const env = { BUN_CONFIG_VERBOSE_FETCH: value };
    const before = server.seen.length;
    const { everything } = await requestInChild({ address: server.address, token, ca: [own.ca], env });
    expect(everything).toBe("done\n");
    expect(server.seen.length).toBe(before + 1);
  });
});
