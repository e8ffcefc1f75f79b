import { expect, test } from "bun:test";
import { renewAll, startCluster } from "./renewals.ts";

// A smaller run of `npm run test:leader`.
test("hosts whose leader is killed renew their tokens, at once or in their next run, and lose none", async () => {
  await using cluster = await startCluster(20);
  const { broken, kills, firstTime, secondTime, runs, requests } = await renewAll(cluster, {
    killAt: [4],
    lanes: 4,
    pauseMs: 400,
  });
  expect(broken).toEqual([]);
  expect(kills).toBe(1);
  expect(firstTime + secondTime).toBe(20);
  expect(runs).toBe(20 + secondTime);
  // Some requests failed with the leader, and none was sent more than three times.
  expect(requests).toBeWithin(runs + 1, 3 * runs + 1);
});
