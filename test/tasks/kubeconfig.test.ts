import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { parse } from "yaml";
import { readKubeconfig } from "../../lib/tasks/kubeconfig.ts";
import { runInChild } from "../support/child.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";

const names = { cluster: "demo", user: "demo", context: "demo" };
const access = {
  names,
  server: undefined,
  vaultAddress: "https://vault.example.com:8200",
  namespace: "kube-system",
  credentials: { isEmbedded: true, ca: "the CA", certificate: "the certificate", key: "the key" },
};
type Access = Parameters<ReturnType<typeof readKubeconfig>["put"]>[0];
const api = "https://api.example.com:6443";

const put = (text: string, more: Partial<Access> = {}) =>
  readKubeconfig(text, "f").put({ ...access, ...more });

/** The changed text. */
function changed(text: string, more: Partial<Access> = {}): string {
  const { text: after } = put(text, more);
  if (after === undefined) throw new Error("nothing has changed");
  return after;
}

const fresh = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: ${btoa("the CA")}
    server: https://127.0.0.1:6443
  name: demo
contexts:
- context:
    cluster: demo
    namespace: kube-system
    user: demo
  name: demo
current-context: demo
kind: Config
users:
- user:
    client-certificate-data: ${btoa("the certificate")}
    client-key-data: ${btoa("the key")}
  name: demo
`;

/** A kubeconfig from the Go tool, with Vault's own address. */
const goTools = `current-context: demo
apiVersion: v1
kind: Config
clusters:
- name: demo
  cluster:
    server: https://vault.example.com:8200
    api-version: v1
    certificate-authority-data: b2xk
contexts:
- name: demo
  context:
    cluster: demo
    namespace: kube-system
    user: demo
users:
- name: demo
  user:
    client-certificate-data: b2xk
    client-key-data: b2xk
`;

describe("readKubeconfig() makes a kubeconfig", () => {
  test.each(["", "\n", "# a comment\n", "{}", "---\n", "null\n", "kind: Config\n"])("from %j", (text) => {
    expect(parse(changed(text))).toEqual(parse(fresh));
    expect(put(text).server).toBe("https://127.0.0.1:6443");
  });

  test("in kubectl's own layout", () => expect(changed("")).toBe(fresh));

  test("with paths instead of data", () => {
    const credentials = { isEmbedded: false, ca: "/a-ca.pem", certificate: "/a.pem", key: "/a-key.pem" };
    const made = parse(changed("", { credentials, server: api }));
    expect(made.clusters[0].cluster).toEqual({ "certificate-authority": "/a-ca.pem", server: api });
    expect(made.users[0].user).toEqual({ "client-certificate": "/a.pem", "client-key": "/a-key.pem" });
    // And back: no old field is left beside the new ones.
    expect(parse(changed(fresh, { credentials, server: api }))).toEqual(made);
    expect(parse(changed(changed("", { credentials })))).toEqual(parse(fresh));
  });

  test.each([
    "no",
    "on",
    "1e3",
    "0x1f",
    "2026-01-01",
    "1:30",
    "a: b",
    "# a",
    "- a",
    "!a",
    "&a",
    "<<",
    '"',
    "~",
    "é",
  ])("with the name %j, which every reader takes as a string", (name) => {
    const text = changed("", { names: { cluster: name, user: name, context: name } });
    for (const version of ["1.1", "1.2"] as const) {
      const made = parse(text, { version });
      expect(made).toMatchObject({
        clusters: [{ name }],
        contexts: [{ name, context: { cluster: name, user: name } }],
        users: [{ name }],
        "current-context": name,
      });
    }
  });
});

describe("readKubeconfig() finds nothing to change", () => {
  test.each([
    ["in what it wrote", fresh],
    ["where kubectl has written it again", `${fresh}preferences: {}\n`],
    ["in JSON", JSON.stringify(parse(fresh))],
    ["with a comment", `# ours\n${fresh}`],
  ])("%s", (_name, text) => {
    expect(put(text)).toEqual({ text: undefined, server: "https://127.0.0.1:6443" });
    expect(readKubeconfig(text, "f").foreignParts(names)).toEqual([]);
  });
});

