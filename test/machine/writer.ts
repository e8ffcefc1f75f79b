import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { until } from "../support/wait.ts";
import { type EtcdClient, etcdctl, etcdctlEnvironment } from "./etcd.ts";

export interface Written {
  /** Each key was written once, with its own name as the value. */
  readonly acknowledged: readonly string[];
  /** Errors of failed writes and of connections that ended. */
  readonly errors: readonly string[];
  /** Acknowledged writes that the watcher missed. It keeps its connection as long as possible. */
  readonly untold: readonly string[];
}

export interface Writer {
  /** Resolves after this many more acknowledged writes. */
  more(count: number): Promise<void>;
  /** Stops it, and returns the results. */
  stop(): Promise<Written>;
}

/** The common prefix of all keys. */
export const prefix = "written/";
const folder = "/var/lib/writer";
const script = `
  number=0
  until [ -e ${folder}/stop ]; do
    number=$((number + 1))
    key=${prefix}$0/$number
    if etcdctl --dial-timeout=10s --command-timeout=10s put $key $key >/dev/null 2>>${folder}/errors; then echo $key >>${folder}/acknowledged; fi
    sleep 0.05
  done
`;

/** The number of changes so far. */
async function revision(client: EtcdClient): Promise<number> {
  const { text } = await etcdctl(client, "get", "--write-out=json", `${prefix}listens`);
  return Number(JSON.parse(text).header.revision);
}

/**
 * Writes all the time, with a new connection and handshake for each write. It writes both to any member that answers and
 * to each member separately, so that the others can't hide a failing one.
 */
export async function startWriter(client: EtcdClient): Promise<Writer> {
  const { host } = client;
  mkdirSync(host.disk + folder, { recursive: true });
  for (const name of ["acknowledged", "errors", "watched"])
    writeFileSync(`${host.disk}${folder}/${name}`, "");
  const start = (unit: string, endpoints: readonly string[], ...command: string[]) => {
    const environment = etcdctlEnvironment({ ...client, endpoints }).map((setting) => `--setenv=${setting}`);
    return host.output("systemd-run", "--quiet", "--collect", `--unit=${unit}`, ...environment, ...command);
  };
  const read = (name: string) =>
    readFileSync(`${host.disk}${folder}/${name}`, "utf8").split("\n").filter(Boolean);
  // Members without a leader end the watch after a while. It then continues from its start.
  const watch = `until [ -e ${folder}/stop ]; do
    etcdctl watch --rev=${(await revision(client)) + 1} --prefix ${prefix} >>${folder}/watched 2>>${folder}/errors
    sleep 0.1
  done`;
  await start("watcher", client.endpoints, "/bin/sh", "-c", watch);
  // It receives only later changes.
  await until(async () => {
    await etcdctl(client, "put", `${prefix}listens`, "yes");
    return read("watched").length > 0;
  });
  const targets = [client.endpoints, ...client.endpoints.map((endpoint) => [endpoint])];
  const writers = targets.map((_, index) => `writer-${index}`);
  for (const [index, endpoints] of targets.entries()) {
    await start(`writer-${index}`, endpoints, "/bin/sh", "-c", script, String(index));
  }
  return {
    async more(count) {
      const wanted = read("acknowledged").length + count;
      await until(() => read("acknowledged").length >= wanted);
    },
    async stop() {
      writeFileSync(`${host.disk}${folder}/stop`, "");
      for (const unit of writers) {
        await until(async () => (await host.show(unit, "ActiveState")) === "inactive");
      }
      const acknowledged = read("acknowledged");
      const untold = () => {
        const told = new Set(read("watched"));
        return acknowledged.filter((key) => !told.has(key));
      };
      await until(() => untold().length === 0).catch(() => {});
      await host.output("systemctl", "stop", "watcher");
      await host.output("rm", `${folder}/stop`);
      return { acknowledged, errors: read("errors"), untold: untold() };
    },
  };
}
