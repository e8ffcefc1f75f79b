import { describe, expect, test } from "bun:test";
import { each } from "../../lib/vault/each.ts";

describe("each()", () => {
  test("returns results in order, with at most eight under way", async () => {
    const items = Array.from({ length: 100 }, (_, i) => i);
    let [running, most, told] = [0, 0, 0];
    const results = await each(
      items,
      async (item) => {
        most = Math.max(most, ++running);
        await Bun.sleep(item % 3);
        running--;
        return item * 2;
      },
      (done) => {
        expect(done).toBe(++told);
      },
    );
    expect(results).toEqual(items.map((item) => item * 2));
    expect({ most, told }).toEqual({ most: 8, told: 100 });
  });

  test("begins nothing more after a failure", async () => {
    const begun: number[] = [];
    const work = each(
      Array.from({ length: 100 }, (_, i) => i),
      async (item) => {
        begun.push(item);
        await Bun.sleep(1);
        if (item === 10) throw new Error("ten");
      },
    );
    expect(work).rejects.toThrow("ten");
    await work.catch(() => {});
    await Bun.sleep(20);
    expect(begun.length).toBeLessThan(30);
  });

  test("returns nothing for no items", async () => {
    expect(await each([], async () => 1)).toEqual([]);
  });
});
