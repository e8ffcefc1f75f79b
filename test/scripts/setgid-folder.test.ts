import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { startCluster } from "../support/cluster-server.ts";
import { readFileAs } from "../support/other-user.ts";
import { modeOf } from "../support/tree.ts";
import { findings, issueCommand, startHostWithOne } from "./status-host.ts";
import { issueAsAdmin, kubelet, startWorkerOf } from "./worker.ts";

// In a folder with the setgid bit, new folders get its group and the bit.

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const [user, group] = [65534, 4242];

function makeSetgid(path: string): void {
  mkdirSync(path, { recursive: true });
  chownSync(path, 0, group);
  chmodSync(path, 0o2755);
}

describe("a folder with the setgid bit", () => {
  test("has certificates that others can read, and keys that they can't read", async () => {
    await using host = await startWorkerOf(cluster);
    chmodSync(host.path, 0o755);
    makeSetgid(join(host.path, "ssl"));
    const { destination } = host;
    for (const flags of [[], ["--force"], ["-o", String(user)]]) {
      expect((await issueAsAdmin(cluster, host, kubelet, ...flags)).code).toBe(0);
      expect(readFileAs(user, `${destination}.pem`)).toBe(host.read(`${destination}.pem`));
      expect(readFileAs(user, `${destination}-ca.pem`)).toBe(host.read(`${destination}-ca.pem`));
      const isTheirs = flags.includes("-o");
      expect(readFileAs(user, `${destination}-key.pem`) !== undefined).toBe(isTheirs);
      expect(modeOf(`${destination.replace(/([^/]+)$/, ".$1.set")}`)).toBe("755");
    }
  });

  test("gets folders that the owner of certificates and kubeconfigs can enter", async () => {
    await using host = await startWorkerOf(cluster);
    chmodSync(host.path, 0o755);
    makeSetgid(join(host.path, "shared"));
    const at = (name: string) => join(host.path, "shared", name);
    const own = ["-o", String(user), "-g", String(user)];
    const admin = { VAULT_TOKEN: cluster.rootToken };
    const words = [...own, kubelet, "system:node:a", at("deep/er/it")];
    expect((await host.run("issue-cert", words, admin)).code).toBe(0);
    const config = [...words.slice(0, -1), at("other/it"), at("kube/config")];
    expect((await host.run("write-kubeconfig", config, admin)).code).toBe(0);
    for (const name of ["deep", "deep/er", "other", "kube"]) {
      const { uid, gid } = statSync(at(name));
      expect([modeOf(at(name)), uid, gid]).toEqual(["750", user, user]);
    }
    expect(readFileAs(user, at("deep/er/it-key.pem"))).toContain("PRIVATE KEY");
    expect(readFileAs(user, at("kube/config"))).toContain("kind: Config");
  });
});

describe("a certificate that only root can read", () => {
  const current = (set: string) => join(set, readlinkSync(join(set, "current")));
  test.each([
    ["its own folder", (set: string) => set],
    ["the folder of the present set", current],
  ])("because %s is closed is reported by status, and fixed by the next run", async (_, closed) => {
    await using host = await startHostWithOne(cluster);
    chmodSync(host.path, 0o755);
    const path = host.destinationOf("etcd");
    chmodSync(join(path, ".."), 0o2755);
    const folder = closed(path.replace(/([^/]+)$/, ".$1.set"));
    chmodSync(folder, 0o2700);
    expect(readFileAs(user, `${path}.pem`)).toBeUndefined();
    const { code, told, all } = await findings(host);
    expect({ code, told, mend: all.certificates[0].mend }).toEqual({
      code: 2,
      told: ["due certificate etcd: nobody but root can read it: its own folder is closed"],
      mend: issueCommand(host),
    });
    expect((await host.issue()).stderr).toMatch(/owner and mode of .* were set again/);
    expect([modeOf(folder), readFileAs(user, `${path}.pem`)]).toEqual(["755", host.read(`${path}.pem`)]);
    expect(await findings(host)).toMatchObject({ code: 0, told: [] });
    // A mode that an admin has narrowed to a group stays.
    chmodSync(folder, 0o750);
    expect([await findings(host), (await host.issue()).stderr, modeOf(folder)]).toMatchObject([
      { code: 0 },
      "",
      "750",
    ]);
  });

  test("because its folder is another user's is reported with a fix, and no folder changes its owner", async () => {
    await using host = await startHostWithOne(cluster, `owner = "${user}"\ngroup = "${user}"`);
    const folder = join(host.destinationOf("etcd"), "..");
    expect((await findings(host)).code).toBe(0);
    chownSync(folder, 0, group);
    chmodSync(folder, 0o2700);
    const { code, told, all } = await findings(host);
    expect({ code, told, mend: all.certificates[0].mend }).toEqual({
      code: 1,
      told: [
        `wrong certificate etcd: its owner (${user}) can't enter ${folder}, whose mode is 2700: ` +
          `chown ${user}:${user} ${folder} and chmod 0750 ${folder}, if it is meant for that user`,
      ],
      mend: null,
    });
    expect((await host.issue()).code).toBe(0);
    expect([modeOf(folder), statSync(folder).uid]).toEqual(["2700", 0]);
    // A folder further up is reported only if the last release could have made it so.
    chownSync(folder, user, user);
    chmodSync(folder, 0o750);
    chmodSync(host.path, 0o700);
    expect((await findings(host)).code).toBe(0);
    chmodSync(host.path, 0o2700);
    expect((await findings(host)).told[0]).toContain(`can't enter ${host.path}, whose mode is 2700`);
  });

  test("because its files are another user's is reported, and fixed by the next run", async () => {
    await using host = await startHostWithOne(cluster, `owner = "${user}"\ngroup = "${user}"`);
    const key = `${host.destinationOf("etcd")}-key.pem`;
    chownSync(key, 0, 0);
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({
      code: 2,
      told: ["due certificate etcd: its files do not belong to their owner"],
    });
    expect((await host.issue()).code).toBe(0);
    expect([statSync(key).uid, (await findings(host)).code]).toEqual([user, 0]);
  });
});
