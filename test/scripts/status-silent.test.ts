import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createFromRole } from "../../lib/vault/token.ts";
import { fields } from "../cluster/api.ts";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { type Relay, startRelay } from "../support/relay.ts";
import { runScript } from "../support/script.ts";

const hour = 3600;
const day = 24 * hour;
/** Pretends for each host, by name, how long ago it renewed its token: a server's clock can't be turned back. */
const renewedAgo = new Map<string, number>();
let server: ClusterServer;
let relay: Relay;

beforeAll(async () => {
  server = await startCluster();
  relay = startRelay(server.address, async ({ path }, _, pass) => {
    if (path !== "auth/token/lookup-accessor") return undefined;
    const answer = fields(await (await pass()).json());
    const data = fields(answer.data);
    const host = typeof data.meta === "object" && data.meta !== null ? String(fields(data.meta).host) : "";
    const ago = renewedAgo.get(host);
    const then = Math.floor(Date.now() / 1000) - (ago ?? 0);
    // A token that was never renewed has only its creation time.
    const times = host === "new" ? { creation_time: then } : { last_renewal_time: then };
    return Response.json({ ...answer, data: ago === undefined ? data : { ...data, ...times } });
  });
});
afterAll(async () => {
  await relay[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function makeHost(host: string | undefined, agoSeconds: number, role = "worker"): Promise<void> {
  const meta = host === undefined ? { other: "thing" } : { host };
  renewedAgo.set(host ?? "undefined", agoSeconds);
  await createFromRole(server.admin, `demo-${role}`, server.rootToken, { meta });
}

async function status(...args: string[]) {
  const env = { VAULT_ADDR: relay.address, VAULT_TOKEN: server.rootToken };
  return await runScript("vault-helper", ["status", ...args, "demo"], { env });
}

describe("status CLUSTER reports hosts that don't renew their tokens:", () => {
  test("none if each has within three days, with any name", async () => {
    for (const [host, ago] of [
      ["today", hour],
      ["new", 2 * day],
      ["almost", 3 * day - hour],
      ["tomorrow", -day],
    ] as const)
      await makeHost(host, ago);
    const { code, stdout } = await status();
    expect([code, stdout]).toEqual([0, expect.not.stringContaining("not renewed")]);
    const { silentHosts } = JSON.parse((await status("--json")).stdout);
    expect(silentHosts).toEqual({ count: 0, unnamed: 0, latest: [] });
  });

  test("counts them, names the latest with their time, and keeps the exit code", async () => {
    // The server reports whole seconds.
    await makeHost("node-b", 4 * day + 60);
    await makeHost("node-a", 10 * day + 60, "etcd");
    await makeHost(undefined, 30 * day);
    await createFromRole(server.admin, "demo-worker", server.rootToken);
    renewedAgo.set("", 0);
    const { code, stdout } = await status();
    const lines = stdout.trimEnd().split("\n");
    const from = lines.findIndex((line) => line.includes("not renewed"));
    const time = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d UTC`;
    expect(code).toBe(0);
    expect(lines[from]).toBe("3 host tokens not renewed for three days, 1 of them without a name:");
    expect(lines[from + 1]).toMatch(new RegExp(`^  node-b  demo-worker  ${time}, 4d ago$`));
    expect(lines[from + 2]).toMatch(new RegExp(`^  node-a  demo-etcd    ${time}, 10d ago$`));
    expect(lines[from + 3]).toBe("demo: 15 ok");
    const { silentHosts, state } = JSON.parse((await status("--json")).stdout);
    expect({ state, ...silentHosts }).toEqual({
      state: "ok",
      count: 3,
      unnamed: 1,
      latest: [
        { host: "node-b", role: "demo-worker", accessor: expect.any(String), renewedAt: expect.any(String) },
        { host: "node-a", role: "demo-etcd", accessor: expect.any(String), renewedAt: expect.any(String) },
      ],
    });
    const ago = Date.now() - Date.parse(silentHosts.latest[0].renewedAt);
    expect(ago / 1000).toBeWithin(4 * day, 4 * day + 120);
  });

  test("names the twenty latest, without control characters", async () => {
    for (let i = 0; i < 25; i++) await makeHost(`many-${i}`, 5 * day + i * hour);
    await makeHost("\u001b[2Jevil\u202e\nok  all is well", 3 * day + hour);
    await makeHost("x".repeat(500), 3 * day + 2 * hour);
    renewedAgo.set("x".repeat(500), 3 * day + 2 * hour);
    const { stdout } = await status();
    const lines = stdout.split("\n");
    const from = lines.findIndex((line) => line.includes("not renewed"));
    expect(lines[from]).toBe(
      "30 host tokens not renewed for three days, 1 of them without a name; the latest 20:",
    );
    expect(lines[from + 1]).toStartWith("  \ufffd[2Jevil\ufffd\ufffdok  all is well ");
    expect(lines[from + 2]).toStartWith(`  ${"x".repeat(253)}  demo-worker  `);
    const named = lines.slice(from + 1, from + 21).map((line) => line.trim().split(/ {2,}/)[0]);
    expect(named.slice(2)).toEqual(["node-b", ...Array.from({ length: 17 }, (_, i) => `many-${i}`)]);
    expect(lines[from + 21]).toBe("demo: 15 ok");
    const json = (await status("--json")).stdout;
    expect(json).toMatch(/^[\n -~]+$/);
    expect(JSON.parse(json).silentHosts).toMatchObject({ count: 30, unnamed: 1 });
    expect(JSON.parse(json).silentHosts.latest[0].host).toBe("\u001b[2Jevil\u202e\nok  all is well");
  });

  test("looks up a few tokens at a time, each once", async () => {
    relay.reset();
    await status();
    const looked = relay.passed.filter(({ path }) => path === "auth/token/lookup-accessor");
    // The host tokens, four init tokens, and the root token.
    expect(looked).toHaveLength(35 + 4 + 1);
  });
});
