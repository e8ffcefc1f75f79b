import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensureBuilt } from "../../tools/build.ts";
import { environmentLines } from "../host/environment-lines.ts";
import { demoSite, describeBooted } from "./bootable.ts";
import { runningEtcd } from "./etcd-host.ts";
import { createHost, dropIn, manifest } from "./host.ts";
import type { Machine } from "./machine.ts";

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
    // As an admin calls it: the variables are in the units' file.
    const { code, stdout, stderr } = await host.run("/usr/local/bin/status", "--json");
    if (stdout === "") throw new Error(stderr);
    const all = JSON.parse(stdout);
    return { code, state: all.state, units: all.units };
  };
  const well = { state: "ok", reasons: [], mend: null, exitCode: 0 };

  test("tells both timers, with their last run and the next one, and ends with 0", async () => {
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

  test("tells a timer that is stopped, and how it is started", async () => {
    await host.output("systemctl", "stop", "cert.timer");
    const { code, units } = await status();
    expect(code).toBe(1);
    expect(units[0]).toMatchObject({
      unit: "cert.timer",
      state: "wrong",
      reasons: ["it is enabled and stopped: nothing is renewed by itself"],
      mend: "systemctl start cert.timer",
      nextRunAt: null,
    });
    await host.output(...units[0].mend.split(" "));
    expect((await status()).code).toBe(0);
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

  test("tells a service that has failed, or is tried again", async () => {
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
          reasons: ["its last run failed (exit code 77)"],
          mend: `journalctl --unit ${unit}`,
          exitCode: 77,
        },
      ],
    });
    await fail(75);
    expect(await status()).toMatchObject({
      code: 2,
      units: [
        { state: "ok" },
        { state: "due", reasons: ["its last run failed (exit code 75), and is tried again"] },
      ],
    });
    await host.output("sh", "-c", `rm -r /etc/systemd/system/${unit}.d && systemctl daemon-reload`);
    await host.output("systemctl", "restart", unit);
    expect((await status()).code).toBe(0);
  });
});
