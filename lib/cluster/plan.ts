import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { VaultError } from "../vault/error.ts";
import type { Fields } from "../vault/shape.ts";
import { differences, type FieldChange } from "./compare.ts";
import type { Right } from "./rights.ts";
import type { ServerView } from "./server-view.ts";

interface ServerObject {
  /** For people: `PKI role`. */
  readonly kind: string;
  readonly path: string;
  /** What the token must be granted, by what is done with it. */
  readonly rights: Readonly<Partial<Record<"read" | Change["action"], readonly Right[]>>>;
  /** What stands in its place; undefined where nothing does. */
  read(view: ServerView): Promise<Fields | undefined>;
}

/** Something that should stand in the server: what it is, where, how, and the calls that read and write it. */
export interface Resource extends ServerObject {
  /** The fields that we set. Never a secret: they are printed. */
  readonly fields: Fields;
  create(client: VaultClient): Promise<void>;
  update(client: VaultClient, changes: readonly FieldChange[]): Promise<void>;
  /** Throws a Failure where what stands there can be neither kept nor changed. */
  refuse?(found: Fields): void;
  /** Which fields differ, where it is not simply all that do. */
  differences?(found: Fields): readonly FieldChange[];
  /** How it is taken away; absent where it goes with the mount that it is in, or is not the cluster's alone. */
  readonly removal?: Removal;
}

export interface Removal {
  /** Why what stands is more than set-up made, and stays; undefined where it may go. */
  keep?(found: Fields): string | undefined;
  /** No error where nothing is there. */
  run(client: VaultClient, found: Fields): Promise<void>;
}

/** Something that an earlier set-up made, and that should stand no longer. */
export interface Unwanted extends ServerObject {
  remove(client: VaultClient): Promise<void>;
}

export type Change =
  | {
      readonly action: "create" | "update";
      readonly resource: Resource;
      /** What an update changes; none for a creation. */
      readonly fields: readonly FieldChange[];
    }
  | { readonly action: "delete"; readonly resource: Unwanted; readonly fields: readonly [] };

/** An error that set-up itself would be stopped by, and not a server that refuses. */
export function isRefusal(error: unknown): error is Failure {
  return error instanceof Failure && !(error instanceof VaultError) && error.kind === "config";
}

/** What stands, for each resource. */
export type Observed = ReadonlyMap<Resource | Unwanted, Fields | undefined>;

/** Reads what stands, all at once; the client bounds how many requests are under way. */
export async function observe(
  view: ServerView,
  resources: ReadonlyArray<Resource | Unwanted>,
): Promise<Observed> {
  return new Map(await Promise.all(resources.map(async (it) => [it, await it.read(view)] as const)));
}

/**
 * What has to change so that every resource stands as it should, or no longer does, in the order of the resources.
 *
 * @throws Failure where one can be neither kept nor changed
 */
export function plan(resources: ReadonlyArray<Resource | Unwanted>, observed: Observed): readonly Change[] {
  return resources.flatMap((resource): Change[] => {
    const found = observed.get(resource);
    if ("remove" in resource) return found === undefined ? [] : [{ action: "delete", resource, fields: [] }];
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
    if (change.action === "delete") await change.resource.remove(client);
    else if (change.action === "create") await change.resource.create(client);
    else await change.resource.update(client, change.fields);
    onDone(change);
  }
}
