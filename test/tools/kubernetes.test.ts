import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { defineCluster, hostRoles } from "../../lib/cluster/cluster.ts";
import { pkiRoles } from "../../lib/cluster/pki-roles.ts";
import { secrets } from "../../lib/cluster/secrets.ts";
import { uses } from "../../tools/components.ts";
import { kubernetesPage } from "../../tools/kubernetes.ts";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { commandBlocks } from "../support/pasted.ts";
import { runCommand, runScript, scriptPath } from "../support/script.ts";

const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());

/** The cells of the page's table below a heading, without backticks. */
function rows(heading: string): string[][] {
  const [, section = ""] = kubernetesPage().split(`\n## ${heading}\n`);
  const lines = (section.split("\n## ")[0] ?? "").split("\n").filter((line) => line.startsWith("| "));
  return lines.slice(2).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const plain = (cell = "") => cell.replaceAll("`", "");
const signPaths = rows("Sign paths").map(([path, names = "", , , roles = ""]) => ({
  path: plain(path),
  takesAddresses: !names.endsWith("no IP address"),
  roles: roles.split(", "),
}));

describe("the page on Kubernetes", () => {
  const cluster = defineCluster("demo");

  test("has every sign path of a cluster, and a component that uses it", () => {
    const all = pkiRoles(cluster).map(({ path }) => path.replace("/roles/", "/sign/"));
    expect(signPaths.map(({ path }) => path)).toEqual(all);
    const used = uses.map(({ path }) => `demo/${path}`);
    expect(
      [...all, ...secrets(cluster).map(({ path }) => path)].filter((path) => !used.includes(path)),
    ).toEqual([]);
    expect(used.filter((path) => path.includes("/sign/") && !all.includes(path))).toEqual([]);
  });

  test("says about a kubelet what its role in the server allows", () => {
    expect(rows("Sign paths").find(([path]) => plain(path) === "demo/pki/k8s/sign/kubelet")).toEqual([
      "`demo/pki/k8s/sign/kubelet`",
      "`kubelet`, `system:node`, `system:node:*`, `*.compute.internal`, `*.ec2.internal`, names below these, no IP address",
      "servers and clients, group `system:nodes`",
      "30d",
      "master, worker, all",
    ]);
  });
});

describe("on a real server", () => {
  let server: ClusterServer;
  const tokens = new Map<string, string>();
  const env = (role: string) => ({ VAULT_ADDR: server.address, VAULT_TOKEN: tokens.get(role) ?? "" });

  beforeAll(async () => {
    server = await startCluster("demo");
    for (const role of hostRoles) tokens.set(role, await server.hostToken(role));
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** The words of `issue-cert` on the page, by sign path. */
  const byHand = new Map(
    commandBlocks("docs/kubernetes.md")
      .flatMap((block) => block.trim().split("\n"))
      .map((line) => line.split(" "))
      .map(([, path = "", commonName = ""]) => [path, commonName]),
  );

  test.each(signPaths)(
    "$path is open to the hosts that the page names, and to no other",
    async ({ path, roles }) => {
      const commonName = byHand.get(path) ?? "";
      for (const role of hostRoles) {
        const words = [path, commonName, join(folder.path, role, path)];
        const { code, stderr } = await runScript("issue-cert", words, { env: env(role), cwd: folder.path });
        expect([role, code, code === 0 ? "" : stderr]).toEqual(
          roles.includes(role) ? [role, 0, ""] : [role, 77, expect.stringContaining("permission denied")],
        );
      }
    },
  );

  test.each(signPaths)(
    "$path signs IP addresses where the page says so",
    async ({ path, takesAddresses }) => {
      const words = ["-i", "192.0.2.1", path, byHand.get(path) ?? "", join(folder.path, "addresses", path)];
      const { code, stderr } = await runScript("issue-cert", words, { env: env("all"), cwd: folder.path });
      expect([code, code === 0 ? "" : stderr]).toEqual(
        takesAddresses
          ? [0, ""]
          : [65, expect.stringContaining("IP Subject Alternative Names are not allowed")],
      );
    },
  );

  test.each(rows("Secrets"))(
    "%s has its field for the hosts that the page names",
    async (path, field, roles) => {
      for (const role of hostRoles) {
        const words = ["--field", plain(field), plain(path)];
        const { code } = await runScript("read-secret", words, { env: env(role), cwd: folder.path });
        expect([role, code]).toEqual([role, roles?.split(", ").includes(role) ? 0 : 77]);
      }
    },
  );

  test("the page's commands run when they are pasted", async () => {
    const dist = join(await scriptPath("vault-helper"), "..");
    for (const block of commandBlocks("docs/kubernetes.md")) {
      // Not into this machine's folders.
      const commands = block.replaceAll(/ \/etc\//g, ` ${folder.path}/etc/`);
      expect(commands).not.toBe(block);
      const { code, stderr } = await runCommand(["/bin/bash", "-ec", commands], {
        env: { ...env("all"), PATH: `${dist}:/usr/bin:/bin` },
        cwd: folder.path,
      });
      expect([code, code === 0 ? "" : stderr]).toEqual([0, ""]);
    }
  });
});
