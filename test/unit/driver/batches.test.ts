import { expect, it } from "vitest";
import { f32, type Tensor } from "../../../compiler/core/index.js";
import { batches, type Dataset, slice } from "../../../compiler/driver/data/index.js";

const counting = (size: number, failAt = -1): { readonly data: Dataset; readonly reads: number[] } => {
  const reads: number[] = [];
  const data: Dataset = {
    name: "numbers",
    size,
    shapes: { "": [1] },
    hasLabels: false,
    async read(start, count) {
      reads.push(start);
      if (start === failAt) throw new Error("the file ends here");
      return {
        arrays: {
          "": f32(
            [count, 1],
            Array.from({ length: count }, (_, i) => start + i),
          ),
        },
        labels: null,
      };
    },
  };
  return { data, reads };
};
const turn = (): Promise<void> => new Promise((done) => setTimeout(done, 5));

it("gives all samples in order, and reads one batch ahead of the caller, never more", async () => {
  const { data, reads } = counting(10);
  const got: number[] = [];
  let asked = 0;
  for await (const b of batches(data, 4)) {
    asked++;
    expect(reads.length).toBe(asked);
    await turn();
    expect(reads.length).toBe(Math.min(asked + 1, 3));
    got.push(...((b.arrays[""] as Tensor).data as Float32Array));
    expect(b.count).toBe(b.arrays[""]?.dims[0]);
  }
  expect(got).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(reads).toEqual([0, 4, 8]);
});

it("a batch that cannot be read fails when it is asked for, and not for a caller that has stopped before", async () => {
  const { data } = counting(10, 4);
  const iterator = batches(data, 4);
  expect((await iterator.next()).value?.start).toBe(0);
  await turn();
  await expect(iterator.next()).rejects.toThrow("the file ends here");
  for await (const b of batches(counting(10, 4).data, 4)) {
    await turn();
    if (b.start === 0) break;
  }
  await turn();
});

it("a slice that begins behind the last sample is a fault, one that ends there is not", () => {
  const { data } = counting(10);
  expect(() => slice(data, 999_999, Number.POSITIVE_INFINITY)).toThrow(
    "CEC5002: the slice [999999:] of data set numbers begins behind its last sample (it has 10 samples)",
  );
  expect(() => slice(data, 10, 12)).toThrow("the slice [10:12] of data set numbers");
  expect(slice(data, 8, 100)).toMatchObject({ name: "numbers[8:100]", size: 2 });
});
