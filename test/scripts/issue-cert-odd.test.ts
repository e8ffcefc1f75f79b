import { afterAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { trace } from "../crash/strace.ts";
import { findSet, promiseMatching } from "../crash/world.ts";
import { startCluster } from "../support/cluster-server.ts";
import { startHost } from "../support/host.ts";
import { runCommand, scriptPath } from "../support/script.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());
const sign = "demo/pki/k8s/sign/kubelet";

async function hostWithToken() {
  const host = startHost(cluster.address);
  host.put("token", `${await cluster.hostToken("worker")}\n`);
  return host;
}

describe("issue-cert on files that somebody copied", () => {
  test.each([
    ["with its links followed", "-rL"],
    ["as they are", "-a"],
  ])("%s renews them, and writes a set", async (_, flag) => {
    await using host = await hostWithToken();
    expect((await host.run("issue-cert", [sign, "kubelet", host.destination])).code).toBe(0);
    const copy = join(host.path, "copy");
    execFileSync("cp", [flag, join(host.path, "ssl"), copy]);
    const key = readFileSync(join(copy, "kubelet-key.pem"), "utf8");
    for (let round = 0; round < 2; round++) {
      expect(await host.run("issue-cert", [sign, "kubelet", join(copy, "kubelet")])).toMatchObject({
        code: 0,
        stderr: "",
      });
    }
    const set = findSet(join(copy, "kubelet"));
    expect(set?.key).toBe(key);
    if (set !== undefined) promiseMatching(set);
    expect(lstatSync(join(copy, ".kubelet.set/current")).isSymbolicLink()).toBe(true);
    expect(readdirSync(join(copy, ".kubelet.set")).filter((name) => /^\d/.test(name))).toHaveLength(2);
  });
});

test("issue-cert --if-due issues again when --ca-chain is added or left out", async () => {
  await using host = await hostWithToken();
  const run = async (...flags: string[]) =>
    (await host.run("issue-cert", ["--if-due", ...flags, sign, "kubelet", host.destination])).stdout;
  expect(await run()).toContain("issued (there is none yet)");
  expect(await run("--ca-chain")).toContain("issued (the CA file is to hold also the CAs above the mount's)");
  expect(await run("--ca-chain")).toContain("is not due");
  expect(await run()).toContain("issued (the CA file is to hold the mount's CAs alone)");
});

test("issue-cert notes when it can't wake programs that watch the old files, and succeeds", async () => {
  await using host = await hostWithToken();
  const args = ["-p", host.config, sign, "kubelet", host.destination];
  expect((await host.run("issue-cert", args.slice(2))).code).toBe(0);
  const { code, stdout, stderr } = await trace([await scriptPath("issue-cert"), ...args], {
    env: host.env,
    folder: host.path,
    fault: { call: "lchown", nth: 1, what: "error=EPERM" },
  });
  expect([code, stderr]).toEqual([
    0,
    `issue-cert: can't wake programs that watch ${host.destination}.pem: the system does not permit it (EPERM)\n`,
  ]);
  expect(stdout).toContain("kubelet.pem issued");
});

test("issue-cert notes when the role does not grant an organisation, and succeeds", async () => {
  await using host = await hostWithToken();
  const args = ["--if-due", "-n", "mine,system:nodes", sign, "kubelet", host.destination];
  const first = await host.run("issue-cert", args);
  expect(first.stderr).toBe('issue-cert: the role decides the organisation, and did not take "mine"\n');
  expect((await host.run("issue-cert", args)).stdout).toContain("is not due");
});

test("issue-cert refuses a relative destination in a working folder that was removed", async () => {
  await using host = await hostWithToken();
  const gone = join(host.path, "gone");
  mkdirSync(gone);
  const command = `cd "$1" && rmdir "$1" && exec "$2" -p "$3" ${sign} kubelet here`;
  const child = Bun.spawn(["sh", "-c", command, "sh", gone, await scriptPath("issue-cert"), host.config], {
    env: { ...host.env, PATH: process.env.PATH ?? "" },
    stdout: "pipe",
    stderr: "pipe",
  });
  expect(await child.stderr.text()).toContain("the working folder no longer exists");
  expect(await child.exited).toBe(78);
});

test("renew-token refuses an address with more than scheme, host and port, and sends nothing", async () => {
  await using host = await hostWithToken();
  for (const more of ["/vault", "/?a=b"]) {
    const { code, stderr } = await host.run("renew-token", [], {
      VAULT_ADDR: `${host.relay.address}${more}`,
    });
    expect(code).toBe(78);
    expect(stderr).toContain("holds more than scheme, host and port");
  }
  expect(host.relay.passed).toEqual([]);
});

test("renew-token with another role's init token names VAULT_INIT_ROLE", async () => {
  await using host = startHost(cluster.address);
  host.put("init-token", await cluster.initToken("etcd"));
  const { code, stderr } = await host.run("renew-token");
  expect(code).toBe(77);
  expect(stderr).toContain("may be for another role; check VAULT_INIT_ROLE");
  rmSync(join(host.config, "init-token"));
});

describe("issue-cert onto a file that is a mount point", () => {
  test.each(["kubelet-key.pem", "kubelet.pem", "kubelet-ca.pem"])("names the mount: %s", async (name) => {
    await using host = await hostWithToken();
    expect((await host.run("issue-cert", [sign, "kubelet", host.destination])).code).toBe(0);
    // Plain files, as on a container's volume.
    const ssl = join(host.path, "ssl");
    const plain = join(host.path, "plain");
    execFileSync("cp", ["-rL", ssl, plain]);
    rmSync(join(plain, ".kubelet.set"), { recursive: true });
    const file = join(plain, name);
    const words = 'mount --bind "$0" "$0" && exec "$@"';
    const unshare = ["unshare", process.getuid?.() === 0 ? "-m" : "-rm", "sh", "-c", words, file];
    const issue = [
      await scriptPath("issue-cert"),
      "-p",
      host.config,
      sign,
      "kubelet",
      join(plain, "kubelet"),
    ];
    const { code, stderr } = await runCommand([...unshare, ...issue], { env: host.env });
    expect(code).toBe(73);
    expect(stderr).toContain(`can't write ${file}: it is a mount of its own, or in use (EBUSY)`);
    expect(stderr).not.toContain("/proc/");
    expect(stderr).toContain("mount its folder instead");
    expect(await host.run("issue-cert", [sign, "kubelet", join(plain, "kubelet")])).toMatchObject({
      code: 0,
    });
  });
});
