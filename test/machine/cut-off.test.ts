import { expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { demoSite, describeBooted } from "./bootable.ts";
import { createEtcdHost, etcdHealth } from "./etcd-host.ts";
import { changeManifest, destination, filesAsTheyAre, matchingSerial, services, tokenIn } from "./host.ts";

const minute = 60_000;
const cutOffs = Number(process.env.VAULT_HELPER_CUT_OFFS ?? 4);

describeBooted("a machine whose power is cut", () => {
  const site = demoSite();

  test(
    `has matching files after each of ${cutOffs} cut-offs, and its services up after the next boot`,
    async () => {
      await using host = await createEtcdHost(site);
      let [serial, cutBefore, cutAfter] = ["", 0, 0];
      for (let round = 0; round < cutOffs; round++) {
        const name = `round-${round}.example`;
        changeManifest(host.disk, { san_hosts: `["${name}"]` });
        if (round % 2 === 0) {
          // At any point of a boot, also the first one.
          await host.cutOff();
          await host.boot();
          await Bun.sleep(Math.random() * 900);
        } else {
          // While the certificate is issued.
          await host.output("systemctl", "start", "--no-block", "cert.service");
          await Bun.sleep(Math.random() * 600);
        }
        await host.cutOff();
        expect(tokenIn(host.disk, "token") + tokenIn(host.disk, "init-token")).not.toBe("");
        const found = existsSync(`${host.disk}${destination}.pem`) ? matchingSerial(host.disk) : "";
        if (serial !== "") expect(found).not.toBe("");
        if (found === serial) cutBefore++;
        else cutAfter++;

        await host.boot();
        expect(await host.settled()).toBe("running");
        serial = matchingSerial(host.disk);
        const { subjectAltName } = new X509Certificate(readFileSync(`${host.disk}${destination}.pem`));
        expect(subjectAltName).toContain(name);
        for (const unit of services)
          expect([unit, await host.show(unit, "Result")]).toEqual([unit, "success"]);
        expect(await etcdHealth(host)).toContain("is healthy");
        const left = Object.keys(filesAsTheyAre(host.disk, "/etc")).filter((path) => path.includes(".tmp-"));
        expect(left).toEqual([]);
      }
      console.error(`${cutBefore} cut off before the new certificate was there, ${cutAfter} after`);
    },
    minute + cutOffs * 20_000,
  );
});
