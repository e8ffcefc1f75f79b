import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { pkiMounts } from "../../lib/cluster/mounts.ts";
import { planRoles } from "../../lib/cluster/setup-plan.ts";
import { randomHex } from "../../lib/host/durable.ts";
import { writeSecret } from "../../lib/vault/kv.ts";
import { enableMount } from "../../lib/vault/sys.ts";
import { createFromRole } from "../../lib/vault/token.ts";
import { createWorld, findings, runTraced, type Stage, setStage } from "./world.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());
beforeEach(() => {
  stage.listener.spoil = undefined;
});

/** Makes a cluster for one run, without CAs but with a host token. Returns its id. */
async function makeCluster(): Promise<string> {
  const cluster = defineCluster(`c${randomHex(5)}`);
  const { id } = cluster;
  const { admin: client } = stage.server;
  for (const { path } of pkiMounts(cluster)) await enableMount(client, path, "pki", {});
  await enableMount(client, `${id}/secrets`, "generic", {});
  await writeSecret(client, `${id}/secrets/service-accounts`, { key: `key-${randomHex(16)}` });
  const init = `init-${randomHex(16)}`;
  const setup = await planRoles(client, { ...cluster, initTokens: { worker: init } });
  await setup.apply(() => {});
  await createFromRole(client, `${id}-worker`, init);
  return id;
}

const commands: Readonly<Record<string, (id: string) => readonly string[]>> = {
  teardown: (id) => ["--yes", id, "--revoke-hosts", id],
  status: (id) => [id],
};

const errors = (status: number, words: string) => async () => Response.json({ errors: [words] }, { status });

/** Answers of a server or of a proxy, which repeat the request and the real answer. */
const answers: Readonly<Record<string, (pass: () => Promise<Response>) => Promise<Response | undefined>>> = {
  "as it should": async () => undefined,
  "403": errors(403, "permission denied"),
  "503": errors(503, "Vault is sealed"),
  "a proxy's page": async (pass) => {
    const text = await (await pass()).text();
    return new Response(`<html>${[...stage.listener.secrets].join(" ")}${text}`, { status: 502 });
  },
  "JSON that is cut off": async (pass) => new Response((await (await pass()).text()).trim().slice(0, -1)),
  "fields of other types": async (pass) => Response.json({ data: await (await pass()).text() }),
};

const levels = [
  ["-l", "0"],
  ["-l", "1"],
  ["-l", "2"],
  ["-l", "2", "--json"],
];

/** Requests about tokens. The last one is the only one of a teardown that changes something. */
const spoiled = /lookup-self$|lookup-accessor$|init_token_worker$|revoke-accessor$/;

describe.each(Object.entries(commands))("%s of a cluster leaves no secret", (script, args) => {
  test.each(Object.entries(answers))(
    "where a server answers %s",
    async (name, answer) => {
      for (const level of levels) {
        using world = createWorld(stage);
        const id = await makeCluster();
        let count = 0;
        stage.listener.spoil = ({ path }, pass) => {
          if (!spoiled.test(path)) return undefined;
          // The first requests of each kind get right answers, so that the command learns something.
          return count++ < 2 ? undefined : (answer(pass) as Promise<Response>);
        };
        const run = await runTraced(world, script, [...level, ...args(id)], {
          VAULT_TOKEN: stage.server.rootToken,
        });
        stage.listener.spoil = undefined;
        expect({ level, found: findings(world, stage, run) }).toEqual({ level, found: [] });
        expect(count).toBeGreaterThan(2);
        // A cluster without CAs is not ok.
        const well = script === "status" ? 1 : 0;
        expect(run.code === well).toBe(name === "as it should");
      }
      expect(stage.listener.secrets.size).toBeGreaterThan(5);
    },
    60_000,
  );
});
