import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { readFileAs } from "../support/other-user.ts";
import { runCommand, scriptPath } from "../support/script.ts";
import { lastRelease, whyNoRelease } from "./release.ts";

// A host works with the files that the other release left: those of 1.0.0 after an upgrade, ours after a downgrade.

type Release = "old" | "new";
const others = { old: "new", new: "old" } as const;

let cluster: ClusterServer;
let old = "";
const reason = whyNoRelease();
beforeAll(async () => {
  if (reason !== undefined) return;
  [cluster, old] = await Promise.all([startCluster(), lastRelease()]);
}, 120_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

const owner = 65534;
const signPath = "demo/pki/k8s/sign/kubelet";

/** A host with an init token, a manifest, and a certificate folder of another user. */
async function createHost() {
  const folder = temporaryFolder();
  chmodSync(folder.path, 0o755);
  const at = (name: string) => join(folder.path, name);
  for (const name of ["vault", "vault/certs.d", "ssl"]) mkdirSync(at(name), { mode: 0o700 });
  chmodSync(at("ssl"), 0o750);
  chownSync(at("ssl"), owner, owner);
  writeFileSync(at("vault/init-token"), await cluster.initToken("worker"), { mode: 0o600 });
  const manifest = [
    `sign_path = "${signPath}"`,
    'common_name = "kubelet"',
    `destination = "${at("ssl/kubelet")}"`,
    `owner = "${owner}"`,
    `group = "${owner}"`,
    `on_change = [["/bin/sh", "-c", "echo $VAULT_HELPER_CHANGED >> ${at("told")}; test -e ${at("ready")}"]]`,
  ];
  writeFileSync(at("vault/certs.d/kubelet.toml"), `${manifest.join("\n")}\n`, { mode: 0o600 });
  return {
    at,
    read: (name: string) => readFileSync(at(name), "utf8"),
    async run(release: Release, script: string, ...args: string[]) {
      const path = release === "old" ? join(old, "dist", script) : await scriptPath(script);
      const env = { VAULT_ADDR: cluster.address, VAULT_INIT_ROLE: "demo-worker" };
      return await runCommand([path, "--config-path", at("vault"), ...args], { env });
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

const told = reason === undefined ? "an upgrade" : `an upgrade (skipped here, since ${reason})`;
describe.skipIf(reason !== undefined).each(["old", "new"] as const)(
  `${told}: from the %s release`,
  (before) => {
    const after = others[before];

    test("the token is kept and renewed", async () => {
      using host = await createHost();
      const word = before === "old" ? "traded" : "exchanged";
      expect((await host.run(before, "renew-token")).stdout).toStartWith(`init token ${word}`);
      const token = host.read("vault/token");
      expect(existsSync(host.at("vault/init-token"))).toBe(false);
      expect(await host.run(after, "renew-token")).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^token renewed/),
        stderr: "",
      });
      expect(host.read("vault/token")).toBe(token);
    });

    test("a certificate that is not due stays, pending hooks run, and the next certificate is issued", async () => {
      using host = await createHost();
      const issue = (release: Release) =>
        host.run(release, "issue-cert", "--config-dir", host.at("vault/certs.d"));
      const files = () => ["-key.pem", ".pem", "-ca.pem"].map((end) => host.read(`ssl/kubelet${end}`));
      expect((await issue(before)).code).toBe(75);
      const issued = files();
      expect((await issue(after)).code).toBe(75);
      writeFileSync(host.at("ready"), "");
      expect(await issue(after)).toMatchObject({ code: 0, stderr: expect.not.stringContaining("can't") });
      expect(files()).toEqual(issued);
      const change = "certificate key ca\n";
      expect(host.read("told")).toBe(change + change + change);
      expect((await issue(before)).stdout).toBe("");

      const status = await host.run(after, "status", "--config-dir", host.at("vault/certs.d"), "--json");
      expect(JSON.parse(status.stdout)).toMatchObject({
        token: { state: "ok" },
        certificates: [{ state: "ok" }],
      });

      rmSync(host.at("ssl/kubelet.pem"));
      expect((await issue(after)).stdout).toContain("certificate missing");
      expect(files()[0]).toBe(issued[0] ?? "");
      expect((await issue(before)).stdout).toBe("");
    });

    test("direct calls keep the key and write the kubeconfig again", async () => {
      using host = await createHost();
      const call = (release: Release, ...flags: string[]) =>
        host.run(
          release,
          "write-kubeconfig",
          ...flags,
          signPath,
          "kubelet",
          host.at("ssl/node"),
          host.at("config"),
        );
      expect((await call(before)).code).toBe(0);
      const [key, config] = [host.read("ssl/node-key.pem"), host.read("config")];
      expect(await call(after, "--if-due")).toMatchObject({ code: 0, stderr: "" });
      expect(host.read("config")).toBe(config);
      expect((await call(after)).code).toBe(0);
      expect(host.read("ssl/node-key.pem")).toBe(key);
      expect(host.read("config")).not.toBe(config);
      expect((await call(before, "--if-due")).code).toBe(0);
    });
  },
);

describe.skipIf(reason !== undefined)(`${told}: in a folder with the setgid bit`, () => {
  test("a certificate that the old release made unreadable is reported, and readable after the first run", async () => {
    using host = await createHost();
    chmodSync(host.at("ssl"), 0o2755);
    const call = (release: Release, script: string, ...more: string[]) =>
      host.run(release, script, "--config-dir", host.at("vault/certs.d"), ...more);
    writeFileSync(host.at("ready"), "");
    expect((await call("old", "issue-cert")).code).toBe(0);
    const path = host.at("ssl/kubelet-key.pem");
    expect(readFileAs(owner, path)).toBeUndefined();
    const states = async () => JSON.parse((await call("new", "status", "--json")).stdout).certificates;
    expect(await states()).toMatchObject([
      { state: "due", reasons: ["nobody but root can read it: its own folder is closed"] },
    ]);
    expect((await call("new", "issue-cert")).code).toBe(0);
    expect(readFileAs(owner, path)).toContain("PRIVATE KEY");
    expect(await states()).toMatchObject([{ state: "ok", reasons: [] }]);
    // It stays readable after a downgrade.
    expect((await call("old", "issue-cert")).code).toBe(0);
    expect(readFileAs(owner, path)).toContain("PRIVATE KEY");
  });
});
