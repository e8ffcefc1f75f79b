import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { controlPlaneName, matchesServices } from "../../lib/cluster/control-plane-names.ts";

const names = [
  "system:kube-controller-manager",
  "system:kube-scheduler",
  "kubernetes-admin",
  "kubernetes.default.svc.cluster.local",
  "localhost",
];

/** A name with some parts replaced by a star, in lower and upper case. */
const patterns = fc
  .record({
    name: fc.constantFrom(...names),
    cuts: fc.array(fc.record({ at: fc.nat(40), length: fc.nat(40) }), { minLength: 1, maxLength: 4 }),
    isUpper: fc.boolean(),
  })
  .map(({ name, cuts, isUpper }) => {
    const text = cuts.reduce((it, { at, length }) => `${it.slice(0, at)}*${it.slice(at + length)}`, name);
    return isUpper ? text.toUpperCase() : text;
  });

describe("controlPlaneName()", () => {
  test("finds every name if a star replaces any part of it", () => {
    fc.assert(fc.property(patterns, (pattern) => controlPlaneName([pattern]) !== undefined));
  });

  test("finds the same names as a regular expression", () => {
    const texts = fc.array(fc.constantFrom("*", ..."admin-kube.:s"), { maxLength: 8 });
    fc.assert(
      fc.property(texts, (parts) => {
        const expression = parts.map((it) => (it === "*" ? ".*" : it.replace(".", "\\."))).join("");
        const found = controlPlaneName([parts.join("")], (name) => names.includes(name) || name === "admin");
        const wanted = ["admin", ...names].filter((name) => new RegExp(`^${expression}$`).test(name));
        expect(found !== undefined).toBe(wanted.length > 0);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("matchesServices()", () => {
  test.each([
    "svc",
    "*.svc",
    "w*.svc",
    "web.*",
    "*",
    "web*",
    "*.cluster.local",
    "web.svc.example.com",
    "web.SVC.example.com",
    "*.SVC",
  ])("is true for %s", (pattern) => expect(matchesServices(pattern)).toBe(true));

  test.each(["svc-1", "*.example.com", "a.svcs", "svc*.example.com", "*.local.example.com"])(
    "of %s is false",
    (pattern) => expect(matchesServices(pattern)).toBe(false),
  );
});
