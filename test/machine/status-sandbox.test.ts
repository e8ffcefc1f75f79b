import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { ensureBuilt } from "../../tools/build.ts";
import { makeCertificates } from "../support/certificates.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/wait.ts";
import { describeBooted } from "./bootable.ts";
import { createHost, type HostFile, install, manifest, timers, writeHostFile } from "./host.ts";
import type { Machine } from "./machine.ts";
import { type DemoServer, startDemoServer } from "./server.ts";
import { isQuiet } from "./timers.ts";

const minute = 60_000;
const path = "/etc/vault/certs.d/web.toml";
const hook = { content: "#!/bin/sh\ntouch /run/hooked\n", mode: 0o755 };

interface Fault {
  /** Commands that an admin runs first. */
  readonly before?: string;
  readonly destination?: string;
  readonly fields?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, HostFile>>;
  /** The path that status reports as hidden. */
  readonly path: string;
  readonly units?: readonly string[];
}

const both = ["cert.service", "cert-hooks.service"];
const faults: Readonly<Record<string, Fault>> = {
  "a destination in another folder": {
    before: "install -d /srv/tls",
    destination: "/srv/tls/web",
    path: "/srv/tls",
  },
  "a destination whose folder is missing": { destination: "/srv/none/tls/web", path: "/srv/none/tls" },
  "a missing destination that the units bind": {
    destination: "/etc/kubernetes/ssl/web",
    path: "/etc/kubernetes/ssl",
  },
  "a destination in root's home": {
    before: "install -d /root/tls",
    destination: "/root/tls/web",
    path: "/root/tls",
  },
  "a destination in /tmp": { before: "install -d /tmp/tls", destination: "/tmp/tls/web", path: "/tmp/tls" },
  "a destination that is hidden from hooks": {
    before: "install -d /etc/ssl/private",
    destination: "/etc/ssl/private/web",
    path: "/etc/ssl/private",
  },
  "a destination behind a link": {
    before: "install -d /srv/behind /etc/kubernetes/ssl; ln -s /srv/behind /etc/kubernetes/ssl/link",
    destination: "/etc/kubernetes/ssl/link/web",
    path: "/srv/behind",
  },
  "the program of a hook": {
    fields: { on_change: '[["/srv/bin/hook"]]' },
    files: { "/srv/bin/hook": hook },
    path: "/srv/bin/hook",
    units: ["cert.service"],
  },
};

