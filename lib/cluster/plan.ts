import type { VaultClient } from "../vault/client.ts";
import type { Fields } from "../vault/shape.ts";
import { differences, type FieldChange } from "./compare.ts";
import type { ServerView } from "./server-view.ts";

/** Something that should stand in the server: what it is, where, how, and the calls that read and write it. */
export interface Resource {
  /** For people: `PKI role`. */
  readonly kind: string;
  readonly path: string;
  /** The fields that we set. Never a secret: they are printed. */
  readonly fields: Fields;
  /** What stands in its place; undefined where nothing does. */
  read(view: ServerView): Promise<Fields | undefined>;
  create(client: VaultClient): Promise<void>;
  update(client: VaultClient, changes: readonly FieldChange[]): Promise<void>;
  /** Throws a Failure where what stands there can be neither kept nor changed. */
  refuse?(found: Fields): void;
  /** Which fields differ, where it is not simply all that do. */
  differences?(found: Fields): readonly FieldChange[];
}

export interface Change {
  readonly action: "create" | "update";
  readonly resource: Resource;
  /** What an update changes; none for a creation. */
  readonly fields: readonly FieldChange[];
}

/** What stands, for each resource. */
export type Observed = ReadonlyMap<Resource, Fields | undefined>;

/** Reads what stands, all at once; the client bounds how many requests are under way. */
export async function observe(view: ServerView, resources: readonly Resource[]): Promise<Observed> {
  return new Map(await Promise.all(resources.map(async (it) => [it, await it.read(view)] as const)));
}

/**
 * What has to change so that every resource stands as it should, in the order of the resources.
 *
 * @throws Failure where one can be neither kept nor changed
 */
export function plan(resources: readonly Resource[], observed: Observed): readonly Change[] {
  return resources.flatMap((resource): Change[] => {
    const found = observed.get(resource);
    if (found === undefined) return [{ action: "create", resource, fields: [] }];
    resource.refuse?.(found);
    const fields = resource.differences?.(found) ?? differences(resource.fields, found);
    return fields.length === 0 ? [] : [{ action: "update", resource, fields }];
  });
}

/**
 * Makes the changes, one after the other: stopped anywhere, what is done stands and what remains is what the next
 * plan finds.
 *
 * @param onDone told of each change once it is made
 */
export async function apply(
  client: VaultClient,
  changes: readonly Change[],
  onDone: (change: Change) => void,
): Promise<void> {
  for (const change of changes) {
    if (change.action === "create") await change.resource.create(client);
    else await change.resource.update(client, change.fields);
    onDone(change);
  }
}
