import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { until } from "../support/wait.ts";
import { type EtcdClient, etcdctl, etcdctlEnvironment } from "./etcd.ts";

export interface Written {
  /** Each key was written once, and its value is its own name. */
  readonly acknowledged: readonly string[];
  /** What was said of writes that were not, and of connections that ended. */
  readonly errors: readonly string[];
  /** Of those that were acknowledged, what one that listens was not told of. It keeps its connection while that lasts. */
  readonly untold: readonly string[];
}

export interface Writer {
  /** Resolves after so many more writes that are acknowledged. */
  more(count: number): Promise<void>;
  /** Ends it, and tells all. */
  stop(): Promise<Written>;
}

/** Where all keys begin. */
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

/** How many changes were made so far. */
async function revision(client: EtcdClient): Promise<number> {
  const { text } = await etcdctl(client, "get", "--write-out=json", `${prefix}listens`);
  return Number(JSON.parse(text).header.revision);
}

/**
 * Writes all the time, each write by a connection and a handshake of its own: to whichever member answers, and to each by
 * itself, so that one in trouble can't hide behind the others.
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
  // Members that have no leader for a while end it, by their own rules: it goes on from where it began.
  const watch = `until [ -e ${folder}/stop ]; do
    etcdctl watch --rev=${(await revision(client)) + 1} --prefix ${prefix} >>${folder}/watched 2>>${folder}/errors
    sleep 0.1
  done`;
  await start("watcher", client.endpoints, "/bin/sh", "-c", watch);
  // It is told of what comes once it listens.
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
