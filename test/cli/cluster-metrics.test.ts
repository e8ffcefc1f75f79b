import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { clusterMetrics } from "../../lib/cli/cluster-metrics.ts";
import { section } from "../support/markdown.ts";

const page = readFileSync(join(import.meta.dir, "../../docs/status.md"), "utf8");

test("docs/status.md has a row for each metric of a cluster, in their order, with its help text", () => {
  const rows = section(page, "Metrics of a cluster")
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  const metrics = clusterMetrics({
    ...{ id: "demo", state: "ok", now: new Date(0) },
    ...{ mounts: [], setup: [], initTokens: [], hostTokens: [] },
    silentHosts: { count: 0, unnamed: 0, latest: [] },
  });
  expect(rows.map(([, name]) => `vault_helper_${name?.replaceAll("`", "")}`)).toEqual(
    metrics.map(({ name }) => name),
  );
  expect(metrics.filter(({ help }, i) => rows[i]?.[3]?.startsWith(help) !== true)).toEqual([]);
});