describe("readKubeconfig() changes our own parts:", () => {
  test("the Go tool's file, with Vault's address and a field that nothing reads", () => {
    expect(readKubeconfig(goTools, "f").foreignParts(names)).toEqual([]);
    expect(parse(changed(goTools))).toEqual(parse(fresh));
  });

  test("the server, unless it is not Vault's address and no other is given", () => {
    const fixed = goTools.replace("https://vault.example.com:8200", api);
    expect(put(fixed).server).toBe(api);
    expect(put(fixed, { server: "https://other:1" }).server).toBe("https://other:1");
    expect(put(goTools.replace(":8200", ":8200/v1/")).server).toBe("https://127.0.0.1:6443");
  });

  test("fields that contradict ours", () => {
    const text = fresh.replace("    server:", "    insecure-skip-tls-verify: true\n    server:");
    expect(readKubeconfig(text, "f").foreignParts(names)).toEqual([]);
    expect(changed(text)).toBe(fresh);
  });

  test.each(["null", "{}", "~"])("an entry that holds %s", (nothing) => {
    const text = `kind: Config\nusers:\n- name: demo\n  user: ${nothing}\n`;
    expect(parse(changed(text))).toEqual(parse(fresh));
  });

  test("a current context that does not exist", () => {
    expect(changed(fresh.replace("current-context: demo", "current-context: gone"))).toBe(fresh);
    expect(changed(fresh.replace("current-context: demo\n", 'current-context: ""\n'))).toContain(
      "context: demo\n",
    );
  });
});

const others = `# mine
apiVersion: v1
kind: Config
preferences: { colors: yes }
current-context: other # for now
clusters:
  - name: other
    cluster: { server: "https://x", insecure-skip-tls-verify: yes, n: 0x1F, big: 12345678901234567890, f: 1.10 }
  - name: demo
    cluster:
      # through the gate
      proxy-url: socks5://127.0.0.1:1080
      server: https://api.example.com:6443
contexts:
  - name: other
    context:
      cluster: other
      user: o
users:
  - name: o
    user:
      token: 00123 # a number to some
      password: 'no'
  - name: demo
    user:
      as: somebody
extensions:
  - name: a
    extension: |
      long
        text
`;

describe("readKubeconfig() with foreign parts", () => {
  test("names each of them", () => {
    expect(readKubeconfig(others, "f").foreignParts(names)).toEqual([
      "cluster other",
      "context other",
      "user o",
      "proxy-url of cluster demo",
      "as of user demo",
      "preferences",
      "extensions",
    ]);
  });

  test("keeps them exactly, with comments and order", () => {
    const lines = changed(others).split("\n");
    const kept = others.split("\n").filter((line) => !line.includes("server: https://api"));
    let from = 0;
    for (const line of kept) {
      const at = lines.indexOf(line, from);
      expect([line, at]).toEqual([line, expect.any(Number)]);
      expect(at).toBeGreaterThanOrEqual(from);
      from = at;
    }
    const after = parse(changed(others));
    expect(after["current-context"]).toBe("other");
    expect(after.clusters[1].cluster).toEqual({
      "proxy-url": "socks5://127.0.0.1:1080",
      server: api,
      "certificate-authority-data": btoa("the CA"),
    });
    expect(after.users[1].user).toMatchObject({ as: "somebody", "client-key-data": btoa("the key") });
    expect(after.contexts[1].name).toBe("demo");
    expect(put(changed(others)).text).toBeUndefined();
  });

  test("keeps JSON as JSON", () => {
    const text = JSON.stringify({
      ...parse(fresh),
      clusters: [],
      extensions: [{ name: "a", extension: 1.5 }],
    });
    const after = JSON.parse(changed(text));
    expect(after).toEqual({ ...parse(fresh), extensions: [{ name: "a", extension: 1.5 }] });
  });

  test("keeps tags", () => {
    expect(changed("kind: Config\nextensions: !!binary aGVsbG8=\nb: !mine [1]\n")).toContain(
      "extensions: !!binary aGVsbG8=\nb: !mine [ 1 ]\n",
    );
  });

  test.each([
    ["a shared entry", "users:\n- name: demo\n  user: &u {token: t}\n- name: b\n  user: *u\n"],
    ["a shared list", "users: &a [{name: q, user: {}}]\nz: *a\n"],
    [
      "aliases of aliases",
      `${[..."bcdefghij"].reduce((text, it, i) => `${text}${it}: &${it} [${"*x,".replace("x", "abcdefghij"[i] ?? "").repeat(9)}]\n`, "a: &a [1]\n")}`,
    ],
  ])("refuses %s, where a change of one would change the other", async (_name, text) => {
    const failure = await failureOf(() => put(`kind: Config\n${text}`));
    expect(failure.kind).toBe("data");
    expect(failure.message).toBe("f can't be changed without changing other entries in it");
  });

  test("keeps any values", () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary" }),
      fc.constantFrom("yes", "0x1F", "1e3", "a\nb", " "),
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: "small" },
        ...[text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)],
        ...[fc.array(tie("any")), fc.dictionary(text, tie("any"))],
      ),
    })).any;
    fc.assert(
      fc.property(value, fc.dictionary(text, value), fc.boolean(), (extension, user, spaced) => {
        const before = {
          kind: "Config",
          users: [{ name: "o", user: { ...user, token: "t" } }],
          extensions: [{ name: "a", extension }],
        };
        const json = JSON.stringify(before, undefined, spaced ? 2 : undefined);
        // The runtime's replacement for invalid UTF-8.
        if (
          /\ufffd|[\ud800-\udfff]/.test(JSON.stringify(before).replace(/[\ud800-\udbff][\udc00-\udfff]/g, ""))
        )
          return;
        const after = JSON.parse(changed(json));
        expect(after.users[0]).toEqual(JSON.parse(json).users[0]);
        expect(after.extensions).toEqual(JSON.parse(json).extensions);
      }),
      { numRuns: 200 },
    );
  });
});

