import { join } from "node:path";
import { freePorts } from "../../lib/server/process.ts";
import { type ManifestHost, startManifestHost } from "../manifest/certs.ts";
import type { ClusterServer } from "../support/cluster-server.ts";
import { type RunningProgram, startProgram } from "../support/program.ts";
import { until } from "../support/wait.ts";
import { type Identity, put } from "./etcd-api.ts";

/** A host with a manifest, whose hook notes what has changed. */
export interface RotatedHost extends AsyncDisposable {
  readonly name: string;
  readonly destination: string;
  /** Runs issue-cert with the manifest. @returns what has changed: `certificate`, `key`, `ca` */
  issue(...args: string[]): Promise<ReadonlySet<string>>;
}

/** An etcd member with mutual TLS for its clients and its peers. */
export interface Member extends RotatedHost {
  /** For clients. */
  readonly port: number;
  readonly peerPort: number;
  /** From the first write that it has taken itself since its start, to its stop. */
  readonly isServing: boolean;
  /** The number of its starts. */
  readonly starts: number;
  stop(): Promise<void>;
  /** Starts it with the files that its host has then. */
  start(): Promise<void>;
  /**
   * Waits until it takes a write itself.
   *
   * @throws Error with what it said last
   */
  untilServing(identity: Identity): Promise<void>;
}

/** A host of the cluster with one certificate. */
export async function startRotatedHost(
  cluster: ClusterServer,
  name: string,
  role: "etcd" | "master",
): Promise<RotatedHost> {
  const host: ManifestHost = await startManifestHost(cluster, undefined, role);
  const kind = role === "etcd" ? "server" : "client";
  const fields = [`sign_path = "demo/pki/etcd-k8s/sign/${kind}"`, 'ip_sans = ["127.0.0.1"]'];
  host.write(name, [...fields, host.onChange('echo "$VAULT_HELPER_CHANGED" >> $1')].join("\n"));
  return {
    name,
    destination: host.destinationOf(name),
    async issue(...args) {
      const before = host.logged().length;
      const { code, stderr } = await host.issue(...args);
      if (code !== 0) throw new Error(`issue-cert of ${name} ended with ${code}: ${stderr}`);
      return new Set(
        host
          .logged()
          .slice(before)
          .flatMap((line) => line.split(" ")),
      );
    },
    [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
  };
}

/** Members of one etcd, each on a host of its own, with certificates but not yet started. */
export async function createMembers(
  cluster: ClusterServer,
  etcd: string,
  count: number,
): Promise<readonly Member[]> {
  const ports = freePorts(2 * count);
  const names = Array.from({ length: count }, (_, index) => `etcd-${index + 1}`);
  const peers = names.map((name, index) => `${name}=https://127.0.0.1:${ports[count + index]}`).join(",");
  return await Promise.all(
    names.map(async (name, index): Promise<Member> => {
      const host = await startRotatedHost(cluster, name, "etcd");
      await host.issue();
      return createMember(host, etcd, ports[index] ?? 0, ports[count + index] ?? 0, peers);
    }),
  );
}

function createMember(
  host: RotatedHost,
  etcd: string,
  port: number,
  peerPort: number,
  peers: string,
): Member {
  const { name, destination } = host;
  const folder = join(destination, "../..");
  const client = `https://127.0.0.1:${port}`;
  const peer = `https://127.0.0.1:${peerPort}`;
  const tls = (prefix: string) => [
    `--${prefix}cert-file=${destination}.pem`,
    `--${prefix}key-file=${destination}-key.pem`,
    `--${prefix}trusted-ca-file=${destination}-ca.pem`,
    `--${prefix}client-cert-auth`,
  ];
  const args = [
    `--name=${name}`,
    `--data-dir=${join(folder, "data")}`,
    ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
    ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
    `--initial-cluster=${peers}`,
    ...tls(""),
    ...tls("peer-"),
    ...["--unsafe-no-fsync", "--log-level=warn"],
  ];
  let program: RunningProgram | undefined;
  let starts = 0;
  let isServing = false;
  return {
    ...host,
    port,
    peerPort,
    get isServing() {
      return isServing;
    },
    get starts() {
      return starts;
    },
    async stop() {
      isServing = false;
      const stopping = program;
      program = undefined;
      await stopping?.stop();
    },
    async start() {
      starts++;
      program = await startProgram(folder, etcd, args);
    },
    async untilServing(identity) {
      let said = "";
      const takes = async () => {
        said = program?.ended() ?? "";
        if (said !== "") throw new Error("it has ended");
        const refused = await put(port, identity, `asks/${name}`).catch((error: Error) => error);
        said = refused?.message ?? "";
        return refused === undefined;
      };
      try {
        await until(takes);
      } catch (cause) {
        throw new Error(`${name} takes no writes: ${said}`, { cause });
      }
      isServing = true;
    },
    async [Symbol.asyncDispose]() {
      await program?.[Symbol.asyncDispose]();
      await host[Symbol.asyncDispose]();
    },
  };
}
