import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../lib/failure.ts";
import { ROOT } from "../main.ts";
import { locked, shippedPackages } from "./target.ts";

/**
 * The licence of everything that is in an executable beside our own code: the runtime, as its project tells them, and
 * each package's, word for word.
 *
 * @throws Failure (config) for a package without one: what may not be passed on is not shipped
 */
export function thirdPartyLicenses(): string {
  const packages = shippedPackages().map(
    ([path, { version, license }]) =>
      [`${path.replace(/.*node_modules\//, "")} ${version} (${license})`, licenseOf(path)] as const,
  );
  const parts = [
    [`bun ${locked("bun").version} (MIT, with what is linked into it)`, readPart("bun-LICENSE.md")],
    ...packages,
    ["LGPL 2.1, for JavaScriptCore, WebCore's files and tinycc in bun", readPart("LGPL-2.1.txt")],
  ] as const;
  return [
    "The executable of vault-helper is made of its own code (Apache-2.0, see LICENSE) and of what follows.\n",
    ...parts.map(([title, text]) => `${"=".repeat(78)}\n${title}\n${"=".repeat(78)}\n\n${text.trim()}\n`),
  ].join("\n");
}

function readPart(name: string): string {
  return readFileSync(join(ROOT, "tools/packages", name), "utf8");
}

function licenseOf(path: string): string {
  const folder = join(ROOT, path);
  const name = readdirSync(folder).find((it) => /^licen[cs]e(\.(md|txt))?$/i.test(it));
  if (name === undefined) throw new Failure("config", `${path} has no licence's text`);
  return readFileSync(join(folder, name), "utf8");
}
