import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { runScript } from "../support/script.ts";
import { isOneSentence, type Stage, setStage, signPath } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());
beforeEach(() => stage.relay.reset());

/** Strings that a server would read as another path, or as none. */
const otherPaths = [
  "",
  " ",
  "/",
  "a/",
  "a//b",
  "a/../b",
  "a/./b",
  "..",
  "a%2fb",
  "a%2e%2e",
  "a\nb",
  "a\r\nHost: b",
  "a\tb",
  "a\\b",
  "a?b=c",
  "a#b",
  "a;b\u0000".slice(0, 3).concat("\u007f"),
  "a\u202eb",
] as const;

/** Expects the script to end with one sentence and without a request. */
async function expectRefused(result: Awaited<ReturnType<typeof runScript>>, code: number): Promise<void> {
  expect(result).toMatchObject({ code, stdout: "" });
  expect(isOneSentence(result)).toBe(true);
  expect(stage.relay.passed).toEqual([]);
}

describe("a cluster id is refused without a request:", () => {
  const ids = [...otherPaths, "-a", "1a", "aB", "a_b", "a.b", "a b", "münchen", "demo*", "a".repeat(64)];
  test.each(ids.map((id) => [JSON.stringify(id), id] as const))("%s", async (_, id) => {
    for (const script of ["setup-mounts", "write-roles"]) {
      await expectRefused(await runScript(script, ["--", id], { env: stage.admin }), 64);
    }
  });
});

