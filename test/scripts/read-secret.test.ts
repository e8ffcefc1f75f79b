import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ExitCode } from "../../lib/cli/exit-code.ts";
import { enableMount, writePolicy } from "../../lib/vault/sys.ts";
import { startCluster } from "../support/cluster-server.ts";
import { type Host, startHost } from "../support/host.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const path = "demo/secrets/odd";
/** As text, because JSON.stringify would write some numbers differently. */
const odd = `{"text":"a<b>&c \\u00df\\n","last":"no line feed","empty":"","nul":"a\\u0000b","binary":"AAEC/w==",
  "truth":true,"lie":false,"big":12345678901234567890,"point":1.0,"power":1e3,"small":-7,
  "object":{"inner":"inner-secret"},"list":["list-secret",2],"null":null}`;

async function put(at: string, body: string): Promise<void> {
  const response = await fetch(`${cluster.address}/v1/${at}`, {
    method: "POST",
    headers: { "X-Vault-Token": cluster.rootToken },
    body,
  });
  if (!response.ok) throw new Error(await response.text());
}

/** A token with a policy of one rule, as narrow as a host's. */
async function tokenFor(readable: string): Promise<string> {
  const { admin } = cluster;
  const name = `read-${Bun.hash(readable)}`;
  await writePolicy(admin, name, `path "${readable}" { capabilities = ["read"] }`);
  const answer = await admin.ask({
    method: "POST",
    path: "auth/token/create",
    body: { policies: [name] },
    capability: "update",
    repeatable: false,
  });
  return answer.object("auth").string("client_token");
}

const asAdmin = (host: Host, ...args: string[]) =>
  host.run("read-secret", args, { VAULT_TOKEN: cluster.rootToken });

beforeAll(async () => {
  await put(path, odd);
  await enableMount(cluster.admin, "plain", "kv", {});
  await put("secret/data/deep/app", '{"data":{"password":"v2-secret","port":5432}}');
  await put("secret/data/gone", '{"data":{"password":"gone-secret"}}');
  await cluster.admin.request({
    method: "DELETE",
    path: "secret/data/gone",
    capability: "delete",
    repeatable: true,
  });
});

