import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Manifest, parseManifest } from "../../lib/manifest/manifest.ts";
import { host } from "./read.ts";

const folder = join(import.meta.dir, "../../units/examples/certs.d");

/** Reads an example with root in place of the user etcd, which this host may not have. */
function read(name: string): Manifest {
  const text = readFileSync(join(folder, name), "utf8").replaceAll('= "etcd"', '= "root"');
  return parseManifest(text, `/etc/vault/certs.d/${name}`, host);
}

test.each(readdirSync(folder))(
  "the example %s is a valid manifest with a destination that the units can write",
  (name) => {
    expect(read(name).destination).toMatch(/^\/etc\/(etcd|kubernetes)\/ssl\//);
    expect(readFileSync(join(folder, name), "utf8")).toContain(`/etc/vault/certs.d/${name} `);
  },
);

test("all examples can be used on one host", () => {
  const destinations = readdirSync(folder).map((name) => read(name).destination);
  expect(destinations.length).toBeGreaterThanOrEqual(3);
  expect(new Set(destinations).size).toBe(destinations.length);
});
