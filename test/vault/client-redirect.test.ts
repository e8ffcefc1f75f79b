import { describe, expect, test } from "bun:test";
import { createVaultClient } from "../../lib/vault/client.ts";
import { makeCertificates } from "../support/certificates.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Seen, startScripted } from "../support/scripted.ts";
import { createOnce, get, vaultErrorOf } from "../support/vault.ts";

const token = "hvs.secret";
const served = () => Response.json({ data: {} });

function redirect(location: string | undefined, status = 307): Response {
  return new Response(null, { status, headers: location === undefined ? {} : { Location: location } });
}

describe("client.request() on a redirect", () => {
  test.each([301, 302, 307, 308])(
    "goes from a standby to its leader on HTTP %d, token and all",
    async (status) => {
      await using leader = startScripted(served);
      await using standby = startScripted(({ path }) => redirect(leader.address + path, status));
      const client = createVaultClient({ address: standby.address, token, namespace: "team" });
      await client.request({ ...createOnce(), body: { ttl: "1h" } });
      const summary = ({ method, path, headers, body }: Seen) => ({
        sent: `${method} ${path} ${body}`,
        token: headers.get("x-vault-token"),
        namespace: headers.get("x-vault-namespace"),
      });
      expect(leader.seen.map(summary)).toEqual(standby.seen.map(summary));
      expect(leader.seen.map(summary)).toEqual([
        { sent: 'POST /v1/auth/token/create/demo-worker {"ttl":"1h"}', token, namespace: "team" },
      ]);
    },
  );

  test("keeps the query of a list", async () => {
    await using leader = startScripted(served);
    await using standby = startScripted(({ path }) => redirect(leader.address + path));
    await createVaultClient({ address: standby.address }).request({ ...get("demo/pki/issuers"), list: true });
    expect(leader.seen.map(({ path }) => path)).toEqual(["/v1/demo/pki/issuers?list=true"]);
  });

  test("stays with the leader for the next requests", async () => {
    await using leader = startScripted(served);
    await using standby = startScripted(({ path }) => redirect(leader.address + path));
    const client = createVaultClient({ address: standby.address });
    for (const _ of [1, 2, 3]) await client.request(get());
    expect([standby.seen.length, leader.seen.length]).toEqual([1, 3]);
  });

  test("returns to the address when the leader fails", async () => {
    await using old = startScripted((_seen, number) =>
      number === 1 ? served() : Response.json({ errors: [] }, { status: 503 }),
    );
    await using next = startScripted(served);
    await using standby = startScripted(({ path }, number) =>
      redirect((number === 1 ? old : next).address + path),
    );
    const client = createVaultClient({ address: standby.address });
    await client.request(get());
    await client.request(get());
    expect([standby.seen.length, old.seen.length, next.seen.length]).toEqual([2, 2, 1]);
  });

  test("follows a location without a host", async () => {
    await using server = startScripted(({ path }, number) => (number === 1 ? redirect(path) : served()));
    await createVaultClient({ address: server.address }).request(get());
    expect(server.seen).toHaveLength(2);
  });
});

describe("client.request() does not follow", () => {
  async function refused(location: (path: string, other: string) => string | undefined, status = 307) {
    await using other = startScripted(served);
    await using server = startScripted(({ path }) => redirect(location(path, other.address), status));
    const client = createVaultClient({ address: server.address, token });
    const error = await vaultErrorOf(() => client.request(get()));
    expect(error.kind).toBe("unavailable");
    expect(error.status).toBe(status);
    expect(error.hint).toContain("api_addr");
    expect(Bun.inspect(error)).not.toContain(token);
    return { message: error.message, sent: server.seen.length, other: other.seen.length };
  }

  test.each([
    ["to another path", (_path: string, other: string) => `${other}/login`],
    ["to the path below another", (path: string, other: string) => `${other}/vault${path}`],
    ["to the path with a query", (path: string, other: string) => `${other}${path}?next=1`],
  ])("one %s, and does not send the token", async (_what, location) => {
    const { message, sent, other } = await refused(location);
    expect(message).toContain("HTTP 307 redirects to another path on 127.0.0.1:");
    expect([sent, other]).toEqual([1, 0]);
  });

  test.each([301, 302, 303, 304, 307, 308])("an HTTP %d without a location", async (status) => {
    const { message, sent } = await refused(() => undefined, status);
    expect(message).toContain(`HTTP ${status} redirects to nowhere`);
    expect(sent).toBe(1);
  });

  test.each(["http://", "ftp://127.0.0.1/v1/sys/mounts", "javascript:alert(1)"])(
    "one to %s",
    async (location) => {
      expect((await refused(() => location)).sent).toBe(1);
    },
  );

  test("a circle", async () => {
    await using server = startScripted(({ path }) => redirect(server.address + path));
    const error = await vaultErrorOf(() => createVaultClient({ address: server.address }).request(get()));
    expect(error.message).toContain("redirects for the third time");
    expect(server.seen).toHaveLength(3);
  });

  test("a circle of two, and returns to the address", async () => {
    await using second = startScripted(({ path }) => redirect(first.address + path));
    await using first = startScripted(({ path }) => redirect(second.address + path));
    const client = createVaultClient({ address: first.address });
    await vaultErrorOf(() => client.request(get()));
    expect([first.seen.length, second.seen.length]).toEqual([2, 1]);
    await vaultErrorOf(() => client.request(get()));
    expect([first.seen.length, second.seen.length]).toEqual([4, 2]);
  });

  test.each([302, 307])("an HTTP %d from https to http: the token never gets there", async (status) => {
    using folder = temporaryFolder();
    const { ca, cert, key } = makeCertificates(folder.path, "vault");
    await using plain = startScripted(served);
    await using secure = startScripted(({ path }) => redirect(plain.address + path, status), { cert, key });
    const client = createVaultClient({ address: secure.address, token, tls: { ca: [ca] } });
    const error = await vaultErrorOf(() => client.request(get()));
    expect(error.message).toContain(`HTTP ${status} redirects to ${plain.address}, which is not followed`);
    expect(error.kind).toBe("unavailable");
    expect([secure.seen.length, plain.seen.length]).toEqual([1, 0]);
  });

  test("one to a leader that it can't verify", async () => {
    using folder = temporaryFolder();
    const { cert, key } = makeCertificates(folder.path, "foreign");
    await using foreign = startScripted(served, { cert, key });
    await using server = startScripted(({ path }) => redirect(foreign.address + path));
    const client = createVaultClient({ address: server.address, token });
    const error = await vaultErrorOf(() => client.request(get()));
    expect(error.message).toContain("shows a certificate that no trusted CA has signed");
    expect(foreign.seen).toHaveLength(0);
  });
});
