import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { signPath, startManifestHost } from "../manifest/certs.ts";
import { startCluster } from "../support/cluster-server.ts";
import { startHost } from "../support/host.ts";
import { opensslRsaKey } from "../support/openssl.ts";

// Who may read a key, and how long that stays so.

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const group = process.getuid?.() === 0 ? 4242 : (process.getgid?.() ?? 0);
const asGroup = ["-o", String(process.getuid?.()), "-g", String(group)];

async function start() {
  const host = startHost(cluster.address);
  host.put("token", `${await cluster.hostToken("worker")}\n`);
  return {
    ...host,
    issue: (...args: string[]) => host.run("issue-cert", [...args, signPath, "a", host.destination]),
    [Symbol.asyncDispose]: host[Symbol.asyncDispose],
  };
}

function keyOf(destination: string): string {
  const { mode, gid } = statSync(`${destination}-key.pem`);
  return `${(mode & 0o7777).toString(8)} ${gid === group ? "group" : gid}`;
}

function recordOf(destination: string): string {
  return join(dirname(realpathSync(`${destination}.pem`)), "request.json");
}

describe("issue-cert --key-mode", () => {
  test("lets the group read the key, for every certificate from then on", async () => {
    await using host = await start();
    expect(await host.issue("--key-mode", "0640", ...asGroup)).toMatchObject({ code: 0, stderr: "" });
    expect(keyOf(host.destination)).toBe("640 group");
    expect(statSync(`${host.destination}.pem`).mode & 0o777).toBe(0o644);
    for (const args of [[], ["--force"], ["--if-due"], ["--if-due", "-i", "10.0.0.1"]]) {
      expect(await host.issue(...args)).toMatchObject({ code: 0, stderr: "" });
      expect(keyOf(host.destination)).toBe("640 group");
    }
  });

  test("is restored after a change by hand, in either direction", async () => {
    await using host = await start();
    await host.issue("--key-mode=640", ...asGroup);
    for (const mode of [0o644, 0o600, 0o400]) {
      chmodSync(`${host.destination}-key.pem`, mode);
      const { code, stdout, stderr } = await host.issue("--if-due", ...(mode === 0o600 ? asGroup : []));
      expect([code, stdout]).toEqual([0, expect.stringContaining("is not due")]);
      expect(stderr).toMatch(/owner and mode of .* were set again/);
      expect(keyOf(host.destination)).toBe(mode === 0o400 ? "440 group" : "640 group");
    }
  });

  test("changes a key without a new certificate if none is due, and is remembered", async () => {
    await using host = await start();
    await host.issue(...asGroup);
    expect(keyOf(host.destination)).toBe("600 group");
    const { certificate } = JSON.parse(readFileSync(recordOf(host.destination), "utf8"));
    for (const [mode, shown] of [
      ["0640", "640 group"],
      ["0400", "400 group"],
      ["0440", "440 group"],
      // The owner's right to write comes back.
      ["0640", "640 group"],
    ] as const) {
      const { code, stdout } = await host.issue("--if-due", "--key-mode", mode);
      expect([code, stdout]).toEqual([0, expect.stringContaining("is not due")]);
      expect(keyOf(host.destination)).toBe(shown);
      const record = JSON.parse(readFileSync(recordOf(host.destination), "utf8"));
      expect(record).toMatchObject({ certificate, keyMode: mode });
      expect((await host.issue("--if-due")).stdout).toContain("is not due");
      expect(JSON.parse(readFileSync(recordOf(host.destination), "utf8")).keyMode).toBe(mode);
    }
    expect(host.relay.writes().filter(({ path }) => path === signPath)).toHaveLength(1);
  });

  test.each(["0644", "0660", "0604", "0700", "0", "640 ", "rw-r-----", "06400", "416", ""])(
    "refuses %j, and does nothing",
    async (mode) => {
      await using host = await start();
      const { code, stderr } = await host.issue(`--key-mode=${mode}`);
      expect(code).toBe(64);
      expect(stderr).toContain("mode");
      expect(host.relay.passed).toEqual([]);
    },
  );

  test("can't be used with manifests, which have a field for it", async () => {
    await using host = await startManifestHost(cluster);
    expect(await host.issue("--key-mode", "0640")).toMatchObject({ code: 64 });
  });
});

