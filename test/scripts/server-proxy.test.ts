import { afterAll, describe, expect, test } from "bun:test";
import { createServer, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { makeCa, makeLeaf } from "../support/chain.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runScript, type ScriptResult } from "../support/script.ts";
import { startScripted } from "../support/scripted.ts";

// Faults of a proxy that are not the server's.

const folder = temporaryFolder();
const ca = makeCa(folder.path, "ca");
const foreign = makeCa(folder.path, "foreign");
const answer = () => Response.json({ request_id: "a", data: { value: "yes" } });
const server = startScripted(answer, makeLeaf(folder.path, "leaf", ca, "DNS:vault.test,IP:127.0.0.1"));
const named = server.address.replace("127.0.0.1", "vault.test");
const password = "s3cret:of@proxy";
const encoded = `user:${encodeURIComponent(password)}`;
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

interface Asked {
  readonly what: string;
  readonly user: string | undefined;
}

/** A proxy that connects each tunnel to the server, or answers with this status. */
async function startProxy(status = 200) {
  const asked: Asked[] = [];
  const see = ({ method, url, headers }: IncomingMessage) => {
    const [, user] = headers["proxy-authorization"]?.split(" ") ?? [];
    asked.push({ what: `${method} ${url}`, user: user && Buffer.from(user, "base64").toString() });
  };
  const proxy = createServer((request, response) => {
    see(request);
    response.writeHead(status).end(JSON.stringify({ data: { value: "by proxy" } }));
  });
  proxy.on("connect", (request, socket) => {
    see(request);
    socket.on("error", () => {});
    if (status !== 200) {
      socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const there = connect(Number(new URL(server.address).port), "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(there).pipe(socket);
    });
    there.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const at = proxy.address();
  const host = `127.0.0.1:${typeof at === "object" && at !== null ? at.port : 0}`;
  return {
    asked,
    host,
    address: `http://${host}`,
    async [Symbol.asyncDispose]() {
      proxy.closeAllConnections();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}

async function read(env: Readonly<Record<string, string>>): Promise<ScriptResult> {
  const given = {
    VAULT_ADDR: named,
    VAULT_CACERT: ca.file,
    VAULT_TOKEN: "hvs.secret",
    VAULT_MAX_RETRIES: "0",
  };
  const args = ["-p", folder.path, "--timeout", "20s", "-f", "value", "kv/a"];
  return await runScript("read-secret", args, { env: { ...given, ...env } });
}

const yes = { code: 0, stdout: "yes", stderr: "" };

describe.concurrent("a proxy is the one of", () => {
  test.each(["HTTPS_PROXY", "https_proxy", "VAULT_PROXY_ADDR", "VAULT_HTTP_PROXY", "BAO_PROXY_ADDR"])(
    "%s, with user and password",
    async (name) => {
      await using proxy = await startProxy();
      expect(await read({ [name]: proxy.address.replace("//", `//${encoded}@`) })).toEqual(yes);
      const { host } = new URL(named);
      expect(proxy.asked).toEqual([{ what: `CONNECT ${host}`, user: `user:${password}` }]);
    },
  );

  test("VAULT_PROXY_ADDR before VAULT_HTTP_PROXY, and this before all others", async () => {
    await using right = await startProxy();
    const wrong = "http://127.0.0.1:9";
    const first = { VAULT_PROXY_ADDR: right.address, VAULT_HTTP_PROXY: wrong, HTTPS_PROXY: wrong };
    expect(await read(first)).toEqual(yes);
    expect(await read({ VAULT_HTTP_PROXY: right.address, HTTPS_PROXY: wrong })).toEqual(yes);
    expect(right.asked).toHaveLength(2);
  });

  test("VAULT_PROXY_ADDR regardless of NO_PROXY, and for this machine as well", async () => {
    await using proxy = await startProxy();
    const env = {
      VAULT_PROXY_ADDR: proxy.address,
      NO_PROXY: "*,vault.test,127.0.0.1",
      no_proxy: "vault.test",
    };
    expect(await read(env)).toEqual(yes);
    expect(await read({ ...env, VAULT_ADDR: server.address })).toEqual(yes);
    expect(proxy.asked).toHaveLength(2);
  });

  test("HTTPS_PROXY written without a scheme", async () => {
    await using proxy = await startProxy();
    expect(await read({ HTTPS_PROXY: proxy.host })).toEqual(yes);
  });

  test("HTTP_PROXY for plain HTTP, and never HTTPS_PROXY", async () => {
    await using proxy = await startProxy();
    const env = { VAULT_ADDR: "http://vault.test:8200", HTTPS_PROXY: "http://127.0.0.1:9" };
    const { stdout } = await read({ ...env, HTTP_PROXY: proxy.address });
    expect(stdout).toBe("by proxy");
  });
});

const refused: ReadonlyArray<readonly [what: string, status: number, code: number, says: string]> = [
  ["wants a password", 407, 78, "requires a user and a password (HTTP 407)"],
  ["forbids the address", 403, 69, "does not connect to"],
  ["can't reach the server", 502, 75, "does not connect to"],
  ["is asked too often", 429, 75, "does not connect to"],
];

describe.concurrent("a proxy that", () => {
  test.each([...refused])("%s is named instead of the server", async (_what, status, exit, says) => {
    await using proxy = await startProxy(status);
    const { code, stderr } = await read({ HTTPS_PROXY: proxy.address });
    expect(stderr).toContain(`the proxy ${proxy.host} (HTTPS_PROXY) ${says}`);
    expect(code).toBe(exit);
  });

  test("wants a password is named for plain HTTP as well", async () => {
    await using proxy = await startProxy(407);
    const env = { VAULT_ADDR: "http://vault.test:8200", VAULT_PROXY_ADDR: proxy.address };
    const { code, stderr } = await read(env);
    expect(stderr).toContain(
      `the proxy ${proxy.host} (VAULT_PROXY_ADDR) requires a user and a password (HTTP 407)`,
    );
    expect(code).toBe(78);
  });

  test("refuses the password is reported without it", async () => {
    await using proxy = await startProxy(407);
    const { code, stderr } = await read({
      HTTPS_PROXY: proxy.address.replace("//", `//${encoded}@`),
    });
    expect(stderr).toContain(`the proxy ${proxy.host} (HTTPS_PROXY) rejects the user and the password`);
    for (const secret of [password, encodeURIComponent(password)]) expect(stderr).not.toContain(secret);
    expect(code).toBe(78);
  });

  test.each([
    ["refuses the connection", "127.0.0.1:9", "refuses the connection (ECONNREFUSED)"],
    ["has no address", "proxy.invalid:3128", "has no address in DNS (ENOTFOUND)"],
  ])("%s is named, without its password", async (_what, host, says) => {
    for (const name of ["HTTPS_PROXY", "VAULT_HTTP_PROXY"]) {
      const { code, stderr } = await read({ [name]: `http://${encoded}@${host}` });
      expect(stderr).toContain(`the proxy ${host} (${name}) ${says}`);
      expect(stderr).toContain(`check ${name}`);
      for (const secret of [password, encodeURIComponent(password)]) expect(stderr).not.toContain(secret);
      expect(code).toBe(75);
    }
  });

  test.each([
    ["socks5://user:s3cret@127.0.0.1:1080", "asks for socks5://"],
    ["http://user:s3cret@", "is not an address"],
    ["http://user:s3cret@127.0.0.1:port", "is not an address"],
    ["http://user:s3cret@127.0.0.1 :80", "is not an address"],
  ])("is %s is refused, naming its variable", async (address, how) => {
    const { code, stderr } = await read({ HTTPS_PROXY: address });
    expect(stderr).toContain(`HTTPS_PROXY names a proxy that can't be used: it ${how}`);
    expect(stderr).not.toContain("s3cret");
    expect(code).toBe(78);
    expect(await read({ HTTPS_PROXY: address, VAULT_ADDR: server.address })).toEqual(yes);
  });

  test("has an untrusted TLS certificate is named besides the server", async () => {
    const { code, stderr } = await read({ HTTPS_PROXY: server.address, VAULT_CACERT: foreign.file });
    expect(stderr).toContain(
      `or the proxy ${new URL(server.address).host} (HTTPS_PROXY) itself, shows a certificate`,
    );
    expect(code).toBe(69);
  });

  test("leads to an untrusted server is named, with the issuer of the certificate", async () => {
    await using proxy = await startProxy();
    const { code, stderr } = await read({ HTTPS_PROXY: proxy.address, VAULT_CACERT: foreign.file });
    expect(stderr).toContain(`through the proxy ${proxy.host} (HTTPS_PROXY)`);
    expect(stderr).toContain('its issuer is "CN=ca"');
    expect(code).toBe(69);
  });
});
