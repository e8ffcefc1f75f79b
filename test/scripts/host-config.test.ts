import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runAsOtherUser } from "../hostile/stage.ts";
import { startCluster } from "../support/cluster-server.ts";
import { type Host, startHost } from "../support/host.ts";
import { runScript } from "../support/script.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const kubelet = ["demo/pki/k8s/sign/kubelet", "system:node:a"] as const;

/** Every host command that asks the server, with an example call. */
const commands: Readonly<Record<string, (host: Host) => readonly [script: string, ...args: string[]]>> = {
  "renew-token": () => ["renew-token"],
  "issue-cert": ({ destination }) => ["issue-cert", ...kubelet, destination],
  "issue-cert of manifests": ({ path }) => ["issue-cert", "--config-dir", join(path, "certs.d")],
  "write-kubeconfig": ({ path, destination }) => [
    "write-kubeconfig",
    ...kubelet,
    destination,
    join(path, "conf"),
  ],
  "read-secret": () => ["read-secret", "demo/secrets/service-accounts"],
};

/** A host with variables only in its configuration, and with an init token. */
async function configuredHost(...more: readonly string[]) {
  const host = startHost(cluster.address);
  const file = join(host.config, "config");
  const lines = [`VAULT_ADDR="${host.relay.address}"`, "VAULT_INIT_ROLE=demo-master", ...more];
  writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 });
  host.put("init-token", await cluster.initToken("master"));
  mkdirSync(join(host.path, "certs.d"), { mode: 0o700 });
  const manifest = `sign_path = "${kubelet[0]}"\ncommon_name = "${kubelet[1]}"\ndestination = "${host.destination}"\n`;
  writeFileSync(join(host.path, "certs.d/kubelet.toml"), manifest, { mode: 0o600 });
  const call = (name: string, env: Readonly<Record<string, string>> = {}) => {
    const [script = "", ...args] = commands[name]?.(host) ?? [];
    return runScript(script, ["--config-path", host.config, ...args], {
      env: { VAULT_MAX_RETRIES: "0", ...env },
    });
  };
  return Object.assign(host, { file, call });
}

/** The paths of requests that made tokens. */
function createdBy({ relay }: Host): string[] {
  return relay.passed.map(({ path }) => path).filter((path) => path.startsWith("auth/token/create"));
}

const names = Object.keys(commands);

describe.each(names)("%s", (name) => {
  test("takes server and role from the host's configuration, with no variable in its environment", async () => {
    await using host = await configuredHost();
    const { code, stderr } = await host.call(name);
    expect([code, stderr]).toEqual([
      0,
      expect.stringContaining("the init token was exchanged for a host token"),
    ]);
    expect(createdBy(host)).toEqual(["auth/token/create/demo-master"]);
    expect(existsSync(join(host.config, "init-token"))).toBe(false);
  });

  test("prefers its environment, as the Go tool's units set it", async () => {
    await using host = await configuredHost("VAULT_ADDR=http://127.0.0.1:1", "BAO_INIT_ROLE=demo-etcd");
    const { code } = await host.call(name, {
      VAULT_ADDR: host.relay.address,
      VAULT_INIT_ROLE: "demo-master",
    });
    expect(code).toBe(0);
    expect(createdBy(host)).toEqual(["auth/token/create/demo-master"]);
  });

  test("takes no token from the configuration", async () => {
    await using host = await configuredHost(
      `VAULT_TOKEN=${cluster.rootToken}`,
      "BAO_TOKEN=x",
      "VAULT_TOKEN_FILE=/x",
    );
    expect((await host.call(name)).code).toBe(0);
    expect(createdBy(host)).toEqual(["auth/token/create/demo-master"]);
  });

  const wrong: ReadonlyArray<readonly [what: string, spoil: (file: string) => void, words: string]> = [
    ["that others can write", (file) => chmodSync(file, 0o620), "can be written by others"],
    ["of another user", (file) => chownSync(file, 65534, 0), "can be written by others"],
    ["that is not a text", (file) => writeFileSync(file, "VAULT_ADDR=\xff\0", "latin1"), "is not UTF-8"],
    [
      "that is a folder",
      (file) => {
        rmSync(file);
        mkdirSync(file);
      },
      "is not a plain file",
    ],
    [
      "that is a link to nothing",
      (file) => {
        rmSync(file);
        symlinkSync("nothing", file);
      },
      "leads to no file",
    ],
  ];
  test.each(wrong)(
    "ends with 78 for a configuration %s, asks no server, and changes nothing",
    async (_, spoil, words) => {
      await using host = await configuredHost();
      spoil(host.file);
      const { code, stderr } = await host.call(name, {
        VAULT_ADDR: host.relay.address,
        VAULT_INIT_ROLE: "demo-master",
      });
      expect([code, stderr]).toEqual([78, expect.stringContaining(`${host.file} `)]);
      expect(stderr).toContain(words);
      expect(host.relay.passed).toEqual([]);
      expect([existsSync(join(host.config, "init-token")), existsSync(`${host.destination}.pem`)]).toEqual([
        true,
        false,
      ]);
    },
  );
});

test("a configuration that is root's own symbolic link is read", async () => {
  await using host = await configuredHost();
  mkdirSync(join(host.path, "default"), { mode: 0o755 });
  await Bun.$`mv ${host.file} ${join(host.path, "default/vault-helper")}`;
  symlinkSync("../default/vault-helper", host.file);
  expect((await host.call("renew-token")).code).toBe(0);
});

test("a configuration that this user may not read is ignored, because it belongs to another user", async () => {
  await using host = await configuredHost();
  for (const path of [host.path, host.config]) chmodSync(path, 0o755);
  const args = ["--config-path", host.config, ...(commands["read-secret"]?.(host) ?? []).slice(1)];
  const env = { VAULT_TOKEN: cluster.rootToken, VAULT_ADDR: host.relay.address };
  const { code, stdout, stderr } = await runAsOtherUser("read-secret", args, env);
  expect([code, stderr]).toEqual([0, ""]);
  expect(JSON.parse(stdout).data.key).toBeString();
});

test("commands that ask no server read no configuration: hooks only, and --check", async () => {
  await using host = await configuredHost();
  chmodSync(host.file, 0o666);
  const [script, ...args] = ["issue-cert", "-p", host.config, "--config-dir", join(host.path, "certs.d")];
  const run = (...more: string[]) => runScript(script ?? "", [...args, ...more]);
  expect((await run("--hooks", "only")).code).toBe(0);
  expect((await run("--check")).code).toBe(2);
});
