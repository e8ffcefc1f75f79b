import { expect, test } from "bun:test";
import { gate } from "../../lib/vault/gate.ts";

/** Sends callers through one gate, and counts how many were inside at the same time and how many passed. */
function crowd(enter: () => Promise<Disposable>) {
  let inside = 0;
  const seen = { most: 0, passed: 0 };
  const pass = async () => {
    using _place = await enter();
    seen.most = Math.max(seen.most, ++inside);
    await Bun.sleep(1);
    inside--;
    seen.passed++;
  };
  return { seen, wave: (size: number) => Promise.all(Array.from({ length: size }, pass)) };
}

test("gate() lets as many in at the same time as it has places, and everybody in the end", async () => {
  const { seen, wave } = crowd(gate(3));
  await wave(10);
  expect(seen).toEqual({ most: 3, passed: 10 });
});

test("gate() has the same number of places for a second wave", async () => {
  const { seen, wave } = crowd(gate(3));
  await wave(10);
  seen.most = 0;
  await wave(10);
  expect(seen).toEqual({ most: 3, passed: 20 });
});

test("gate() frees the place of a caller that fails, and keeps the order of arrival", async () => {
  const enter = gate(1);
  const order: string[] = [];
  const pass = async (name: string, act: () => void = () => {}) => {
    using _place = await enter();
    order.push(name);
    act();
  };
  const failing = pass("first", () => {
    throw new Error("failed");
  });
  const others = [pass("second"), pass("third")];
  await expect(failing).rejects.toThrow("failed");
  await Promise.all(others);
  expect(order).toEqual(["first", "second", "third"]);
});
