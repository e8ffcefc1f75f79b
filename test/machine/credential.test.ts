import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../tools/main.ts";
import { until } from "../support/wait.ts";
import { demoSite, describeBooted } from "./bootable.ts";
import { createHost, dropIn, filesAsTheyAre, manifest, matchingSerial, tokenIn } from "./host.ts";
import type { Machine } from "./machine.ts";

const minute = 60_000;
const units = ["token-renewal.service", "cert.service"];
const exchanged = /the init token was exchanged for a host token, accessor /;
const stored = "/etc/credstore/init-token";

describeBooted("a booted machine whose init token is a credential", () => {
  const site = demoSite();
  let host: Machine;
  beforeAll(async () => {
    const { installed, demo } = site;
    const example = readFileSync(join(ROOT, "units/examples/init-token-credential.conf"), "utf8");
    // The tests start the units more often than the default start limit allows.
    const conf = `[Unit]\nStartLimitIntervalSec=0\n${example}`;
    host = await createHost(installed, {
      address: demo.server.address,
      enabled: ["token-renewal.timer", "cert.timer"],
      files: {
        [stored]: { content: `${demo.initToken}\n`, mode: 0o600 },
        "/etc/vault/certs.d/etcd.toml": { content: manifest({ reload: "[]" }) },
        ...dropIn("token-renewal.service", conf),
        ...dropIn("cert.service", conf),
      },
    });
    await host.boot();
  }, 5 * minute);
  afterAll(() => host[Symbol.asyncDispose]());

  const token = () => readFileSync(`${host.disk}/etc/vault/token`, "utf8").trim();
  const exchanges = async (unit: string) =>
    (await host.journal([unit])).filter((line) => exchanged.test(line));
  const revoke = (one: string) =>
    site.demo.admin.request({
      method: "POST",
      path: "auth/token/revoke",
      body: { token: one },
      capability: "update",
      repeatable: true,
    });

  test("exchanges it at its first boot inside the unit's sandbox, and leaves it there", async () => {
    expect(await host.settled()).toBe("running");
    expect(token()).not.toBe(site.demo.initToken);
    expect(matchingSerial(host.disk)).toMatch(/^[0-9A-F]+$/);
    expect(readFileSync(host.disk + stored, "utf8").trim()).toBe(site.demo.initToken);
    expect(tokenIn(host.disk, "init-token")).toBe("");
  });

  test("doesn't use it while the host token is valid", async () => {
    const [said, files] = [await host.journal(units), filesAsTheyAre(host.disk, "/etc/vault")];
    for (const unit of units) await host.output("systemctl", "start", unit);
    expect(filesAsTheyAre(host.disk, "/etc/vault")).toEqual(files);
    expect(await host.journal(units)).toEqual(said);
  });

  test.each(units)(
    "exchanges it again in %s when the server doesn't know the host token, and when that is missing",
    async (unit) => {
      for (const lose of [() => revoke(token()), async () => rmSync(`${host.disk}/etc/vault/token`)]) {
        const before = token();
        await lose();
        const count = (await exchanges(unit)).length;
        await host.output("systemctl", "start", unit);
        expect(token()).not.toBe(before);
        // The unit may have ended before its last lines are in the journal.
        await until(async () => (await exchanges(unit)).length === count + 1);
      }
    },
    minute,
  );

  test("needs no credential while the host token is valid, and names both places when both are missing", async () => {
    rmSync(host.disk + stored);
    for (const unit of units) await host.output("systemctl", "start", unit);
    rmSync(`${host.disk}/etc/vault/token`);
    expect((await host.run("systemctl", "start", "token-renewal.service")).code).not.toBe(0);
    expect(await host.show("token-renewal.service", "ExecMainStatus")).toBe("77");
    const names =
      /there is no init token at \/etc\/vault\/init-token, nor is there one at \/run\/credentials\/.*\/init-token/;
    await until(async () => (await host.journal(["token-renewal.service"])).some((line) => names.test(line)));
  });
});
