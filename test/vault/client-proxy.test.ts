import { describe, expect, test } from "bun:test";
import { requestInChild } from "../support/request-in-child.ts";
import { startScripted } from "../support/scripted.ts";

// The name has no address, so an answer can only come through the proxy.
const address = "http://vault.test:8200";
const token = "hvs.secret";
const unreachable = "GET sys/mounts: vault.test:8200 has no address in DNS (ENOTFOUND)";

function startProxy() {
  return startScripted(() => Response.json({ data: {} }));
}

describe("client.request() with a proxy", () => {
  test.each(["HTTP_PROXY", "http_proxy"])("goes through the one in %s", async (name) => {
    await using proxy = startProxy();
    const { said } = await requestInChild({ address, token, env: { [name]: proxy.address } });
    expect(said).toBe("done");
    const [seen] = proxy.seen;
    expect(seen?.headers.get("host")).toBe("vault.test:8200");
    expect(seen?.path).toBe("/v1/sys/mounts");
    expect(seen?.headers.get("x-vault-token")).toBe(token);
  });

  test("can't reach the server without the variable", async () => {
    expect((await requestInChild({ address, token })).said).toBe(unreachable);
  });

  test.each([
    ["NO_PROXY", "vault.test"],
    ["no_proxy", ".test"],
    ["NO_PROXY", "other.test,vault.test:8200"],
    ["NO_PROXY", "*"],
  ])("goes past it if %s is %s", async (name, value) => {
    await using proxy = startProxy();
    const env = { HTTP_PROXY: proxy.address, [name]: value };
    expect((await requestInChild({ address, token, env })).said).toBe(unreachable);
    expect(proxy.seen).toHaveLength(0);
  });

  test("goes through it if NO_PROXY names another host", async () => {
    await using proxy = startProxy();
    const env = { HTTP_PROXY: proxy.address, NO_PROXY: "other.test" };
    expect((await requestInChild({ address, token, env })).said).toBe("done");
  });

  test.each(["127.0.0.1", "localhost"])("always goes past it for %s", async (host) => {
    await using proxy = startProxy();
    await using server = startProxy();
    const env = { HTTP_PROXY: proxy.address, http_proxy: proxy.address, ALL_PROXY: proxy.address };
    const own = server.address.replace("127.0.0.1", host);
    expect((await requestInChild({ address: own, token, env })).said).toBe("done");
    expect([server.seen.length, proxy.seen.length]).toEqual([1, 0]);
  });

  test("goes through it to a name, and past it to the leader on this machine", async () => {
    await using leader = startProxy();
    await using proxy = startScripted(
      ({ path }) => new Response(null, { status: 307, headers: { Location: leader.address + path } }),
    );
    const { said } = await requestInChild({ address, token, env: { HTTP_PROXY: proxy.address } });
    expect(said).toBe("done");
    expect([proxy.seen.length, leader.seen.length]).toEqual([1, 1]);
  });

  test("goes through it to a leader with a name, after a standby on this machine", async () => {
    await using proxy = startProxy();
    await using standby = startScripted(
      ({ path }) => new Response(null, { status: 307, headers: { Location: address + path } }),
    );
    const env = { HTTP_PROXY: proxy.address };
    expect((await requestInChild({ address: standby.address, token, env })).said).toBe("done");
    expect([standby.seen.length, proxy.seen.length]).toEqual([1, 1]);
  });
});
