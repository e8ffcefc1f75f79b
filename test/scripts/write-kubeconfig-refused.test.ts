import { afterAll, describe, expect, test } from "bun:test";
import { chownSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { startCluster } from "../support/cluster-server.ts";
import {
  commonName,
  expectEmbedded,
  type Master,
  put,
  signPath,
  startMaster,
  words,
  write,
  written,
} from "../support/kubeconfig-host.ts";
import { treeOf } from "../support/tree.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

/** Expects a refusal in one sentence, before anything is sent or changed. */
async function expectRefused(host: Master, args: readonly string[], code: number, sentence: string) {
  const before = treeOf(host.path);
  const run = await host.run("write-kubeconfig", args);
  expect(run.stderr).toContain(sentence);
  expect([run.code, run.stdout]).toEqual([code, ""]);
  expect(run.stderr).toMatch(/^write-kubeconfig: [^\n]+[^.\n]\n( {2}[^\n]+\n)?$/);
  expect(host.relay.passed).toEqual([]);
  expect(treeOf(host.path)).toEqual(before);
}

describe("write-kubeconfig refuses, before it asks or changes anything,", () => {
  const bad: ReadonlyArray<readonly [name: string, flags: readonly string[], sentence: string]> = [
    ["a server without TLS", ["--server", "http://a:6443"], '"http://a:6443" can\'t be the address'],
    [
      "a server without a scheme",
      ["--server", "a.example.com:6443"],
      "can't be the address of an API server",
    ],
    ["a server with a query", ["--server", "https://a/?b"], "can't be the address of an API server"],
    ["an invalid server", ["--server", "https://a:99999"], "can't be the address of an API server"],
    ["an invalid namespace", ["--namespace", "A_b"], '"A_b" can\'t be a namespace'],
    ["an invalid cluster name", ["--cluster-name", "a\nb"], '--cluster-name "a\\nb" can\'t be a name'],
    ["an invalid user name", ["--user-name", " "], '--user-name " " can\'t be a name'],
    ["an invalid context name", ["--context", "a\u200b"], "can't be a name in a kubeconfig"],
    ["an unknown key type", ["-t", "dsa"], "there is no key type dsa"],
    ["an unknown owner", ["-o", "nobody-has-this-name"], "there is no user"],
    ["a manifest", ["--config", "a.toml"], "there is no flag --config"],
  ];
  test.each(bad)("%s", async (_name, flags, sentence) => {
    await using host = await startMaster(cluster);
    await expectRefused(host, [...flags, ...words(host)], 64, sentence);
  });

  test.each([
    ".kubelet.set/config",
    ".kubelet.set/current/key.pem",
    ".kubelet.set/lock",
    ".new.set/a/config",
  ])("a kubeconfig among the sets of a certificate: ssl/%s", async (path) => {
    await using host = await startMaster(cluster);
    expect((await write(host)).code).toBe(0);
    host.relay.reset();
    const to = join(host.path, "ssl", path);
    await expectRefused(
      host,
      [signPath, commonName, host.destination, to],
      64,
      " is reserved for the files of one certificate",
    );
  });

  test.each(["https://me:canary@a:6443", "https://canary@a:6443", "https://:canary@a:6443"])(
    "a user or a password in the server's address, without printing it: %s",
    async (server) => {
      await using host = await startMaster(cluster);
      const run = await write(host, "--server", server);
      expect(run.code).toBe(64);
      expect(run.stderr).toContain("can't be the address");
      expect(run.stderr).not.toContain("canary");
    },
  );

  test.each([
    ["the key's", "ssl/kubelet-key.pem", "it is where the certificate's key goes"],
    ["the certificate's", "ssl/kubelet.pem", "it is where the certificate goes"],
    ["the CA's", "ssl/../ssl/kubelet-ca.pem", "it is where the certificate's CA goes"],
    ["the host token's", "vault/token", "it is one of this host's token files"],
    ["the init token's", "vault/init-token", "it is one of this host's token files"],
  ])("%s path", async (_name, path, sentence) => {
    await using host = await startMaster(cluster);
    await expectRefused(host, [signPath, commonName, host.destination, path], 64, sentence);
  });

  test("the key's path through another name of its folder", async () => {
    await using host = await startMaster(cluster);
    await written(host);
    symlinkSync(dirname(host.destination), join(host.path, "link"));
    host.relay.reset();
    const path = join(host.path, "link/kubelet-key.pem");
    await expectRefused(
      host,
      [signPath, commonName, host.destination, path],
      64,
      "where the certificate's key goes",
    );
  });

  test.each([
    ["empty", "", "<kubeconfig> is empty"],
    ["the working folder", ".", "can't be a kubeconfig's path"],
    ["a folder", "kube/", "can't be a kubeconfig's path"],
    ["a folder above", "kube/..", "can't be a kubeconfig's path"],
    ["two lines", "a\nb", "can't be a kubeconfig's path"],
    ["a name too long", "a".repeat(238), "is too long for a kubeconfig's path"],
    ["too long", `${"a/".repeat(260)}a`, "is too long for a kubeconfig's path"],
  ])("a path that is %s", async (_name, path, sentence) => {
    await using host = await startMaster(cluster);
    await expectRefused(host, [signPath, commonName, host.destination, path], 64, sentence);
  });

  const kept: ReadonlyArray<readonly [name: string, text: string, sentence: string]> = [
    ["another context", "contexts: [{name: a}]", "has entries that are not this command's: context a"],
    ["another cluster", "clusters: [{name: a}]", "has entries that are not this command's: cluster a"],
    ["another user", "users: [{name: a}]", "has entries that are not this command's: user a"],
    [
      "preferences",
      "kind: Config\npreferences: {colors: true}",
      "has entries that are not this command's: preferences",
    ],
    [
      "extensions",
      "kind: Config\nextensions: [{name: a}]",
      "has entries that are not this command's: extensions",
    ],
    [
      "a field of our own entry",
      "clusters: [{name: demo, cluster: {proxy-url: x}}]",
      "has entries that are not this command's: proxy-url of cluster demo",
    ],
    [
      "many",
      `users: [${[..."abcdefg"].map((name) => `{name: ${name}}`).join(", ")}]`,
      "has entries that are not this command's: user a, user b, user c, user d, 3 more",
    ],
    ["broken YAML", "a: b: c", "is not a kubeconfig: line 1 is not YAML"],
    ["something else", "a: 1", "is not a kubeconfig: it is not of kind Config, version v1"],
  ];
  test.each(kept)("a file that holds %s", async (_name, text, sentence) => {
    await using host = await startMaster(cluster);
    put(host, `${text}\n`);
    await expectRefused(host, words(host), 65, `${host.kubeconfig} ${sentence}`);
  });

  test("aliases, even with --merge", async () => {
    await using host = await startMaster(cluster);
    put(host, "kind: Config\na: &a 1\nb: *a\n");
    await expectRefused(
      host,
      ["--merge", ...words(host)],
      65,
      "can't be changed without changing other entries in it",
    );
  });

  test("a file of 60,000 users without processing it, with --merge", async () => {
    await using host = await startMaster(cluster);
    put(
      host,
      `users:\n${Array.from({ length: 60_000 }, (_, i) => `- name: u${i}\n  user: {token: t}\n`).join("")}`,
    );
    const sentence = "is not a kubeconfig: it has more than 20000 lines and fields";
    await expectRefused(host, ["--merge", ...words(host)], 65, sentence);
  });

  test("to go on with a long file when the time is over", async () => {
    await using host = await startMaster(cluster);
    put(host, `users:\n${Array.from({ length: 9_000 }, (_, i) => `- name: u${i}\n  user: x\n`).join("")}`);
    await expectRefused(host, ["--merge", "--timeout", "50ms", ...words(host)], 75, "the time limit");
  });

  test("a file that is too long", async () => {
    await using host = await startMaster(cluster);
    put(host, `# ${"a".repeat(5 * 1024 * 1024)}\n`);
    await expectRefused(host, words(host), 65, "is longer than");
  });

  test("another user's file, unless it should belong to that user", async () => {
    await using host = await startMaster(cluster);
    put(host, "");
    chownSync(host.kubeconfig, 1234, 1234);
    await expectRefused(host, words(host), 77, `${host.kubeconfig} belongs to another user (1234)`);
    await written(host, "-o", "1234", "-g", "1234");
    expectEmbedded(host);
  });

  test("a symbolic link of any user", async () => {
    await using host = await startMaster(cluster);
    put(host, "");
    const target = join(host.path, "elsewhere");
    writeFileSync(target, "");
    rmSync(host.kubeconfig);
    symlinkSync(target, host.kubeconfig);
    await expectRefused(
      host,
      words(host),
      65,
      `can't read ${host.kubeconfig}: it is a symbolic link (ELOOP)`,
    );
    expect(lstatSync(host.kubeconfig).isSymbolicLink()).toBe(true);
  });

  test("a folder that another user's link leads to", async () => {
    await using host = await startMaster(cluster);
    const folder = join(host.path, "real");
    mkdirSync(folder);
    symlinkSync(folder, dirname(host.kubeconfig));
    Bun.spawnSync(["chown", "-h", "1234", dirname(host.kubeconfig)]);
    await expectRefused(
      host,
      words(host),
      73,
      "is a symbolic link of another user (1234), and is not followed",
    );
  });

  test("a folder in the kubeconfig's place, and a file in its folder's place", async () => {
    await using host = await startMaster(cluster);
    mkdirSync(host.kubeconfig, { recursive: true });
    await expectRefused(host, words(host), 65, "is not a plain file");
    rmSync(dirname(host.kubeconfig), { recursive: true });
    writeFileSync(dirname(host.kubeconfig), "");
    await expectRefused(host, words(host), 73, "a part of the path is not a folder");
  });
});

test("no kubeconfig is written if its certificate is refused", async () => {
  await using host = await startMaster(cluster);
  const args = ["demo/pki/k8s/sign/none", commonName, host.destination, host.kubeconfig];
  const run = await host.run("write-kubeconfig", args);
  expect(run.code).toBe(77);
  expect(() => lstatSync(dirname(host.kubeconfig))).toThrow("ENOENT");
});
