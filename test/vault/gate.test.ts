import { expect, test } from "bun:test";
import { gate } from "../../lib/vault/gate.ts";

/** Has callers pass one gate; tells when the most of them were in, and how many that was. */
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

test("gate() lets as many in at one time as it has places, and everybody in the end", async () => {
  const { seen, wave } = crowd(gate(3));
  await wave(10);
  expect(seen).toEqual({ most: 3, passed: 10 });
});

test("gate() has neither more nor fewer places for a second wave", async () => {
  const { seen, wave } = crowd(gate(3));
  await wave(10);
  seen.most = 0;
  await wave(10);
  expect(seen).toEqual({ most: 3, passed: 20 });
});

test("gate() gives a place back when its holder fails, and lets callers in by the order they came in", async () => {
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