describeBooted("status on a booted machine, for paths outside a unit's sandbox,", () => {
  const held = new AsyncDisposableStack();
  let demo: DemoServer;
  let host: Machine;
  beforeAll(async () => {
    const tls = makeCertificates(held.use(temporaryFolder()).path, "vault");
    const [installed, server] = await Promise.all([install(), startDemoServer({ tls })]);
    held.use(installed);
    demo = held.use(server);
    host = await createHost(installed, {
      address: demo.server.address,
      enabled: timers,
      files: {
        "/etc/vault/init-token": { content: `${demo.initToken}\n`, mode: 0o600 },
        "/etc/vault/config": { content: config("/etc/vault/ca.pem"), mode: 0o600 },
        "/etc/vault/ca.pem": { content: tls.ca },
        "/etc/vault/certs.d/etcd.toml": { content: manifest({ reload: "[]" }) },
      },
    });
    copyFileSync(join(await ensureBuilt(), "status"), `${host.disk}/usr/local/bin/status`);
    held.use(host);
    await host.boot();
    expect(await host.settled()).toBe("running");
  }, 5 * minute);
  afterAll(() => held.disposeAsync());

  const config = (caFile: string) =>
    `VAULT_ADDR=${demo.server.address}\nVAULT_INIT_ROLE=demo-etcd\nVAULT_CACERT=${caFile}\n`;

  const status = async () => {
    const { code, stdout, stderr } = await host.run("/usr/local/bin/status", "--json");
    if (stdout === "") throw new Error(stderr);
    return { code, ...JSON.parse(stdout) };
  };
  const shell = (script: string) => host.output("/bin/sh", "-ec", script);

  test("reports nothing for paths inside it", async () => {
    expect(await status()).toMatchObject({ code: 0, sandbox: [] });
  });

  test.each(Object.entries(faults))(
    "reports %s before the unit fails, and suggests a command that fixes it",
    async (_, fault) => {
      const { before = "true", destination = "/etc/etcd/ssl/web", fields, files = {}, units = both } = fault;
      const hooks = { on_change: '[["/bin/touch", "/run/hooked"]]', ...fields };
      const about = {
        destination: `"${destination}"`,
        owner: '"root"',
        group: '"root"',
        reload: "[]",
        ...hooks,
      };
      for (const [name, file] of Object.entries({ ...files, [path]: { content: manifest(about) } }))
        writeHostFile(host.disk, name, file);
      await shell(before);
      try {
        const found = await status();
        expect(found.code).toBe(1);
        expect(found.sandbox).toMatchObject([{ state: "wrong", path: fault.path, manifests: ["web"] }]);
        const [{ mend, units: named }] = found.sandbox;
        expect(units.filter((unit) => !named.includes(unit) && !/private/.test(fault.path))).toEqual([]);
        const web = found.certificates.find(({ name }: { name: string }) => name === "web");
        expect(web?.mend).toBe(mend);

        // Check the report: one of the units fails, or the host doesn't see the certificate.
        await host.run("systemctl", "start", "cert.service");
        await host.run("systemctl", "stop", "hooks-again@cert-hooks.service");
        await host.run("systemctl", "restart", "cert-hooks.service");
        const results = await Promise.all(both.map((unit) => host.show(unit, "Result")));
        const isThere = async () => (await host.run("test", "-s", `${destination}.pem`)).code === 0;
        expect(results.some((it) => it !== "success") || !(await isThere())).toBe(true);
        if (destination.startsWith("/srv/")) {
          const lines = await host.journal(["cert.service"]);
          expect(lines.join("\n")).toContain(`with BindPaths=${fault.path}`);
          const {
            units: [timer],
          } = await status();
          expect(timer).toMatchObject({ unit: "cert.timer", state: "wrong", exitCode: 73, mend });
        }

        await shell(mend);
        expect((await status()).sandbox).toEqual([]);
        await host.output("systemctl", "start", "cert.service");
        await until(() => isQuiet(host));
        await host.run("systemctl", "restart", "cert-hooks.service");
        const after = await status();
        expect({ code: after.code, units: after.units }).toMatchObject({ code: 0 });
        expect(await isThere()).toBe(true);
        await host.output("rm", "/run/hooked");
      } finally {
        await shell(
          `rm -rf ${path} /etc/systemd/system/cert.service.d /etc/systemd/system/cert-hooks.service.d; systemctl daemon-reload
          rm -rf /etc/kubernetes/ssl/link ${destination.replace(/web$/, ".web.set")} ${destination}*; systemctl reset-failed`,
        );
      }
    },
    minute,
  );

  test(
    "reports a CA file, also for the token's unit",
    async () => {
      writeHostFile(host.disk, "/etc/vault/config", { content: config("/srv/ca.pem"), mode: 0o600 });
      await shell("mv /etc/vault/ca.pem /srv/ca.pem");
      const found = await status();
      expect(found.code).toBe(1);
      expect(found.sandbox).toMatchObject([
        { path: "/srv/ca.pem", units: ["cert.service", "token-renewal.service"], manifests: [] },
      ]);
      expect((await host.run("systemctl", "start", "token-renewal.service")).code).not.toBe(0);
      await shell(found.sandbox[0].mend);
      await host.output("systemctl", "start", "token-renewal.service", "cert.service");
      await until(() => isQuiet(host));
      expect(await status()).toMatchObject({ code: 0, sandbox: [] });
    },
    minute,
  );
});
