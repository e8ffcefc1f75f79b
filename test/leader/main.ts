import { renewAll, startCluster } from "./renewals.ts";

// 200 hosts renew their tokens while the leader of three nodes is killed twice: `npm run test:leader`.

const hostCount = 200;
const killAt = [40, 120];
const limitSeconds = 150;

async function main(): Promise<number> {
  await using cluster = await startCluster(hostCount);
  const began = performance.now();
  const numbers = await renewAll(cluster, { killAt, lanes: 8, pauseMs: 800 });
  const { runs, firstTime, secondTime, broken, requests, kills } = numbers;
  for (const words of broken) console.error(words);
  const table: ReadonlyArray<readonly [string, number]> = [
    ["hosts", hostCount],
    ["leaders killed meanwhile", kills],
    ["runs", runs],
    ["renewed at once", firstTime],
    ["ended with 75, renewed in the next run", secondTime],
    ["failed otherwise, or lost", broken.length],
    ["requests", requests],
    ["seconds", Math.round((performance.now() - began) / 1000)],
  ];
  console.log("| | |\n| --- | --- |");
  for (const [what, number] of table) console.log(`| ${what} | ${number} |`);
  return broken.length === 0 && kills === killAt.length && firstTime + secondTime === hostCount ? 0 : 1;
}

setTimeout(() => {
  console.error(`it was not done within ${limitSeconds} s`);
  process.exit(1);
}, limitSeconds * 1000);
process.exit(await main());
