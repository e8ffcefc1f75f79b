import { afterAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { parse } from "yaml";
import { takeHostLock } from "../../lib/host/host-lock.ts";
import { startCluster } from "../support/cluster-server.ts";
import {
  commonName,
  expectEmbedded,
  type Master,
  put,
  signPath,
  startMaster,
  write,
  written,
} from "../support/kubeconfig-host.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { treeOf } from "../support/tree.ts";
import { until } from "../support/wait.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

function hold({ kubeconfig }: Master): Promise<Disposable> {
  const thing = { kind: "kubeconfig", folder: dirname(kubeconfig), base: basename(kubeconfig) } as const;
  return takeHostLock({ ...thing, name: kubeconfig }, { signal: new AbortController().signal });
}

describe("write-kubeconfig, with others in the file or at work,", () => {
  test("keeps foreign entries with --merge, and the current context", async () => {
    await using host = await startMaster(cluster);
    const others = `# mine\nkind: Config\ncurrent-context: other\ncontexts:\n- name: other\n  context: {cluster: other, user: o}\nusers:\n- name: o\n  user: {token: 007} # keep\n`;
    put(host, others);
    const made = await written(host, "--merge");
    expect(made["current-context"]).toBe("other");
    expect(made.contexts.map(({ name }: { name: string }) => name)).toEqual(["other", "demo"]);
    expect(host.read(host.kubeconfig)).toContain("  user: { token: 007 } # keep\n");
    const before = treeOf(dirname(host.kubeconfig));
    await written(host, "--merge", "--if-due");
    expect(treeOf(dirname(host.kubeconfig))).toEqual(before);
  });

  test("writes one kubeconfig for several clusters at once", async () => {
    await using host = await startMaster(cluster);
    const names = ["a", "b", "c", "d"];
    const runs = names.map((name) =>
      host.run("write-kubeconfig", [
        ...["--merge", "--cluster-name", name, signPath, commonName],
        ...[`${host.destination}-${name}`, host.kubeconfig],
      ]),
    );
    expect((await Promise.all(runs)).map(({ code, stderr }) => [code, stderr])).toEqual(
      names.map(() => [0, ""]),
    );
    const { users, contexts } = parse(host.read(host.kubeconfig));
    expect(contexts.map(({ name }: { name: string }) => name).toSorted()).toEqual(names);
    expect(new Set(users.map((it: { user: object }) => JSON.stringify(it.user))).size).toBe(4);
  });

  test("holds the present certificate after several concurrent runs for the same", async () => {
    await using host = await startMaster(cluster);
    const runs = await Promise.all(["--force", "-tec", "-trsa", "--if-due"].map((flag) => write(host, flag)));
    expect(runs.map(({ code, stderr }) => [code, stderr])).toEqual(runs.map(() => [0, ""]));
    expectEmbedded(host);
  });

  test("waits for a run that holds the kubeconfig, and gives up at its time limit", async () => {
    await using host = await startMaster(cluster);
    await written(host);
    using _ = await hold(host);
    const run = await write(host, "--if-due", "--timeout", "500ms");
    expect(run).toMatchObject({
      code: 75,
      stderr: expect.stringContaining(`another run held ${host.kubeconfig}`),
    });
  });

  test("holds no key with another key's certificate, which a change in between could leave", async () => {
    await using host = await startMaster(cluster);
    await written(host);
    const [certificate, kubeconfig] = [host.read(`${host.destination}.pem`), host.read(host.kubeconfig)];
    const lock = await hold(host);
    const running = write(host);
    await until(() => host.read(`${host.destination}.pem`) !== certificate);
    rmSync(`${host.destination}-key.pem`);
    writeFileSync(`${host.destination}-key.pem`, opensslEcKey("P-256"), { mode: 0o600 });
    lock[Symbol.dispose]();
    const run = await running;
    expect(run.stderr).toContain(`the files of ${host.destination} did not match for a whole second`);
    expect([run.code, host.read(host.kubeconfig)]).toEqual([75, kubeconfig]);
  });
});
