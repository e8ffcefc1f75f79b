import { beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { api } from "../cluster/api.ts";
import {
  type ClusterObjects,
  goldenTokens,
  mapValues,
  readObjects,
  storedTokens,
  wantedObjects,
} from "../cluster/objects.ts";
import { devServer } from "../support/dev-server.ts";
import { runScript } from "../support/script.ts";

const day = 86_400;
const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const env = { VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken };

async function setUp(id: string, mountFlags: readonly string[], roleFlags: readonly string[]): Promise<void> {
  const results = [
    await runScript("setup-mounts", [id, ...mountFlags], { env }),
    await runScript("write-roles", [id, ...roleFlags], { env }),
  ];
  expect(results.map(({ code, stderr }) => [code, stderr])).toEqual([
    [0, ""],
    [0, ""],
  ]);
}

/** The objects of a cluster with validities of 10 years, 90 days and 7 days. */
async function wantedShortLived(id: string): Promise<ClusterObjects> {
  const wanted = wantedObjects(id, await storedTokens(admin, id));
  const ttls = { default_lease_ttl: 3650 * day, max_lease_ttl: 3650 * day };
  return {
    ...wanted,
    mounts: mapValues(wanted.mounts, (mount, path) =>
      path === `${id}/secrets/` ? mount : { ...mount, config: { ...ttls, force_no_cache: false } },
    ),
    pki_roles: mapValues(wanted.pki_roles, (roles) =>
      mapValues(roles, (role, name) => {
        const ttl = (name === "admin" ? 90 : 7) * day;
        return { ...role, ttl, max_ttl: ttl };
      }),
    ),
  };
}

async function caDays(mount: string): Promise<number> {
  const [issuer] = await admin.list(`${mount}/issuers`);
  const ca = new X509Certificate(String((await admin.find(`${mount}/issuer/${issuer}`)).certificate));
  return (Date.parse(ca.validTo) - Date.parse(ca.validFrom)) / 86_400_000;
}

describe("setup-mounts and write-roles with other validities", () => {
  const neighbour = wantedObjects("short", goldenTokens);
  let before: ClusterObjects;
  beforeAll(async () => {
    await setUp(
      "short",
      [],
      Object.entries(goldenTokens).flatMap(([role, id]) => [`--init-token-${role}`, id]),
    );
    before = await readObjects(admin, "short", neighbour);
  }, 60_000);

  test.each([
    ["short-lived", "10y", "90d", "7d"],
    ["go", "87600h", "2160h0m0s", "167h60m"],
  ])("give cluster %s the validities %s, %s and %s", async (id, ca, adminTtl, components) => {
    await setUp(
      id,
      ["--max-validity-ca", ca],
      [`--max-validity-admin=${adminTtl}`, "--max-validity-components", components],
    );
    const wanted = await wantedShortLived(id);
    expect(await readObjects(admin, id, wanted)).toEqual(wanted);
    expect(await caDays(`${id}/pki/k8s`)).toBeCloseTo(3650, 1);
  });

  test("leave a cluster alone whose name is the beginning of theirs", async () => {
    expect(before).toEqual(neighbour);
    expect(await readObjects(admin, "short", neighbour)).toEqual(before);
  });

  test("change everything to another validity, except for the CA", async () => {
    const shown = await runScript("write-roles", ["--dry-run", "--max-validity-components=7d", "short"], {
      env,
    });
    const line = "update PKI role short/pki/k8s/roles/kubelet: ttl 30d -> 7d, max_ttl 30d -> 7d";
    expect(shown.stdout.split("\n")).toContain(line);
    const json = await runScript(
      "write-roles",
      ["--check", "--json", "--max-validity-components=7d", "short"],
      { env },
    );
    expect(JSON.parse(json.stdout).changes[0].fields).toContainEqual({
      field: "max_ttl",
      from: 30 * day,
      to: 7 * day,
    });
    await setUp(
      "short",
      ["--max-validity-ca=10y"],
      ["--max-validity-admin=90d", "--max-validity-components=7d"],
    );
    const wanted = await wantedShortLived("short");
    expect(await readObjects(admin, "short", wanted)).toEqual(wanted);
    expect(await caDays("short/pki/k8s")).toBeCloseTo(7300, 1);
  });
});

describe("an impossible validity", () => {
  test.each([
    ["setup-mounts", "--max-validity-ca=", "--max-validity-ca needs a value"],
    ["setup-mounts", "--max-validity-ca=10", '"10" is not a duration'],
    ["setup-mounts", "--max-validity-ca=0", "a validity has to be a whole number of seconds, one or more"],
    ["setup-mounts", "--max-validity-ca=-1h", '"-1h" is not a duration'],
    [
      "write-roles",
      "--max-validity-admin=1.5s",
      "a validity has to be a whole number of seconds, one or more",
    ],
    ["write-roles", "--max-validity-components=7 d", '"7 d" is not a duration'],
    ["write-roles", "--max-validity-ca=10y", "there is no flag --max-validity-ca"],
  ])("%s %s is refused before the server is asked", async (script, flag, sentence) => {
    // No server listens there, so a request would end with another code.
    const { code, stdout, stderr } = await runScript(script, ["bad", flag], {
      env: { VAULT_ADDR: "http://127.0.0.1:1", VAULT_TOKEN: "x" },
    });
    expect({ code, stdout, first: stderr.split("\n")[0] }).toEqual({
      code: 64,
      stdout: "",
      first: `${script}: ${sentence}`,
    });
  });
});