describe("read-secret", () => {
  test("prints the whole answer like the Go tool: fields, order, tabs, and numbers exactly", async () => {
    await using host = startHost(cluster.address);
    host.put("token", await cluster.hostToken("master"));
    const { code, stdout, stderr } = await host.run("read-secret", ["demo/secrets/service-accounts"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      /^\{\n\t"request_id": "[0-9a-f-]{36}",\n\t"lease_id": "",\n\t"lease_duration": 2764800,\n\t"renewable": false,\n\t"data": \{\n\t\t"key": "not asked for"\n\t\},\n\t"warnings": null,?\n/,
    );
    expect(stdout).not.toMatch(/"auth"|"wrap_info"/);
    const whole = (await asAdmin(host, path)).stdout;
    expect(whole).toContain('"text": "a\\u003cb\\u003e\\u0026c ß\\n"');
    for (const line of ['"big": 12345678901234567890,', '"point": 1.0,', '"power": 1e3,', '"small": -7,']) {
      expect(whole).toContain(`\t\t${line}\n`);
    }
    expect(JSON.parse(whole).data).toEqual(JSON.parse(odd));
  });

  test.each([
    ["text", "a<b>&c ß\n"],
    ["last", "no line feed"],
    ["empty", ""],
    ["nul", "a\0b"],
    ["binary", "AAEC/w=="],
    ["truth", "true"],
    ["lie", "false"],
    ["big", "12345678901234567890"],
    ["point", "1.0"],
    ["power", "1e3"],
    ["small", "-7"],
  ])("prints the field %s unchanged", async (field, text) => {
    await using host = startHost(cluster.address);
    expect(await asAdmin(host, "-f", field, path)).toEqual({ code: 0, stdout: text, stderr: "" });
  });

  test.each([
    ["object", "an object", '{\n\t"inner": "inner-secret"\n}\n'],
    ["list", "a list", '[\n\t"list-secret",\n\t2\n]\n'],
    ["null", "null", "null\n"],
  ])("refuses the field %s, which is not a string, and prints it with --json", async (field, kind, json) => {
    await using host = startHost(cluster.address);
    const refused = await asAdmin(host, "-l", "2", "-f", field, path);
    expect(refused.code).toBe(ExitCode.data);
    expect(refused.stderr).toContain(`the field "${field}" of ${path} is ${kind}, not a string`);
    expect(refused.stdout + refused.stderr).not.toContain('-secret"');
    expect(refused.stderr).not.toMatch(/inner-secret|list-secret/);
    expect(await asAdmin(host, "--json", "-f", field, path)).toEqual({ code: 0, stdout: json, stderr: "" });
  });

  test("names the existing fields if one is missing, and prints none of their values", async () => {
    await using host = startHost(cluster.address);
    for (const field of ["txt", "constructor"]) {
      const { code, stdout, stderr } = await asAdmin(host, "-l", "2", "-f", field, path);
      expect([code, stdout]).toEqual([ExitCode.data, ""]);
      expect(stderr).toContain(
        `the secret at ${path} has no field "${field}"\n  it has "big", "binary", "empty"`,
      );
      expect(stderr).not.toMatch(/no line feed|AAEC|1234567890/);
    }
  });

  test("says that nothing is stored, with a hint", async () => {
    await using host = startHost(cluster.address);
    expect(await asAdmin(host, "demo/secrets/none")).toEqual({
      code: ExitCode.unavailable,
      stdout: "",
      stderr:
        "read-secret: nothing is stored at demo/secrets/none in Vault\n" +
        "  check the path; `vault kv list` on the path above shows an admin what is there\n",
    });
    expect((await asAdmin(host, "no-mount/none")).stderr).toContain("nothing is mounted at that path");
  });

  test("renews the host token first, and reads what its role may read and no more", async () => {
    await using host = startHost(cluster.address);
    host.put("init-token", await cluster.initToken("worker"));
    const run = await host.run("read-secret", ["-f", "init_token", "demo/secrets/init_token_worker"]);
    expect([run.code, run.stdout]).toEqual([ExitCode.noPermission, ""]);
    expect(run.stderr).toContain('capability "read" on demo/secrets/init_token_worker');
    expect(host.relay.writes().map((it) => it.path)).toEqual([
      "sys/wrapping/lookup",
      "auth/token/create/demo-worker",
    ]);
  });

  test.each([
    [["-f", "key"], "<path> is missing"],
    [["/demo/secrets/x"], '"/demo/secrets/x" is not a path in Vault'],
    [["-o", "root", path], "--owner is for a file, but --dest-path is missing"],
    [["-g", "root", path], "--group is for a file, but --dest-path is missing"],
    [["-d", "x", "-o", "no-such-user", path], 'there is no user "no-such-user" on this host'],
  ])("sends no request when it is called with %j", async (args, sentence) => {
    await using host = startHost(cluster.address);
    host.put("init-token", await cluster.initToken("worker"));
    const run = await host.run("read-secret", args);
    expect([run.code, host.relay.passed]).toEqual([ExitCode.usage, []]);
    expect(run.stderr).toContain(sentence);
  });
});

describe("read-secret of kv version 2", () => {
  const [plain, data] = ["secret/deep/app", "secret/data/deep/app"];
  const note = `read-secret: ${plain} is in a mount of kv version 2, and was read at ${data}: use that path\n`;

  test("accepts the plain path, with a note, with a host's rights", async () => {
    await using host = startHost(cluster.address);
    host.put("token", await tokenFor(data));
    const field = await host.run("read-secret", ["-f", "password", plain]);
    expect(field).toEqual({ code: 0, stdout: "v2-secret", stderr: note });
    const whole = await host.run("read-secret", [plain]);
    expect(whole.stderr).toBe(note);
    expect(JSON.parse(whole.stdout).data).toEqual({
      data: { password: "v2-secret", port: 5432 },
      metadata: expect.objectContaining({ version: 1 }),
    });
  });

  test("accepts the plain path from an admin, who may read every path and finds nothing there", async () => {
    await using host = startHost(cluster.address);
    expect(await asAdmin(host, "-f", "port", plain)).toEqual({ code: 0, stdout: "5432", stderr: note });
  });

  test("accepts the API's path, with one request and without a note", async () => {
    await using host = startHost(cluster.address);
    const run = await asAdmin(host, "-f", "password", data);
    expect(run).toEqual({ code: 0, stdout: "v2-secret", stderr: "" });
    expect(host.relay.passed).toEqual([{ method: "GET", path: data }]);
  });

  test("names the fields of the secret, not those of the answer", async () => {
    await using host = startHost(cluster.address);
    expect((await asAdmin(host, "-f", "data", plain)).stderr).toContain('it has "password", "port"');
  });

  test.each(["secret/gone", "secret/data/gone"])("says of %s that its version was deleted", async (at) => {
    await using host = startHost(cluster.address);
    const { code, stderr } = await asAdmin(host, "-f", "password", at);
    expect(code).toBe(ExitCode.unavailable);
    expect(stderr).toContain(
      "nothing is stored at secret/data/gone in Vault, or its latest version was deleted",
    );
  });

  test("sends one request for a secret of version 1", async () => {
    await using host = startHost(cluster.address);
    await asAdmin(host, "-f", "small", path);
    expect(host.relay.passed).toEqual([{ method: "GET", path }]);
  });

  test("does not mistake a secret of version 1 for one of version 2, with any field names", async () => {
    await using host = startHost(cluster.address);
    const triplet = { data: { a: "1" }, metadata: { created_time: "now", version: 1 }, more: "it" };
    await put("plain/triplet", JSON.stringify(triplet));
    expect((await asAdmin(host, "-f", "more", "plain/triplet")).stdout).toBe("it");
    await put("plain/twins", '{"data":{"a":"1"},"metadata":"text"}');
    expect((await asAdmin(host, "-f", "metadata", "plain/twins")).stdout).toBe("text");
  });
});
