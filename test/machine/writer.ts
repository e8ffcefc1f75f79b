import { expect } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { until } from "../support/wait.ts";
import { type EtcdClient, etcdctl, etcdctlEnvironment } from "./etcd.ts";

interface Written {
  /** Each write that the writer without a member of its own did not get through, though it tried three times. */
  readonly failed: readonly string[];
  /** How often that writer tried a write again. */
  readonly retries: number;
  /** Each key was written once, with its own name as the value. */
  readonly acknowledged: readonly string[];
  /** Errors of failed writes and of connections that ended. */
  readonly errors: readonly string[];
  /** Acknowledged writes that the watcher missed. It keeps its connection as long as possible. */
  readonly untold: readonly string[];
  /** Acknowledged writes that are not there at the end. */
  readonly lost: readonly string[];
}

export interface Writer {
  /** Resolves after this many more acknowledged writes. */
  more(count: number): Promise<void>;
  /** Starts the watcher again, so that it reads its files again. */
  restartWatcher(): Promise<void>;
  /** Stops it, and returns the results. */
  stop(): Promise<Written>;
}

const script = `
  number=0
  until [ -e $0/stop ]; do
    number=$((number + 1))
    key=$1/$number
    for attempt in 1 2 3; do
      if etcdctl --dial-timeout=10s --command-timeout=10s put $key $key >/dev/null 2>>$0/errors; then
        echo $key >>$0/acknowledged
        break
      fi
      echo $key >>$0/retries
    done
    sleep 0.05
  done
`;

/** The number of changes so far. */
async function revision(client: EtcdClient): Promise<number> {
  const { text } = await etcdctl(client, "get", "--write-out=json", "any key");
  return Number(JSON.parse(text).header.revision);
}

/** The keys that have their own name as the value. */
async function storedKeys(client: EtcdClient, prefix: string): Promise<ReadonlySet<string>> {
  const { text } = await etcdctl(client, "get", "--prefix", prefix);
  const lines = text.split("\n");
  return new Set(lines.filter((line, index) => index % 2 === 0 && lines[index + 1] === line));
}

/**
 * Writes all the time, with a new connection and handshake for each write. It writes to any member that answers and,
 * unless that is turned off, also to each member separately, so that the others can't hide a failing one.
 *
 * @param name two writers at the same time need two
 */
export async function startWriter(
  client: EtcdClient,
  { name = "writer", separately = true } = {},
): Promise<Writer> {
  const { host } = client;
  const folder = `/var/lib/${name}`;
  /** Of all keys. */
  const prefix = `${name}/`;
  mkdirSync(host.disk + folder, { recursive: true });
  for (const file of ["acknowledged", "errors", "watched", "retries"])
    writeFileSync(`${host.disk}${folder}/${file}`, "");
  const start = (unit: string, endpoints: readonly string[], ...command: string[]) => {
    const environment = etcdctlEnvironment({ ...client, endpoints }).map((setting) => `--setenv=${setting}`);
    return host.output("systemd-run", "--quiet", "--collect", `--unit=${unit}`, ...environment, ...command);
  };
  const read = (file: string) =>
    readFileSync(`${host.disk}${folder}/${file}`, "utf8").split("\n").filter(Boolean);
  // Members without a leader end the watch after a while. It then continues from its start.
  const watch = `until [ -e ${folder}/stop ]; do
    etcdctl watch --rev=${(await revision(client)) + 1} --prefix ${prefix} >>${folder}/watched 2>>${folder}/errors
    sleep 0.1
  done`;
  await start(`${name}-watches`, client.endpoints, "/bin/sh", "-c", watch);
  // It receives only later changes.
  await until(async () => {
    await etcdctl(client, "put", `${prefix}listens`, "yes");
    return read("watched").length > 0;
  });
  const targets = [client.endpoints, ...(separately ? client.endpoints.map((endpoint) => [endpoint]) : [])];
  const units = targets.map((_, index) => `${name}-${index}`);
  for (const [index, endpoints] of targets.entries()) {
    await start(`${name}-${index}`, endpoints, "/bin/sh", "-c", script, folder, `${prefix}${index}`);
  }
  return {
    async more(count) {
      const wanted = read("acknowledged").length + count;
      await until(() => read("acknowledged").length >= wanted);
    },
    async restartWatcher() {
      await host.output("systemctl", "restart", `${name}-watches`);
    },
    async stop() {
      writeFileSync(`${host.disk}${folder}/stop`, "");
      for (const unit of units) {
        await until(async () => (await host.show(unit, "ActiveState")) === "inactive");
      }
      const acknowledged = read("acknowledged");
      const untold = () => {
        const told = new Set(read("watched"));
        return acknowledged.filter((key) => !told.has(key));
      };
      await until(() => untold().length === 0).catch(() => {});
      await host.output("systemctl", "stop", `${name}-watches`);
      await host.output("rm", `${folder}/stop`);
      const stored = await storedKeys(client, prefix);
      const ofAny = acknowledged.filter((key) => key.startsWith(`${prefix}0/`));
      const last = Math.max(...ofAny.map((key) => Number(key.split("/").at(-1))));
      const tried = Array.from({ length: last }, (_, index) => `${prefix}0/${index + 1}`);
      return {
        acknowledged,
        failed: tried.filter((key) => !ofAny.includes(key)),
        retries: read("retries").filter((key) => key.startsWith(`${prefix}0/`)).length,
        errors: read("errors"),
        untold: untold(),
        lost: acknowledged.filter((key) => !stored.has(key)),
      };
    },
  };
}

/** Checks that all acknowledged writes are there, and that neither writer nor watcher had TLS errors. */
export function expectWhole({ acknowledged, errors, untold, lost, failed, retries }: Written): void {
  expect(acknowledged.length).toBeGreaterThan(0);
  expect({ lost, failed }).toEqual({ lost: [], failed: [] });
  expect({ untold, errors: untold.length > 0 ? errors : [] }).toEqual({ untold: [], errors: [] });
  expect(errors.filter((line) => /tls|x509|certificate|handshake|authentication/i.test(line))).toEqual([]);
  const others = errors.length === 0 ? "" : `, ${errors.length} lines about connections that ended`;
  console.error(`${acknowledged.length} writes acknowledged and found, ${retries} retries${others}`);
}