describe("readKubeconfig() refuses", () => {
  const tooMany = "it has more than 20000 lines and fields";
  const cases: ReadonlyArray<readonly [name: string, text: string, why: string]> = [
    ["another file of YAML", "a: 1\n", "it is not of kind Config, version v1"],
    ["another kind", "kind: Pod\nclusters: []\n", "it is not of kind Config, version v1"],
    ["another version", "kind: Config\napiVersion: v2\n", "it is not of kind Config, version v1"],
    ["a list", "- 1\n", "it holds no fields"],
    ["a word", "secret\n", "it holds no fields"],
    ["a certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n", "it holds no fields"],
    ["clusters that are not a list", "clusters: {}\n", "its clusters are not a list"],
    ["entries that are none", "users:\n- a\n", "one of its users has no name"],
    ["a nameless entry", "contexts:\n- context: {}\n", "one of its contexts has no name"],
    ["two of one name", "users:\n- name: a\n- name: a\n", 'it has two users "a"'],
    ["a text that is not YAML", "kind: Config\na: [\n", "line 3 is not YAML"],
    ["a repeated field", "kind: Config\nkind: Config\n", "line 2 repeats a field"],
    ["two documents", "kind: Config\n---\nkind: Config\n", "line 2 is not YAML"],
    ["a text that is not UTF-8", "kind: Config\na: \ufffd\n", "it is not UTF-8"],
    [
      "a text that is nested too deep",
      `kind: Config\na: ${"[".repeat(500)}${"]".repeat(500)}`,
      "it is nested too deep",
    ],
    ["a repeated field of an entry", "users:\n- name: a\n  x: 1\n  x: 2\n", "line 4 repeats a field"],
    ["brackets without an end", "[".repeat(15_000), "line 1 is not YAML"],
    ["brackets without a bottom", `${"[".repeat(15_000)}${"]".repeat(15_000)}`, "line 1 is not YAML"],
    ["brackets by the thousand", "[".repeat(100_000), tooMany],
    ["lines by the thousand", "kind: Config\n".repeat(30_000), tooMany],
    ["60,000 users", `users:\n${"- name: a\n  user: {}\n".repeat(60_000)}`, tooMany],
  ];
  test.each(cases)("%s", async (_name, text, why) => {
    const failure = await failureOf(() => readKubeconfig(text, "f"));
    expect(failure.kind).toBe("data");
    expect(failure.message).toBe(`f is not a kubeconfig: ${why}`);
  });

  test("broken YAML without quoting it", async () => {
    const failure = await failureOf(() => readKubeconfig("token: hvs.secret: x: [\n", "f"));
    expect(failure.message + failure.hint + String(failure.cause)).not.toContain("hvs");
  });
});

describe("a kubeconfig of the greatest length", () => {
  const lines = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join("");
  // Each takes a second of CPU. It took up to half a minute when every field was compared with every other.
  test.each([
    ["entries", `users:\n${lines(9_000, (i) => `- name: u${i}\n  user: {}\n`).slice(0, -1)}\n`],
    ["fields", `users: []\n${lines(19_000, (i) => `f${i}: 1\n`)}`],
    ["fields of a user", `users:\n- name: x\n  user:\n${lines(19_000, (i) => `    f${i}: 1\n`)}`],
    ["fields in one line", `users: []\nx: {${lines(19_000, (i) => `f${i}: 1, `)}}\n`],
  ])("with many %s is changed in a bounded time", async (_, text) => {
    using folder = temporaryFolder();
    const path = join(folder.path, "kubeconfig");
    writeFileSync(path, text.replaceAll("user: {}", "user: x"));
    const code = `
        const text = await Bun.file(${JSON.stringify(path)}).text();
        console.log(readKubeconfig(text, "f").put(${JSON.stringify(access)}).text)`;
    const limits = { cpuSeconds: 15, seconds: 55 };
    const printed = await runInChild("{ readKubeconfig }", "tasks/kubeconfig.ts", code, limits);
    expect(printed).toContain("certificate-authority-data");
  });

  test("is not processed when the time is over", async () => {
    let steps = 0;
    const checkTime = () => {
      if (++steps > 2) throw new Error("no time");
    };
    const { put } = readKubeconfig("users: []\n", "f", checkTime);
    expect(() => put(access)).toThrow("no time");
    expect(() => readKubeconfig("users: []\n", "f", checkTime)).toThrow("no time");
  });
});
