import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensureBuilt } from "../../tools/build.ts";
import { environmentLines } from "../host/environment-lines.ts";
import { until } from "../support/wait.ts";
import { demoSite, describeBooted } from "./bootable.ts";
import { runningEtcd } from "./etcd-host.ts";
import { createHost, dropIn, manifest } from "./host.ts";
import type { Machine } from "./machine.ts";
import { isQuiet } from "./timers.ts";

const minute = 60_000;

describeBooted("status on a booted machine", () => {
  const site = demoSite();
  let host: Machine;
  beforeAll(async () => {
    const { installed, demo } = site;
    host = await createHost(installed, {
      address: demo.server.address,
      enabled: ["token-renewal.timer", "cert.timer", "etcd.service"],
      files: {
        "/etc/vault/init-token": { content: `${demo.initToken}\n`, mode: 0o600 },
        "/etc/vault/certs.d/etcd.toml": { content: manifest() },
        ...runningEtcd(),
      },
    });
    copyFileSync(join(await ensureBuilt(), "status"), `${host.disk}/usr/local/bin/status`);
    await host.boot();
    expect(await host.settled()).toBe("running");
  }, 5 * minute);
  afterAll(() => host[Symbol.asyncDispose]());

  const status = async () => {
    // As an admin would, with the variables in the units' file.
    const { code, stdout, stderr } = await host.run("/usr/local/bin/status", "--json");
    if (stdout === "") throw new Error(stderr);
    const all = JSON.parse(stdout);
    return { code, state: all.state, units: all.units };
  };
  const well = { state: "ok", reasons: [], mend: null, exitCode: 0 };

  test("lists both timers with their last and next run, and ends with 0", async () => {
    const { code, state, units } = await status();
    const ran = {
      ...well,
      lastRunAt: expect.any(String),
      nextRunAt: expect.any(String),
      nextRunInSeconds: expect.any(Number),
    };
    expect({ code, state, units }).toEqual({
      code: 0,
      state: "ok",
      units: [
        { ...ran, unit: "cert.timer" },
        { ...ran, unit: "token-renewal.timer" },
      ],
    });
    for (const { lastRunAt, nextRunInSeconds } of units) {
      expect(Math.abs(Date.now() - Date.parse(lastRunAt))).toBeLessThan(5 * minute);
      expect([nextRunInSeconds > 0, nextRunInSeconds <= 2 * 86_400]).toEqual([true, true]);
    }
  });

  test("reports a stopped timer, and how to start it", async () => {
    await host.output("systemctl", "stop", "cert.timer");
    const { code, units } = await status();
    expect(code).toBe(1);
    expect(units[0]).toMatchObject({
      unit: "cert.timer",
      state: "wrong",
      reasons: ["it is enabled but stopped: nothing is renewed automatically"],
      mend: "systemctl start cert.timer",
      nextRunAt: null,
    });
    await host.output(...units[0].mend.split(" "));
    expect((await status()).code).toBe(0);
  });

  test("reports a manifest without an enabled timer, and how to enable one", async () => {
    const timers = ["cert.timer", "token-renewal.timer"];
    await host.output("systemctl", "disable", "--now", ...timers);
    const disabled = await status();
    expect(disabled).toMatchObject({
      code: 1,
      state: "wrong",
      units: [
        {
          unit: "cert.timer",
          state: "wrong",
          reasons: ["it is not enabled: nothing renews etcd"],
          mend: "systemctl enable --now cert.timer",
        },
        {
          unit: "token-renewal.timer",
          state: "wrong",
          reasons: ["it is not enabled: nothing renews the token"],
          mend: "systemctl enable --now token-renewal.timer",
        },
      ],
    });
    const { stdout } = await host.run("/usr/local/bin/status");
    expect(stdout).toEndWith(`to fix it: systemctl enable --now ${timers.join(" ")}\n`);

    await host.output("systemctl", "start", "cert.timer");
    expect((await status()).units[0]).toMatchObject({
      state: "wrong",
      reasons: ["it is not enabled, so it runs only until the next boot: nothing renews etcd"],
    });
    await host.output("systemctl", "stop", "cert.timer");

    await host.output("systemctl", "enable", "--now", "cert@etcd.timer");
    expect(await status()).toMatchObject({
      code: 0,
      units: [
        { unit: "cert.timer", state: "ok", reasons: ["not enabled"] },
        { unit: "cert@etcd.timer", state: "ok", reasons: [] },
        { unit: "token-renewal.timer", state: "ok", reasons: ["not enabled"] },
      ],
    });
    await host.output("systemctl", "disable", "--now", "cert@etcd.timer");

    // A timer of the admin's own in place of ours.
    const own = "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n";
    const run =
      "[Service]\nType=oneshot\nExecStart=/usr/local/bin/issue-cert --config-dir /etc/vault/certs.d/\n";
    writeFileSync(`${host.disk}/etc/systemd/system/nightly.timer`, own);
    writeFileSync(`${host.disk}/etc/systemd/system/nightly.service`, run);
    await host.output("systemctl", "daemon-reload");
    await host.output("systemctl", "enable", "--now", "nightly.timer");
    expect((await status()).code).toBe(0);
    await host.output("systemctl", "disable", "--now", "nightly.timer");
    expect((await status()).code).toBe(1);
    await host.output("mkdir", "-p", "/etc/cron.d");
    writeFileSync(
      `${host.disk}/etc/cron.d/certificates`,
      "0 3 * * * root issue-cert --config-dir /etc/vault/certs.d\n",
    );
    expect((await status()).code).toBe(0);
    await host.output("rm", "/etc/cron.d/certificates");

    const [enable = "", ...words] = disabled.units[0].mend.split(" ");
    await host.output(enable, ...words, "token-renewal.timer");
    expect((await status()).code).toBe(0);
    expect(await host.settled()).toBe("running");
  });

  test("needs no timer without manifests", async () => {
    await host.output("systemctl", "disable", "--now", "cert.timer", "token-renewal.timer");
    await until(() => isQuiet(host));
    await host.output("mv", "/etc/vault/certs.d", "/etc/vault/away");
    expect(await status()).toMatchObject({ code: 0, units: [{ state: "ok" }, { state: "ok" }] });
    await host.output("mv", "/etc/vault/away", "/etc/vault/certs.d");
    await host.output("systemctl", "enable", "--now", "cert.timer", "token-renewal.timer");
    await until(() => isQuiet(host));
    expect((await status()).code).toBe(0);
  });

  test("suggests the journal of a failed service, and a start once the cause is gone", async () => {
    const path = "/etc/vault/certs.d/other.toml";
    const other = (mount: string) =>
      writeFileSync(
        host.disk + path,
        manifest({ sign_path: `"demo/pki/${mount}/sign/server"`, destination: '"/etc/etcd/ssl/other"' }),
      );
    other("k8s");
    expect((await host.run("systemctl", "start", "cert.service")).code).not.toBe(0);
    expect((await status()).units[0]).toMatchObject({
      unit: "cert.timer",
      state: "wrong",
      exitCode: 77,
      reasons: ["its last run failed (exit code 77)"],
      mend: "journalctl --unit cert.service",
    });
    // The service manager reports whole seconds.
    await Bun.sleep(1100);
    other("etcd-k8s");
    const { units } = await status();
    expect(units[0]).toMatchObject({ exitCode: 77, mend: "systemctl start cert.service" });
    await host.output(...units[0].mend.split(" "));
    await until(() => isQuiet(host));
    expect((await status()).code).toBe(0);
    await host.output("rm", path);
  });

  test("reads a file of variables as this systemd does", async () => {
    const unit = [
      "systemd-run",
      "--pipe",
      "--wait",
      "-q",
      "-p",
      "EnvironmentFile=/etc/vault/lines",
      "env",
      "-0",
    ];
    for (const [lines, variables] of Object.entries(environmentLines)) {
      writeFileSync(`${host.disk}/etc/vault/lines`, lines);
      const all = (await host.output(...unit)).split("\0").map((it) => it.split(/=(.*)/s, 2));
      const theirs = all.filter(([name = ""]) => /^(A|1A|Ä|export)/.test(name));
      expect({ lines, theirs: Object.fromEntries(theirs) }).toEqual({ lines, theirs: variables });
    }
  });

  test("reports a service that has failed or is being retried", async () => {
    const unit = "token-renewal.service";
    const fail = async (exitCode: number) => {
      for (const [path, { content }] of Object.entries(
        dropIn(unit, `[Service]\nExecStart=\nExecStart=/bin/sh -c "exit ${exitCode}"\n`),
      )) {
        await host.output("sh", "-c", `mkdir -p $(dirname ${path}) && printf '%s' '${content}' > ${path}`);
      }
      await host.output("systemctl", "daemon-reload");
      expect((await host.run("systemctl", "start", unit)).code).not.toBe(0);
    };
    await fail(77);
    expect(await status()).toMatchObject({
      code: 1,
      units: [
        { state: "ok" },
        {
          unit: "token-renewal.timer",
          state: "wrong",
          reasons: ["its last run failed (exit code 77)", "its cause seems to be fixed"],
          mend: `systemctl start ${unit}`,
          exitCode: 77,
        },
      ],
    });
    await fail(75);
    expect(await status()).toMatchObject({
      code: 2,
      units: [
        { state: "ok" },
        { state: "due", reasons: ["its last run failed (exit code 75), and will be tried again"] },
      ],
    });
    await host.output("sh", "-c", `rm -r /etc/systemd/system/${unit}.d && systemctl daemon-reload`);
    await host.output("systemctl", "restart", unit);
    expect((await status()).code).toBe(0);
  });
});
