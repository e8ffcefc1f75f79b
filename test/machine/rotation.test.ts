import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { age } from "../manifest/host.ts";
import { storedInitToken } from "../support/cluster-server.ts";
import { runScript } from "../support/script.ts";
import { until } from "../support/wait.ts";
import { demoSite, describeBooted } from "./bootable.ts";
import { type EtcdClient, etcdctl } from "./etcd.ts";
import { createEtcdHost, etcdPlaces, runningEtcd } from "./etcd-host.ts";
import { createHost, destination, manifest, manifestPath, timers, writeHostFile } from "./host.ts";
import type { Machine } from "./machine.ts";
import { clientFiles } from "./member.ts";
import { isQuiet } from "./timers.ts";
import { expectWhole, startWriter } from "./writer.ts";

const minute = 60_000;
const rotations = Number(process.env.VAULT_HELPER_ROTATIONS ?? 1);
const isLong = rotations > 1;

describeBooted("etcd on three hosts whose CA is replaced", () => {
  const held = new AsyncDisposableStack();
  const site = demoSite();
  let members: readonly Machine[];
  let client: EtcdClient;

  const clientManifest = (names: string) =>
    `sign_path = "demo/pki/etcd-k8s/sign/client"\ncommon_name = "%H"\ndestination = "${clientFiles}"\n` +
    `san_hosts = ["${names}"]\n`;
  const clientManifestPath = "/etc/vault/certs.d/etcd-client.toml";

  beforeAll(async () => {
    const places = etcdPlaces(3);
    members = await Promise.all(
      places.map(async (place, index) => {
        const hostname = `etcd-${index + 1}`;
        const content = manifest({ reload: "[]", restart_on_ca: '["etcd.service"]' });
        const files = { [manifestPath]: { content }, ...runningEtcd(place) };
        return held.use(await createEtcdHost(site, files, hostname));
      }),
    );
    const address = site.demo.server.address;
    const host = held.use(
      await createHost(site.installed, {
        address,
        hostname: "master-1",
        enabled: timers,
        files: {
          "/etc/vault/config": {
            content: `VAULT_ADDR=${address}\nVAULT_INIT_ROLE=demo-master\n`,
            mode: 0o600,
          },
          "/etc/vault/init-token": {
            content: await storedInitToken(site.demo.admin, "demo", "master"),
            mode: 0o600,
          },
          [clientManifestPath]: { content: clientManifest("first.example") },
        },
      }),
    );
    mkdirSync(host.disk + dirname(clientFiles), { recursive: true });
    await Promise.all([...members, host].map((machine) => machine.boot()));
    for (const machine of [...members, host]) expect(await machine.settled()).toBe("running");
    client = {
      host,
      endpoints: places.map(({ port }) => `https://127.0.0.1:${port}`),
      certificate: clientFiles,
      caFile: `${clientFiles}-ca.pem`,
    };
  }, 5 * minute);
  afterAll(() => held.disposeAsync());

  const rotateCa = (...args: string[]) =>
    runScript("rotate-ca", ["demo", "etcd-k8s", ...args], {
      env: { VAULT_ADDR: site.demo.server.address, VAULT_TOKEN: site.demo.server.rootToken },
    });

  /** Asks each member separately. */
  const areHealthy = async () => (await etcdctl(client, "endpoint", "health")).code === 0;

  const caFile = ({ disk }: Machine, path = destination) => readFileSync(`${disk}${path}-ca.pem`, "utf8");
  const anchors = (text: string) => text.match(/BEGIN CERTIFICATE/g)?.length ?? 0;
  const startedAt = (host: Machine) => host.show("etcd.service", "ExecMainStartTimestampMonotonic");
  let restarts = 0;

  /** Runs cert.service, as its timer does, and waits until the hooks have restarted etcd for the new CA file. */
  const runUntilRestarted = async (host: Machine) => {
    const [before, file] = [await startedAt(host), caFile(host)];
    await host.output("systemctl", "start", "cert.service");
    expect(caFile(host)).not.toBe(file);
    await until(async () => (await isQuiet(host)) && (await startedAt(host)) !== before);
    restarts++;
    await until(areHealthy);
  };

  /** As if a week had passed since the host's last CA check. */
  const afterAWeek = async (host: Machine) => {
    const checked = `${host.disk}${destination.replace(/etcd$/, ".etcd.set/ca-checked")}`;
    for (const path of [`${host.disk}${destination}-ca.pem`, checked]) if (existsSync(path)) age(path, 8);
    await runUntilRestarted(host);
  };

  /** As if its certificate had become due. */
  let renewals = 0;
  const renew = async (host: Machine) => {
    const content = readFileSync(host.disk + manifestPath, "utf8");
    const san = `san_hosts = ["%H", "localhost", "renewal-${++renewals}.example"]`;
    writeHostFile(host.disk, manifestPath, { content: content.replace(/^san_hosts = .*$/m, san) });
    const file = caFile(host);
    await host.output("systemctl", "start", "cert.service");
    await until(() => isQuiet(host));
    await until(areHealthy);
    return caFile(host) !== file;
  };
  const renewClient = async () => {
    writeHostFile(client.host.disk, clientManifestPath, {
      content: clientManifest(`renewal-${++renewals}.example`),
    });
    await client.host.output("systemctl", "start", "cert.service");
  };

  /** Gives a client's present files another name, under which no run replaces them. */
  const keepClient = (name: string): EtcdClient => {
    const copy = `/root/${name}`;
    for (const suffix of [".pem", "-key.pem", "-ca.pem"]) {
      const { disk } = client.host;
      writeHostFile(disk, copy + suffix, { content: readFileSync(disk + clientFiles + suffix, "utf8") });
    }
    return { ...client, certificate: copy, caFile: `${copy}-ca.pem` };
  };

  test(
    "serves clients with old and new certificates all the time, and none with an old one in the end",
    async () => {
      const started = Date.now();
      for (let round = 1; round <= rotations; round++) {
        const [early, late, straggler] = shuffled(members);
        const old = keepClient(`client-${round}`);
        const writers = [
          await startWriter(client, { name: "new", separately: isLong }),
          await startWriter(old, { name: "old", separately: false }),
        ];
        const goOn = () => Promise.all(writers.map((writer) => writer.more(10)));
        await goOn();

        // It sleeps through the switch, and comes back with its old files.
        await straggler.cutOff();
        expect(await rotateCa("--new-key", "--again")).toMatchObject({ code: 0, stderr: "" });
        await goOn();
        await straggler.boot();
        await until(areHealthy);
        await renewClient();
        await goOn();

        await afterAWeek(early);
        await renew(late);
        await goOn();
        if (isLong) {
          await straggler.shutDown();
          await goOn();
          await straggler.boot();
          await until(areHealthy);
        }
        await afterAWeek(straggler);
        for (const host of [straggler, early]) await renew(host);
        await goOn();

        const refused = await rotateCa("--retire");
        expect([refused.code, refused.stdout]).toEqual([
          75,
          expect.stringMatching(/^ {2}etcd-1: \d+, the last until /m),
        ]);
        // In the long form, every second CA stays for one more rotation.
        const isRetired = (rotations - round) % 2 === 0;
        const [newWriter, oldWriter] = writers;
        if (oldWriter === undefined || newWriter === undefined) throw new Error("there are two writers");
        expectWhole(await oldWriter.stop());
        if (isRetired) {
          writers.pop();
          await newWriter.restartWatcher();
          expect(await rotateCa("--retire", "--force")).toMatchObject({ code: 0, stderr: "" });
          await goOn();
          for (const host of shuffled(members)) {
            await afterAWeek(host);
            await goOn();
          }
          await client.host.output(
            ...[
              "/usr/local/bin/issue-cert",
              "--config-dir",
              "/etc/vault/certs.d",
              "--refresh-ca",
              "--hooks",
              "later",
            ],
          );
          for (const host of members) expect(anchors(caFile(host))).toBe(1);
          await expectRefused({ ...old, caFile: client.caFile });
          await expectRefused({ ...client, caFile: old.caFile });
        }
        expectWhole(await newWriter.stop());
      }
      const seconds = Math.round((Date.now() - started) / 1000);
      console.error(`${rotations} rotations, ${restarts} restarts for a new CA file, in ${seconds} s`);
    },
    minute + rotations * 2 * minute,
  );

  /** Each member refuses that client, or is refused by it. */
  async function expectRefused(refused: EtcdClient): Promise<void> {
    const ask = async (one: EtcdClient) =>
      Promise.all(
        client.endpoints.map(
          async (endpoint) => (await etcdctl({ ...one, endpoints: [endpoint] }, "get", "a")).code,
        ),
      );
    expect(await ask(client)).toEqual([0, 0, 0]);
    expect(await ask(refused)).toEqual([1, 1, 1]);
  }
});

/** In another order each time. */
function shuffled(hosts: readonly Machine[]): readonly [Machine, Machine, Machine] {
  const order = hosts.map((host) => ({ host, at: Math.random() })).toSorted((a, b) => a.at - b.at);
  const [a, b, c] = order.map(({ host }) => host);
  if (a === undefined || b === undefined || c === undefined) throw new Error("there are three hosts");
  return [a, b, c];
}