describe("issue-cert without --key-mode", () => {
  test("takes a plain key away from its group, and says so", async () => {
    await using host = await start();
    mkdirSync(dirname(host.destination));
    const key = `${host.destination}-key.pem`;
    writeFileSync(key, opensslRsaKey(2048), { mode: 0o640 });
    if (group !== 0) chownSync(key, process.getuid?.() ?? 0, group);
    const { code, stderr } = await host.issue();
    expect(code).toBe(0);
    expect(stderr).toContain(`the mode of ${key} was 0640 and is 0600 now: its group can no longer read it`);
    expect(keyOf(host.destination)).toBe("600 group");
    expect(await host.issue()).toMatchObject({ code: 0, stderr: "" });
  });

  test("keeps such a key readable with the flag", async () => {
    await using host = await start();
    mkdirSync(dirname(host.destination));
    const key = `${host.destination}-key.pem`;
    writeFileSync(key, opensslRsaKey(2048), { mode: 0o640 });
    if (group !== 0) chownSync(key, process.getuid?.() ?? 0, group);
    expect(await host.issue("--key-mode", "0640")).toMatchObject({ code: 0, stderr: "" });
    expect(keyOf(host.destination)).toBe("640 group");
  });

  test("accepts only modes that a key may have from a record of another version", async () => {
    await using host = await start();
    await host.issue(...asGroup);
    const path = recordOf(host.destination);
    const record = JSON.parse(readFileSync(path, "utf8"));
    expect(record).not.toHaveProperty("keyMode");
    for (const keyMode of ["0644", 420, "0777", null, {}]) {
      writeFileSync(path, JSON.stringify({ ...record, keyMode }));
      expect(await host.issue("--if-due")).toMatchObject({ code: 0, stderr: "" });
      expect(keyOf(host.destination)).toBe("600 group");
    }
  });
});

describe("key_mode of a manifest", () => {
  test("applies to every certificate, and the default applies again when it is removed", async () => {
    await using host = await startManifestHost(cluster);
    const owner = `owner = "${process.getuid?.()}"\ngroup = "${group}"\n`;
    host.write("a", `${owner}key_mode = "0640"`);
    for (let round = 0; round < 2; round++) {
      expect(await host.issue()).toMatchObject({ code: 0, stderr: "" });
      expect(keyOf(host.destinationOf("a"))).toBe("640 group");
    }
    host.write("a", `${owner}key_mode = "0640"\nsan_hosts = ["other"]`);
    expect((await host.issue()).stdout).toContain("issued");
    expect(keyOf(host.destinationOf("a"))).toBe("640 group");
    host.write("a", owner);
    expect((await host.issue()).code).toBe(0);
    expect(keyOf(host.destinationOf("a"))).toBe("600 group");
    expect(await host.issue()).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("status", () => {
  test("accepts a key that its group may read if that was asked for", async () => {
    await using host = await start();
    await host.issue("--key-mode", "0640", ...asGroup);
    const look = async () =>
      JSON.parse((await host.run("status", ["--json", "--destination", host.destination])).stdout)
        .certificates[0];
    expect(await look()).toMatchObject({ state: "ok", reasons: [] });
    chmodSync(`${host.destination}-key.pem`, 0o600);
    const narrow = await look();
    expect(narrow).toMatchObject({ state: "due", reasons: ["its key's mode is 0600, not 0640"] });
    expect(narrow.mend).toContain("--key-mode 0640");
    chmodSync(`${host.destination}-key.pem`, 0o644);
    expect(await look()).toMatchObject({ state: "due", reasons: ["others may read its key"] });
  });
});

test("write-kubeconfig takes --key-mode for its certificate's key, and keeps the kubeconfig to its owner", async () => {
  await using host = await start();
  const kubeconfig = join(host.path, "kubeconfig");
  const args = ["--key-mode", "0440", signPath, "a", host.destination, kubeconfig];
  expect(await host.run("write-kubeconfig", args)).toMatchObject({ code: 0 });
  expect(statSync(`${host.destination}-key.pem`).mode & 0o777).toBe(0o440);
  expect(statSync(kubeconfig).mode & 0o777).toBe(0o600);
});
