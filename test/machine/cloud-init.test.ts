import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../lib/server/process.ts";
import { ROOT } from "../../tools/main.ts";
import { makeCertificates } from "../support/certificates.ts";
import { storedInitToken } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/wait.ts";
import { describeBooted } from "./bootable.ts";
import { type EtcdClient, etcdctl, servedBy, writeForeignCertificate } from "./etcd.ts";
import {
  destination,
  install,
  manifestPath,
  matchingSerial,
  retries,
  serialOf,
  tokenIn,
  writeHostFile,
} from "./host.ts";
import type { Machine } from "./machine.ts";
import { clientFiles, createMaster, createMember, type Site, userData } from "./member.ts";
import { serveRelease } from "./release.ts";
import { startDemoServer } from "./server.ts";
import { fireSoon, isQuiet } from "./timers.ts";
import { expectWhole, startWriter } from "./writer.ts";

const minute = 60_000;

describeBooted("etcd on three hosts set up by cloud-init", () => {
  const held = new AsyncDisposableStack();
  let demo: Awaited<ReturnType<typeof startDemoServer>>;
  let site: Site;
  let members: readonly Machine[];
  /** A host with a client certificate for etcd, from the cluster's own role. */
  let client: EtcdClient;

  beforeAll(async () => {
    const folder = held.use(temporaryFolder());
    const tls = makeCertificates(folder.path, "vault");
    const [server, release, installed] = await Promise.all([
      startDemoServer({ tls }),
      serveRelease(),
      install(),
    ]);
    demo = held.use(server);
    held.use(release);
    held.use(installed);
    const [a = 0, b = 0, c = 0, ...peers] = freePorts(6);
    const ports = [a, b, c].map((port, index) => ({ client: port, peer: peers[index] ?? 0 }));
    site = { vault: { address: demo.server.address, ca: tls.ca }, initToken: demo.initToken, release, ports };
    members = await Promise.all(ports.map(async (_, index) => held.use(await createMember(site, index + 1))));
    const host = held.use(
      await createMaster(installed, site, await storedInitToken(demo.admin, "demo", "master")),
    );
    await Promise.all([...members, host].map((machine) => machine.boot()));
    client = {
      host,
      endpoints: ports.map(({ client: port }) => `https://127.0.0.1:${port}`),
      certificate: clientFiles,
      caFile: `${clientFiles}-ca.pem`,
    };
  }, 10 * minute);
  afterAll(() => held.disposeAsync());

  const serials = () => members.map(({ disk }) => matchingSerial(disk));
  const started = () =>
    Promise.all(members.map((host) => host.show("etcd.service", "ExecMainStartTimestamp")));

  const changeManifests = (change: (text: string) => string, hosts = members) => {
    for (const { disk } of hosts) {
      const content = change(readFileSync(disk + manifestPath, "utf8"));
      writeHostFile(disk, manifestPath, { content });
    }
  };

  /** The certificates that the members present now. */
  const served = () => site.ports.map(({ client: port }) => servedBy(port, client));

  /** Asks each member separately. */
  const areHealthy = async () => (await etcdctl(client, "endpoint", "health")).code === 0;

  test(
    "has user-data that cloud-init's own check accepts, as shipped and filled in",
    async () => {
      const [host] = members;
      if (host === undefined) throw new Error("there is no host");
      const check = async (content: string) => {
        writeHostFile(host.disk, "/root/user-data", { content });
        const { code, stdout, stderr } = await host.run("cloud-init", "schema", "-c", "/root/user-data");
        return [code, (stdout + stderr).trim()];
      };
      const shipped = readFileSync(join(ROOT, "units/cloud-init.yaml"), "utf8");
      const valid = [0, expect.stringMatching(/^Valid (cloud-config:|schema) \/root\/user-data$/)];
      expect(await check(shipped)).toEqual(valid);
      expect(await check(userData(site, 1))).toEqual(valid);
      expect((await check(shipped.replace("content: the-init-token", "contents: x")))[0]).toBe(1);
    },
    minute,
  );

  test(
    "forms a cluster at the first boot without manual steps",
    async () => {
      for (const host of members) {
        const { stdout } = await host.run("cloud-init", "status", "--wait");
        expect(stdout).toContain("status: done");
        expect(await host.settled()).toBe("running");
        expect(readFileSync(`${host.disk}/var/log/cloud-init.log`, "utf8")).not.toContain(
          "Invalid cloud-config",
        );
        expect(tokenIn(host.disk, "init-token")).toBe("");
        const mode = (path: string) => statSync(host.disk + path).mode & 0o777;
        const modes = ["/etc/vault", "/etc/vault/token", "/etc/vault/config"].map(mode);
        expect(modes).toEqual([0o700, 0o600, 0o600]);
        expect(statSync(`${host.disk}/usr/local/bin/issue-cert`).nlink).toBeGreaterThan(2);
        expect(await host.show("etcd.service", "ActiveState")).toBe("active");
      }
      expect(new Set(serials()).size).toBe(3);
      await until(areHealthy);
      expect((await etcdctl(client, "member", "list")).text.match(/started, etcd-[123], /g)).toHaveLength(3);
    },
    2 * minute,
  );

  test(
    "accepts only clients and peers with a certificate of its CA",
    async () => {
      const foreign = await writeForeignCertificate(demo, client.host);
      expect(await etcdctl(client, "put", "greeting", "hello")).toEqual({ code: 0, text: "OK" });
      const { certificate: _, ...unknown } = client;
      const refused = [unknown, { ...client, certificate: foreign }];
      const answers = client.endpoints.map(async (endpoint) => {
        const endpoints = [endpoint];
        const known = await etcdctl({ ...client, endpoints }, "get", "greeting");
        expect(known).toEqual({ code: 0, text: "greeting\nhello" });
        const asked = refused.map((one) => etcdctl({ ...one, endpoints }, "get", "greeting"));
        for (const { code, text } of await Promise.all(asked)) {
          expect([code, text]).toEqual([1, expect.not.stringContaining("hello")]);
        }
      });
      await Promise.all(answers);
      const known = ["--cert", `${destination}.pem`, "--key", `${destination}-key.pem`];
      for (const [index, { peer }] of site.ports.entries()) {
        const ask = async (...certificate: string[]) => {
          const command = ["curl", "-sS", "--http1.1", "--cacert", `${destination}-ca.pem`, ...certificate];
          return await members[index]?.run(...command, `https://127.0.0.1:${peer}/version`);
        };
        expect((await ask(...known))?.stdout).toContain('"etcdserver":"3');
        expect((await ask())?.stderr).toMatch(/alert (bad certificate|certificate required)/);
      }
    },
    minute,
  );

  test(
    "serves a permanent writer while all members get a new key at once",
    async () => {
      changeManifests((text) => `${text}key_bit_size = 384\n`);
      const [before, runs] = [serials(), await started()];
      const writer = await startWriter(client);
      await writer.more(5);
      {
        await using firing = new AsyncDisposableStack();
        for (const host of members) firing.use(await fireSoon(host, ["cert.timer"]));
        // Read only the certificate: between reads of two files, the set could be switched.
        await until(() => members.every(({ disk }, index) => serialOf(disk) !== before[index]));
      }
      await Promise.all(members.map((host) => until(() => isQuiet(host))));
      await writer.more(10);
      const written = await writer.stop();
      expectWhole(written);
      expect(written.errors).toEqual([]);
      expect(served()).toEqual(serials());
      expect(await started()).toEqual(runs);
    },
    2 * minute,
  );

  test(
    "keeps running while its members are restarted in turn for new keys and a new CA",
    async () => {
      changeManifests(
        (text) => `${text.replace("384", "521")}restart = ["etcd.service"]\n`,
        members.slice(0, 2),
      );
      const [before, runs] = [serials(), await started()];
      const writer = await startWriter(client);
      await writer.more(5);
      // The shipped manifest restarts the last one because of its new CA.
      rmSync(`${members[2]?.disk}${destination}-ca.pem`);
      for (const [index, host] of members.entries()) {
        await host.output("systemctl", "start", "cert.service");
        await until(async () => (await isQuiet(host)) && (await started())[index] !== runs[index]);
        await until(areHealthy);
      }
      await writer.more(10);
      const written = await writer.stop();
      expectWhole(written);
      // These errors stand for any reason why a connection failed.
      expect(written.errors.filter((line) => /TransientFailure|deadline/i.test(line))).toEqual([]);
      for (const [index, serial] of serials().entries()) expect(serial).not.toBe(before[index]);
      expect(served()).toEqual(serials());
    },
    2 * minute,
  );

  test(
    "keeps running when a host loses power and comes back with its old certificate while the server is away",
    async () => {
      const [, host] = members;
      if (host === undefined) throw new Error("there is no host");
      for (const [path, file] of Object.entries(retries(1))) writeHostFile(host.disk, path, file);
      const before = serials();
      const writer = await startWriter(client);
      await writer.more(5);
      await demo.server.stop();
      await host.cutOff();
      await writer.more(5);
      await host.boot();
      await until(async () => (await host.show("cert.service", "ExecMainStatus")) === "75");
      await until(areHealthy);
      await demo.server.start();
      await until(async () => (await host.show("cert.service", "Result")) === "success");
      await until(async () => (await host.settled()) === "running");
      await writer.more(5);
      expectWhole(await writer.stop());
      expect(serials()).toEqual(before);
      // cloud-init writes the files of the user-data only once.
      expect(tokenIn(host.disk, "init-token")).toBe("");
    },
    2 * minute,
  );
});
