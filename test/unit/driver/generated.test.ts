/** Data that the project makes itself. */
import { expect, it } from "vitest";
import type { Tensor } from "../../../compiler/core/index.js";
import type { Batch } from "../../../compiler/driver/data/dataset.js";
import { openData } from "../../../compiler/driver/data/index.js";

const tokens = (shape: number[], seed = 1) => openData("t", "generated", { kind: "tokens", shape, count: 200, seed, input: "tokens" }, "/");
const elements = ({ arrays }: Batch): bigint[] => [...((arrays["tokens"] as Tensor).data as BigInt64Array)];

it("the label of a sequence of tokens is its most frequent one, and no other is as frequent", async () => {
  const all = await (await tokens([9])).read(0, 200);
  const [data, { labels }] = [elements(all), all];
  const seen = new Set<number>();
  for (let i = 0; i < 200; i++) {
    const counts = new Map<number, number>();
    for (const t of data.slice(9 * i, 9 * i + 9)) counts.set(Number(t), (counts.get(Number(t)) ?? 0) + 1);
    const most = Math.max(...counts.values());
    expect([...counts].filter(([, n]) => n === most).map(([t]) => t)).toEqual([labels?.[i]]);
    seen.add(labels?.[i] as number);
  }
  expect(seen.size).toBe(10);
});

it("a sample depends on the seed and its number alone", async () => {
  const all = await (await tokens([12])).read(0, 50);
  const some = await (await tokens([12])).read(20, 5);
  expect(elements(some)).toEqual(elements(all).slice(240, 300));
  expect([...(some.labels ?? [])]).toEqual([...(all.labels ?? [])].slice(20, 25));
  const other = await (await tokens([12], 2)).read(20, 5);
  expect(elements(other)).not.toEqual(elements(some));
});

it("sequences without a token are refused", async () => {
  await expect(tokens([0])).rejects.toThrow(/CEC5002: data set t: sequences of tokens have at least one/);
});