describe("a sign path is refused without a request:", () => {
  const paths = [...otherPaths, `/${signPath}`, `${signPath}/`, signPath.replace("/pki", "/../demo/pki")];
  test.each(paths.map((path) => [JSON.stringify(path), path] as const))("%s", async (_, path) => {
    using folder = temporaryFolder();
    const args = ["--", path, "etcd-1", join(folder.path, "etcd")];
    await expectRefused(await runScript("issue-cert", args, { env: stage.admin }), 64);
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

test.each([
  ["unicode", "démo/pki/k8s/sign/kubelet"],
  ["a space", "demo/pki/a b/sign/kubelet"],
  ["ten thousand characters", `demo/pki/k8s/sign/${"x".repeat(10_000)}`],
])("a sign path with %s reaches the server as it was written", async (_, path) => {
  using folder = temporaryFolder();
  const result = await runScript("issue-cert", [path, "etcd-1", join(folder.path, "etcd")], {
    env: stage.admin,
  });
  expect(result).toMatchObject({ code: 78, stdout: "" });
  expect(stage.relay.passed[0]).toEqual({ method: "POST", path });
});

describe("a role for the init token is refused without a request, and the init token is kept:", () => {
  const roles = [
    ...otherPaths,
    "demo-worker/x",
    "../roles/demo-worker",
    "demo-worker ",
    "demo-wörker",
    ".",
    "-",
  ];
  test.each(roles.filter((role) => role !== "").map((role) => [JSON.stringify(role), role] as const))(
    "%s",
    async (_, role) => {
      using folder = temporaryFolder();
      const initToken = await stage.server.initToken("worker");
      writeFileSync(join(folder.path, "init-token"), initToken, { mode: 0o600 });
      const args = ["--config-path", folder.path];
      const env = { VAULT_ADDR: stage.relay.address };
      const byFlag = await runScript("renew-token", [...args, `--init-role=${role}`], { env });
      await expectRefused(byFlag, 78);
      const shown = JSON.stringify(role).replaceAll(/\p{Cc}|\p{Bidi_C}/gu, "\ufffd");
      expect(byFlag.stderr).toContain(`${shown} is not the name of a token role`);
      await expectRefused(
        await runScript("renew-token", args, { env: { ...env, VAULT_INIT_ROLE: role } }),
        78,
      );
      expect(readFileSync(join(folder.path, "init-token"), "utf8")).toBe(initToken);
    },
  );
});

describe("a name is refused without a request:", () => {
  const cases: ReadonlyArray<readonly [flag: string, values: readonly string[]]> = [
    ["common name", ["", "  ", "a".repeat(266), "a\nb", "a\u001b[2Jb", "a\u202eb", "a\u200bb"]],
    [
      "--san-hosts",
      [
        ...["a,,b", ",", "münchen.example", "a b", "a\nb", "a/b", "a/../b", "a;b", 'a"b', "a\\b", "a\u202eb"],
        ...["10.0.0.1", "::1", "fe80::1", "a".repeat(254)],
      ],
    ],
    [
      "--ip-sans",
      [
        ...["example.com", "10.0.0.0/8", "10.0.0", "010.0.0.1", "10.0.0.256", "1.2.3.4.5", "0x0a000001"],
        ...[
          "fe80::1%eth0",
          "::ffff:10.0.0.1%1",
          "[::1]",
          "::1::",
          "10.0.0.1:80",
          "1,,2",
          "10.0.0.1\n10.0.0.2",
        ],
      ],
    ],
    ["--organisation", ["a,,b", "a".repeat(65), "a\nb"]],
  ];
  const rows = cases.flatMap(([flag, values]) =>
    values.map((value) => [flag, JSON.stringify(value).slice(0, 40), value] as const),
  );
  test.each(rows)("%s %s", async (flag, _, value) => {
    using folder = temporaryFolder();
    const flags = flag.startsWith("--") ? [`${flag}=${value}`] : [];
    const commonName = flag.startsWith("--") ? "etcd-1" : value;
    const args = [...flags, "--", signPath, commonName, join(folder.path, "etcd")];
    await expectRefused(await runScript("issue-cert", args, { env: stage.admin }), 64);
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

describe("a name is accepted:", () => {
  async function issue(folder: string, commonName: string, ...flags: string[]) {
    const args = [...flags, "--", signPath, commonName, join(folder, "etcd")];
    const result = await runScript("issue-cert", args, { env: stage.admin });
    expect(result).toMatchObject({ code: 0, stderr: "" });
    return new X509Certificate(readFileSync(join(folder, "etcd.pem")));
  }

  test.each([
    ["a host name's form of an international name", "xn--mnchen-3ya.example"],
    ["a wildcard", "*.example.com"],
    ["an address in reverse, which is a host name", "1.0.0.10.in-addr.arpa"],
    ["one of 63 characters in each part", `${"a".repeat(63)}.${"b".repeat(63)}.example`],
  ])("%s", async (_, name) => {
    using folder = temporaryFolder();
    const certificate = await issue(folder.path, "etcd-1", "-s", name);
    expect(certificate.subjectAltName).toContain(`DNS:${name}`);
  });

  test.each([
    ["10.0.0.1", "10.0.0.1"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["FD00:0:0::1", "FD00:0:0:0:0:0:0:1"],
  ])("the address %s", async (address, written) => {
    using folder = temporaryFolder();
    const certificate = await issue(folder.path, "etcd-1", "-i", address);
    expect(certificate.subjectAltName).toContain(`IP Address:${written}`);
  });

  test.each(["münchen", "日本", "*.example", "10.0.0.1", `${"a".repeat(60)}.com`])(
    "the common name %s",
    async (name) => {
      using folder = temporaryFolder();
      expect((await issue(folder.path, name)).subject).toBe(`CN=${name}`);
    },
  );

  test("five hundred names at once, and the certificate is not due afterwards", async () => {
    using folder = temporaryFolder();
    const names = Array.from({ length: 500 }, (_, i) => `host-${i}.a-rather-long-name.example.com`);
    const flags = ["-s", names.join(","), "-i", "10.0.0.1,fd00::1"];
    const certificate = await issue(folder.path, "etcd-1", ...flags);
    for (const name of names) expect(certificate.subjectAltName).toContain(`DNS:${name}`);
    stage.relay.reset();
    expect((await issue(folder.path, "etcd-1", "--if-due", ...flags)).serialNumber).toBe(
      certificate.serialNumber,
    );
    expect(stage.relay.writes()).toEqual([]);
  });
});

test("names that the role does not sign leave nothing behind", async () => {
  using folder = temporaryFolder();
  const path = "demo/pki/k8s/sign/kubelet";
  const args = [path, "kubelet", join(folder.path, "kubelet"), "-s", "host.example.org"];
  const result = await runScript("issue-cert", args, { env: stage.admin });
  expect(result).toMatchObject({ code: 65, stdout: "" });
  expect(isOneSentence(result)).toBe(true);
  expect(existsSync(join(folder.path, "kubelet.pem"))).toBe(false);
});
