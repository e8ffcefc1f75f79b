import { ROOT } from "../main.ts";
import type { Origin } from "./origin.ts";
import { runCommand } from "./run.ts";
import { locked, shippedPackages } from "./target.ts";

/** The parts of CycloneDX's format that are used here. */
interface Bom {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: ReadonlyArray<{ readonly ref: string; readonly dependsOn: readonly string[] }>;
}

interface Component {
  readonly "bom-ref": string;
  readonly [name: string]: unknown;
}

/**
 * Bun and all packages that are compiled in, as CycloneDX JSON. npm makes it from package-lock.json alone. Everything
 * that differs between runs of npm is left out or replaced: number, time, npm's version, the folder's name.
 *
 * @see https://docs.npmjs.com/cli/commands/npm-sbom
 * @see https://cyclonedx.org/docs/1.5/json/
 */
export async function sbom(
  epochSeconds: number,
  { repository }: Pick<Origin, "repository">,
): Promise<string> {
  const kind = ["--sbom-format=cyclonedx", "--sbom-type=application", "--package-lock-only"];
  const json = await runCommand(["npm", "sbom", "--silent", ...kind], { cwd: ROOT, env: process.env });
  const { components, dependencies, metadata }: Bom = JSON.parse(new TextDecoder().decode(json));
  const own = {
    ...metadata.component,
    name: "vault-helper",
    type: "application",
    ...(repository === undefined ? {} : { externalReferences: [{ type: "vcs", url: repository }] }),
  };
  const runtime = bunComponent();
  const bom = {
    $schema: "http://cyclonedx.org/schema/bom-1.5.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      timestamp: new Date(epochSeconds * 1000).toISOString(),
      tools: [{ vendor: "npm", name: "cli" }],
      component: own,
    },
    components: sorted(
      [...components.filter((it) => isShipped(it["bom-ref"])), runtime],
      (it) => it["bom-ref"],
    ),
    dependencies: sorted(
      [
        ...dependencies
          .filter(({ ref }) => ref === own["bom-ref"] || isShipped(ref))
          .map(({ ref, dependsOn }) => ({
            ref,
            dependsOn: [
              ...dependsOn.filter(isShipped),
              ...(ref === own["bom-ref"] ? [runtime["bom-ref"]] : []),
            ],
          })),
        { ref: runtime["bom-ref"], dependsOn: [] },
      ],
      (it) => it.ref,
    ),
  };
  return `${JSON.stringify(bom, null, 2)}\n`;
}

/** npm's `--omit=dev` is of no use here: it would drop packages that are shipped but that a developer's tool needs as well. */
function isShipped(ref: string): boolean {
  return shippedPackages().some(
    ([path, { version }]) => `${path.replace(/.*node_modules\//, "")}@${version}` === ref,
  );
}

/** Bun is a development dependency in package.json, but it is in every executable. */
function bunComponent(): Component {
  const { version } = locked("bun");
  return {
    "bom-ref": `bun@${version}`,
    type: "platform",
    name: "bun",
    version,
    description: "the runtime in the executable, with everything linked into it",
    scope: "required",
    purl: `pkg:npm/bun@${version}`,
    licenses: [{ license: { id: "MIT" } }],
  };
}

function sorted<T>(items: readonly T[], key: (item: T) => string): T[] {
  return items.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}
