import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hostMetrics } from "../../lib/cli/host-metrics.ts";
import { hostStatusJson } from "../../lib/cli/host-status-json.ts";
import { hostStatus } from "../../lib/tasks/host-status.ts";
import { temporaryFolder } from "../support/folder.ts";
import { section } from "../support/markdown.ts";

const page = readFileSync(join(import.meta.dir, "../../docs/status.md"), "utf8");

async function emptyHost() {
  using folder = temporaryFolder();
  return await hostStatus({
    connect: undefined,
    configPath: folder.path,
    configDir: folder.path,
    isConfigDirOptional: true,
    destinations: [],
    failureKindOf: () => undefined,
  });
}

test("docs/status.md has a row for each metric, in their order, with its help text", async () => {
  const rows = section(page, "Metrics")
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  const metrics = hostMetrics(await emptyHost());
  expect(rows.map(([, name]) => `vault_helper_${name?.replaceAll("`", "")}`)).toEqual(
    metrics.map(({ name }) => name),
  );
  expect(metrics.filter(({ help }, i) => rows[i]?.[3]?.startsWith(help) !== true)).toEqual([]);
});

test("docs/status.md names each field of the JSON", async () => {
  const text = section(page, "JSON");
  const fields = Object.keys(hostStatusJson(await emptyHost()));
  expect(fields.length).toBeGreaterThan(8);
  expect(
    fields.filter((field) => !text.includes(`\`${field}\``) && !text.includes(`\`${field}[]\``)),
  ).toEqual([]);
});
