import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseManifest } from "../../lib/manifest/manifest.ts";
import { host } from "./read.ts";

const folder = join(import.meta.dir, "../../units/examples/certs.d");

test.each(readdirSync(folder))(
  "the example %s is a manifest, and stands where the units can write",
  (name) => {
    const text = readFileSync(join(folder, name), "utf8");
    const { destination } = parseManifest(text, `/etc/vault/certs.d/${name}`, host);
    expect(destination).toMatch(/^\/etc\/(etcd|kubernetes)\/ssl\//);
    expect(text).toContain(`/etc/vault/certs.d/${name} `);
  },
);

test("the examples can all stand on one host", () => {
  const destinations = readdirSync(folder).map(
    (name) => parseManifest(readFileSync(join(folder, name), "utf8"), name, host).destination,
  );
  expect(destinations.length).toBeGreaterThanOrEqual(3);
  expect(new Set(destinations).size).toBe(destinations.length);
});
