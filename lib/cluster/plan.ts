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
  /** The rights that the token needs for each action. */
  readonly rights: Readonly<Partial<Record<"read" | Change["action"], readonly Right[]>>>;
  /** Its fields in the server; undefined if it does not exist. */
  read(view: ServerView): Promise<Fields | undefined>;
}

/** Something that should exist in the server, with the calls that read and write it. */
export interface Resource extends ServerObject {
  /** The fields that we set. They are printed, so none holds a secret. */
  readonly fields: Fields;
  create(client: VaultClient): Promise<void>;
  update(client: VaultClient, changes: readonly FieldChange[]): Promise<void>;
  /** Throws a Failure (config) if what exists can be neither kept nor changed. */
  refuse?(found: Fields): void;
  /** The fields that have to change. @default every field of `fields` that differs */
  differences?(found: Fields): readonly FieldChange[];
  /** How a teardown removes it. Absent if it goes with its mount, or if other clusters use it. */
  readonly removal?: Removal;
}

export interface Removal {
  /** Why a teardown keeps it, if it holds more than set-up made; undefined if it can go. */
  keep?(found: Fields): string | undefined;
  /** Removes it. It is no error if it is already gone. */
  run(client: VaultClient, found: Fields): Promise<void>;
}

/** Something that an earlier set-up made and that should no longer exist. */
export interface Unwanted extends ServerObject {
  remove(client: VaultClient): Promise<void>;
}

export type Change =
  | {
      readonly action: "create" | "update";
      readonly resource: Resource;
      /** The fields that an update changes; none for a creation. */
      readonly fields: readonly FieldChange[];
    }
  | { readonly action: "delete"; readonly resource: Unwanted; readonly fields: readonly [] };

/** Whether set-up itself refused to go on, rather than the server. */
export function isRefusal(error: unknown): error is Failure {
  return error instanceof Failure && !(error instanceof VaultError) && error.kind === "config";
}

/** The fields of each resource in the server. */
export type Observed = ReadonlyMap<Resource | Unwanted, Fields | undefined>;

/** Reads all resources at once. The client limits how many requests are under way. */
export async function observe(
  view: ServerView,
  resources: ReadonlyArray<Resource | Unwanted>,
): Promise<Observed> {
  return new Map(await Promise.all(resources.map(async (it) => [it, await it.read(view)] as const)));
}

/**
 * The changes that create, correct or delete each resource, in the order of the resources.
 *
 * @throws Failure (config) if one can be neither kept nor changed
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
 * Makes the changes one after the other. If it stops in between, the next plan finds the remaining ones.
 *
 * @param onDone called after each change
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
