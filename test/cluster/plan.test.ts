import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { mountResources } from "../../lib/cluster/mount-resources.ts";
import { apply, type Change, plan, type Resource, type Unwanted } from "../../lib/cluster/plan.ts";
import { roleResources } from "../../lib/cluster/role-resources.ts";
import type { Fields } from "../../lib/vault/shape.ts";
import { changeName, clientOf } from "./run.ts";

const cluster = defineCluster("model");
const resources = [...mountResources(cluster), ...roleResources(cluster)];
const everything = resources.map((_, index) => index);

/** The contents of a server, by resource. */
type Model = Map<Resource | Unwanted, Fields | undefined>;

/** Fields that a resource needs besides its own so that it is not refused. */
function ours({ kind, path, fields }: Resource): Fields {
  if (kind === "mount") return { type: path.endsWith("secrets") ? "generic" : "pki", ...fields };
  if (kind === "secret") return { [path.endsWith("accounts") ? "key" : "content"]: "kept" };
  if (kind === "init token") return { policies: ["default", `${path.replace("-", "/")}-creator`] };
  return fields;
}

/** Other forms in which servers return a written value. */
const forms = fc.constantFrom<ReadonlyArray<(value: unknown) => unknown>>(
  [(value) => value],
  [(value) => (typeof value === "number" ? `${value}s` : value)],
  [(value) => (Array.isArray(value) && value.length === 0 ? null : value)],
  [(value) => (Array.isArray(value) ? value.toReversed() : value)],
  [(value) => (Array.isArray(value) ? value.join(",") : value)],
);

const someResources = fc.subarray(everything, { minLength: 0 });
const junk = fc.oneof(fc.integer(), fc.boolean(), fc.string(), fc.array(fc.string()), fc.constant(null));

/** A server on which some resources are missing, and others have changed, reformatted or missing fields. */
const models = fc
  .record({
    missing: someResources,
    drifted: fc.array(fc.record({ at: fc.nat(), field: fc.nat(), to: fc.option(junk, { nil: undefined }) })),
    form: forms,
  })
  .map(({ missing, drifted, form }): Model => {
    const model: Model = new Map(resources.map((it) => [it, inForm(ours(it), form)]));
    for (const { at, field, to } of drifted) {
      const resource = resources[at % resources.length];
      const names = Object.keys(resource?.fields ?? {});
      const name = names[field % names.length];
      if (resource === undefined || name === undefined) continue;
      const { [name]: _, ...rest } = model.get(resource) ?? {};
      model.set(resource, to === undefined ? rest : { ...rest, [name]: to });
    }
    for (const [index, resource] of resources.entries()) {
      // The tuning of auth/token exists on every server.
      if (missing.includes(index) && resource.kind !== "auth tuning") model.set(resource, undefined);
    }
    return model;
  });

function inForm(fields: Fields, [form]: ReadonlyArray<(value: unknown) => unknown>): Fields {
  const formed = Object.entries(fields).map(([name, value]) => [name, form?.(value)]);
  // Fields that can lead to a refusal are always read in the same form.
  const asRead = Object.entries(fields).filter(([name]) => name === "type" || name === "policies");
  return Object.fromEntries([...formed, ...asRead]);
}

function change(model: Model, { resource, action, fields }: Change): void {
  const to = Object.fromEntries(fields.map(({ field, to }) => [field, to]));
  if (action === "delete") model.set(resource, undefined);
  else model.set(resource, action === "create" ? ours(resource) : { ...model.get(resource), ...to });
}

describe("plan()", () => {
  test("creates everything on an empty server, in the order of the resources", () => {
    const nothing: Model = new Map(resources.map((it) => [it, undefined]));
    expect(plan(resources, nothing).map(changeName)).toEqual(
      resources.map(({ kind, path }) => `create ${kind} ${path}`),
    );
  });

  test("is empty after it was applied", () => {
    fc.assert(
      fc.property(models, (model) => {
        for (const it of plan(resources, model)) change(model, it);
        expect(plan(resources, model)).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test("is the rest after it was applied in part", () => {
    fc.assert(
      fc.property(models, fc.nat(), (model, n) => {
        const changes = plan(resources, model);
        const done = n % (changes.length + 1);
        for (const it of changes.slice(0, done)) change(model, it);
        expect(plan(resources, model)).toEqual(changes.slice(done));
      }),
      { numRuns: 300 },
    );
  });

  test("names missing resources, and ignores values in another form", () => {
    fc.assert(
      fc.property(someResources, forms, (missing, form) => {
        const model: Model = new Map(
          resources.map((it, index) => [it, missing.includes(index) ? undefined : inForm(ours(it), form)]),
        );
        // All servers return seconds here.
        const [tuning] = resources;
        if (tuning !== undefined && !missing.includes(0)) model.set(tuning, tuning.fields);
        expect(plan(resources, model).map(({ resource }) => resource)).toEqual(
          resources.filter((_, index) => missing.includes(index)),
        );
      }),
    );
  });
});

describe("plan() of an unwanted object", () => {
  const unwanted = {
    kind: "thing",
    path: "a",
    rights: {},
    read: async () => undefined,
    remove: async () => {},
  };

  test("deletes it if it exists, in its place among the others, and nothing after that", () => {
    const [first, second] = resources;
    if (first === undefined || second === undefined) throw new Error("there are some");
    const model: Model = new Map<Resource | Unwanted, Fields>([[unwanted, {}]]);
    const changes = plan([first, unwanted, second], model);
    expect(changes.map(({ action }) => action)).toEqual(["create", "delete", "create"]);
    for (const it of changes) change(model, it);
    expect(plan([first, unwanted, second], model)).toEqual([]);
  });
});

describe("apply()", () => {
  test("makes the changes one by one, reports each, and stops at the first failure", async () => {
    const told: string[] = [];
    const act = (path: string) => async () => {
      if (path === "c") throw new Error("by intent");
      told.push(`made ${path}`);
    };
    const changes = ["a", "b", "c", "d"].map((path): Change => {
      const resource = { kind: "thing", path, rights: {}, fields: {}, read: async () => undefined };
      return {
        action: path === "b" ? "update" : "create",
        fields: [],
        resource: { ...resource, create: act(path), update: act(path) },
      };
    });
    const applied = apply(clientOf("http://127.0.0.1:1", "x"), changes, ({ resource }) =>
      told.push(`told ${resource.path}`),
    );
    await expect(applied).rejects.toThrow("by intent");
    expect(told).toEqual(["made a", "told a", "made b", "told b"]);
  });
});
