import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openssl } from "../support/openssl.ts";
import { until } from "../support/wait.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { findKubernetes } from "./programs.ts";

const kubernetes = await findKubernetes();
const missing = "missing" in kubernetes ? kubernetes.missing : undefined;
if (missing !== undefined) console.error(`kubectl's tests are skipped: ${missing}`);

const admin = "demo/pki/k8s/sign/admin";

describe.skipIf(missing !== undefined)("kubectl, with a kubeconfig for a real API server,", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    if (!("missing" in kubernetes)) plane = await startControlPlane(kubernetes);
  }, 300_000);
  afterAll(() => plane?.[Symbol.asyncDispose]());

  const file = (name: string) => join(plane.folder, name);
  const read = (name: string) => readFileSync(file(name), "utf8");

  async function kubectl(config: string, ...args: string[]) {
    const path = "missing" in kubernetes ? "" : kubernetes.kubectl;
    const child = Bun.spawn([path, `--kubeconfig=${file(config)}`, "--request-timeout=20s", ...args], {
      env: { PATH: "/usr/bin:/bin", HOME: plane.folder },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, out, errors };
  }

  async function write(config: string, ...flags: string[]) {
    const paths = [file(`ssl/${config}`), file(config)];
    const run = await plane.run(
      "write-kubeconfig",
      "--server",
      plane.server,
      ...flags,
      admin,
      "admin",
      ...paths,
    );
    expect(run).toMatchObject({ code: 0, stderr: "" });
  }

  async function expectNamespaces(config: string, ...flags: string[]) {
    const { code, out, errors } = await kubectl(config, "get", "ns", "-o", "name", ...flags);
    expect([code, errors]).toEqual([0, ""]);
    expect(out.split("\n")).toContain("namespace/kube-system");
  }

  test.each([
    ["embedded", "ec", []],
    ["embedded-rsa", "rsa", ["-t", "rsa"]],
    ["embedded-ed25519", "ed25519", ["-t", "ed25519"]],
    ["by-path", "ec", ["--no-embed"]],
  ])(
    "gets namespaces as an admin, and again after renewals: %s, key %s",
    async (config, _type, flags) => {
      await write(config, ...flags);
      const first = read(config);
      await expectNamespaces(config);
      const certificate = read(`ssl/${config}.pem`);
      for (const more of [[], ["--force"]]) {
        await write(config, ...flags, ...more);
        await expectNamespaces(config);
      }
      expect(read(`ssl/${config}.pem`)).not.toBe(certificate);
      expect(read(config) === first).toBe(config === "by-path");
    },
    60_000,
  );

  test("accepts it and has the identity that it names", async () => {
    await write("valid");
    const view = await kubectl("valid", "config", "view", "--raw", "--minify", "-o", "json");
    expect([view.code, view.errors]).toEqual([0, ""]);
    const data = (name: string) => Buffer.from(read(`ssl/valid${name}`)).toString("base64");
    const found: unknown = JSON.parse(view.out);
    expect(found).toMatchObject({
      kind: "Config",
      apiVersion: "v1",
      "current-context": "demo",
      clusters: [
        {
          name: "demo",
          cluster: { server: plane.server, "certificate-authority-data": data("-ca.pem") },
        },
      ],
      contexts: [{ name: "demo", context: { cluster: "demo", namespace: "kube-system", user: "demo" } }],
      users: [
        {
          name: "demo",
          user: { "client-certificate-data": data(".pem"), "client-key-data": data("-key.pem") },
        },
      ],
    });
    const who = JSON.parse((await kubectl("valid", "auth", "whoami", "-o", "json")).out);
    expect(who.status.userInfo).toMatchObject({
      username: "admin",
      groups: ["system:masters", "system:authenticated"],
    });
  }, 60_000);

  test("is refused without a certificate or with one of another CA, and refuses a server of another CA", async () => {
    await write("refused");
    for (const name of ["none", "other", "server"]) copyFileSync(file("refused"), file(name));
    await kubectl("none", "config", "unset", "users");
    // Without a certificate, kubectl asks for a name and a password.
    await kubectl("none", "config", "set-credentials", "demo", "--token=none");
    const none = await kubectl("none", "get", "ns");
    expect([none.code, none.errors]).toEqual([1, expect.stringContaining("Unauthorized")]);

    const etcd = ["--client-certificate=ssl/etcd-client.pem", "--client-key=ssl/etcd-client-key.pem"];
    await kubectl("other", "config", "set-credentials", "demo", "--embed-certs", ...etcd.map(absolute));
    const other = await kubectl("other", "get", "ns");
    expect([other.code, other.errors]).toEqual([1, expect.stringContaining("Unauthorized")]);

    const ca = absolute("--certificate-authority=ssl/etcd-ca.pem");
    await kubectl("server", "config", "set-cluster", "demo", "--embed-certs", ca);
    expect((await kubectl("server", "get", "ns")).errors).toContain(
      "certificate signed by unknown authority",
    );
  }, 60_000);

  /** The path for a flag, relative to the folder. */
  function absolute(flag: string): string {
    return flag.replace("=", `=${plane.folder}/`);
  }

  test("keeps its own context beside a merged one, and its own changes stay", async () => {
    await kubectl("merged", "config", "set-cluster", "other", "--server=https://other.example.com:6443");
    await kubectl("merged", "config", "set-credentials", "on", "--token=00123");
    await kubectl("merged", "config", "set-context", "other", "--cluster=other", "--user=on");
    await kubectl("merged", "config", "use-context", "other");
    const before = JSON.parse(
      (await kubectl("merged", "config", "view", "--raw", "--minify", "-o", "json")).out,
    );
    await write("merged", "--merge", "--user-name", "no");
    const after = JSON.parse(
      (await kubectl("merged", "config", "view", "--raw", "--minify", "-o", "json")).out,
    );
    expect(after).toEqual(before);
    await expectNamespaces("merged", "--context=demo");
    await kubectl("merged", "config", "use-context", "demo");
    const text = read("merged");
    await write("merged", "--merge", "--if-due", "--user-name", "no");
    expect(read("merged")).toBe(text);
    await expectNamespaces("merged");
  }, 60_000);

  test("meets an API server that serves each renewed certificate at once, without a restart", async () => {
    const { host } = new URL(plane.server);
    const served = () => {
      const shown = openssl(["s_client", "-connect", host]);
      return new X509Certificate(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/.exec(shown)?.[0] ?? "")
        .serialNumber;
    };
    for (let renewals = 0; renewals < 3; renewals++) {
      const serial = await plane.renewServer();
      await until(() => served() === serial);
    }
  }, 60_000);

  test("uses the service account key and the encryption config that set-up made", async () => {
    await write("secrets");
    const run = (...args: string[]) => kubectl("secrets", ...args);
    expect((await run("create", "serviceaccount", "robot")).code).toBe(0);
    const token = (await run("create", "token", "robot")).out.trim();
    copyFileSync(file("secrets"), file("robot"));
    await kubectl("robot", "config", "unset", "users");
    await kubectl("robot", "config", "set-credentials", "demo", `--token=${token}`);
    expect((await kubectl("robot", "auth", "whoami")).out).toContain(
      "system:serviceaccount:kube-system:robot",
    );
    expect((await run("create", "secret", "generic", "s", "--from-literal=a=kept-secret")).code).toBe(0);
    expect((await run("get", "secret", "s", "-o", "jsonpath={.data.a}")).out).toBe(btoa("kept-secret"));
  }, 60_000);
});
