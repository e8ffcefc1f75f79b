import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { createServer } from "node:tls";
import { findEtcd } from "../kubernetes/programs.ts";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { isWrite, startRelay } from "../support/relay.ts";
import { runScript } from "../support/script.ts";
import { ask, type Identity, NoAnswer, put, readIdentity, storedKeys } from "./etcd-api.ts";
import { createMembers, type Member, type RotatedHost, startRotatedHost } from "./members.ts";
import { startWriter, type Writer } from "./writer.ts";

const found = await findEtcd();
const missing = "missing" in found ? found.missing : undefined;
const title = "etcd whose CA is replaced";

describe.skipIf(missing !== undefined)(
  missing === undefined ? title : `${title} (skipped here, since ${missing})`,
  () => {
    const held = new AsyncDisposableStack();
    let cluster: ClusterServer;
    let members: readonly [Member, Member, Member];
    let client: RotatedHost;
    let first: Identity;
    let firstOfMember: Identity;
    /** The names of the members in the order of their restarts. */
    const restarts: string[] = [];
    const writers: Writer[] = [];

    beforeAll(async () => {
      cluster = held.use(await startCluster());
      const [a, b, c] = await createMembers(cluster, "missing" in found ? "" : found.etcd, 3);
      if (a === undefined || b === undefined || c === undefined) throw new Error("there are three");
      members = [held.use(a), held.use(b), held.use(c)];
      client = held.use(await startRotatedHost(cluster, "api-1", "master"));
      await client.issue();
      first = readIdentity(client.destination);
      firstOfMember = readIdentity(a.destination);
      await Promise.all(members.map((member) => member.start()));
      for (const member of members) await member.untilServing(first);
      writers.push(
        startWriter("old", members, () => first),
        startWriter("new", members, () => readIdentity(client.destination)),
      );
    }, 120_000);
    afterAll(() => held.disposeAsync());

    /** @param afterWrite called after each request that may have changed the server */
    const rotateCa = async (args: readonly string[], afterWrite: () => Promise<void> = async () => {}) => {
      const errors: unknown[] = [];
      await using relay = startRelay(cluster.address, async (request, _number, pass) => {
        const answer = await pass();
        if (isWrite(request)) await afterWrite().catch((error: unknown) => errors.push(error));
        return answer;
      });
      const result = await runScript("rotate-ca", ["demo", "etcd-k8s", ...args], {
        env: { VAULT_ADDR: relay.address, VAULT_TOKEN: cluster.rootToken },
      });
      expect(errors).toEqual([]);
      return result;
    };

    const present = () => readIdentity(client.destination);
    /** The clients that members have to serve. */
    let clients: readonly (() => Identity)[] = [() => first, present];

    const expectAllServed = async () => {
      for (const member of members) {
        for (const identity of clients) await put(member.port, identity(), `asks/${member.name}`);
      }
      await Promise.all(writers.map((writer) => writer.more(3)));
    };

    const restart = async (member: Member) => {
      restarts.push(member.name);
      await member.stop();
      await Promise.all(writers.map((writer) => writer.more(3)));
      await member.start();
      await member.untilServing(present());
      await expectAllServed();
    };

    /** Runs issue-cert, and restarts the member if its CA file has changed. */
    const issue = async (member: Member, ...args: string[]) => {
      const changed = await member.issue(...args);
      if (changed.has("ca")) await restart(member);
      else await expectAllServed();
      return changed;
    };

    test("serves every client while its members change one after the other, in any order", async () => {
      const [early, straggler, late] = shuffled(members);
      // A renewal before anything has changed.
      expect(await issue(late, "--reissue")).toEqual(new Set(["certificate"]));

      const { code, stderr } = await rotateCa(["--new-key"], async () => {
        await client.issue("--reissue");
        await expectAllServed();
      });
      expect([code, code === 0 ? "" : stderr]).toEqual([0, ""]);
      // No host has looked yet, and this one has to start again.
      await restart(straggler);

      expect(isSignedByFirst(present(), first)).toBe(false);
      expect(await issue(early, "--refresh-ca")).toEqual(new Set(["ca"]));
      expect(await issue(late, "--reissue")).toEqual(new Set(["certificate", "ca"]));
      await restart(straggler);
      expect(await issue(early, "--reissue")).toEqual(new Set(["certificate"]));
      expect(await issue(straggler, "--reissue")).toEqual(new Set(["certificate", "ca"]));
      for (const member of shuffled(members)) await restart(member);
    }, 60_000);

    test("has an old CA that is kept for as long as it is needed", async () => {
      const { code, stdout, stderr } = await rotateCa(["--retire"]);
      expect(code).toBe(75);
      expect(stdout).toMatch(/^ {2}api-1: \d+, the last until /m);
      expect(stdout).toMatch(/^ {2}etcd-1: \d+, the last until /m);
      expect(stderr).toMatch(/run it again from \d{4}-\d\d-\d\d \d\d:\d\d UTC/);
      await expectAllServed();
    });

    test("goes on without the old CA once every host has a new certificate", async () => {
      const [oldWriter] = writers;
      await expectWritten(oldWriter, present());
      writers.shift();
      clients = [present];

      expect(await rotateCa(["--retire", "--force"])).toMatchObject({ code: 0, stderr: "" });
      await expectAllServed();
      const [early, straggler, late] = shuffled(members);
      await issue(early, "--refresh-ca");
      await restart(straggler);
      await client.issue("--refresh-ca");
      await expectAllServed();
      await issue(late, "--refresh-ca");
      await issue(straggler, "--refresh-ca");
      for (const { destination } of members) expect(certificatesOf(readIdentity(destination).ca)).toBe(1);
      expect(certificatesOf(present().ca)).toBe(1);
    }, 60_000);

    test("refuses the old CA's clients and peers, and is refused with its servers", async () => {
      for (const { port, peerPort } of members) {
        await put(port, present(), "asks/last");
        const refused = put(port, { ...first, ca: present().ca }, "asks/refused");
        expect(await refused.catch((error) => error)).toBeInstanceOf(NoAnswer);
        const peer = readIdentity(members[0].destination);
        expect((await ask(peerPort, peer, "/version")).status).toBe(200);
        const oldPeer = ask(peerPort, { ...firstOfMember, ca: peer.ca }, "/version");
        expect(await oldPeer.catch((error) => error)).toBeInstanceOf(NoAnswer);
      }
      const server = createServer(firstOfMember, (socket) => socket.end("HTTP/1.0 200 OK\r\n\r\n"));
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      try {
        const address = server.address();
        const port = typeof address === "object" ? (address?.port ?? 0) : 0;
        expect((await ask(port, first, "/")).status).toBe(200);
        const refused = ask(port, present(), "/");
        expect(await refused.catch((error) => error)).toMatchObject({ isCut: false });
      } finally {
        server.close();
      }
      await expectWritten(writers[0], present());
    });

    /** Stops a writer. None of its writes failed, none was refused, and each one that was acknowledged is in each member. */
    async function expectWritten(writer: Writer | undefined, identity: Identity): Promise<void> {
      if (writer === undefined) throw new Error("there is no writer");
      const { acknowledged, failed, retries, refused } = await writer.stop();
      console.error(
        `${writer.name}: ${acknowledged.length} writes, ${retries.length} retries, ` +
          `${failed.length} failures, restarts of ${restarts.join(", ")}`,
      );
      expect({ failed, refused }).toEqual({ failed: [], refused: [] });
      expect(acknowledged.length).toBeGreaterThan(100);
      for (const { port } of members) {
        const stored = await storedKeys(port, identity);
        expect(acknowledged.filter((key) => !stored.has(key))).toEqual([]);
      }
    }
  },
);

/** In another order each time. */
function shuffled<T>([a, b, c]: readonly [T, T, T]): readonly [T, T, T] {
  const orders: ReadonlyArray<readonly [T, T, T]> = [
    [a, b, c],
    [a, c, b],
    [b, a, c],
    [b, c, a],
    [c, a, b],
    [c, b, a],
  ];
  return orders[Math.floor(Math.random() * orders.length)] ?? [a, b, c];
}

/** Whether the first CA of a file has signed a certificate. CAs of a mount have the same name. */
function isSignedByFirst({ cert }: Identity, { ca }: Identity): boolean {
  return new X509Certificate(cert).verify(new X509Certificate(ca).publicKey);
}

function certificatesOf(pem: string): number {
  return pem.match(/BEGIN CERTIFICATE/g)?.length ?? 0;
}
