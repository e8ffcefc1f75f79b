import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../lib/failure.ts";
import { ROOT } from "../main.ts";
import { locked, shippedPackages } from "./target.ts";

/**
 * The licences of everything in the executable besides our own code: those of the runtime, as its project lists them,
 * and the full text of each package's licence.
 *
 * @throws Failure (config) for a package without a licence: it must not be shipped
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
    "The executable of vault-helper contains its own code (Apache-2.0, see LICENSE) and the following.\n",
    ...parts.map(([title, text]) => `${"=".repeat(78)}\n${title}\n${"=".repeat(78)}\n\n${text.trim()}\n`),
  ].join("\n");
}

function readPart(name: string): string {
  return readFileSync(join(ROOT, "tools/packages", name), "utf8");
}

function licenseOf(path: string): string {
  const folder = join(ROOT, path);
  const name = readdirSync(folder).find((it) => /^licen[cs]e(\.(md|txt))?$/i.test(it));
  if (name === undefined) throw new Failure("config", `${path} has no licence text`);
  return readFileSync(join(folder, name), "utf8");
}
