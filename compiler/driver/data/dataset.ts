/**
 * What every data loader gives: samples that are read when they are asked for, never all at once.
 */
import { createHash } from "node:crypto";
import { type Tensor, toBytes } from "../../core/index.js";

/** One batch: arrays by input name (`""` for data that does not name its input), and labels where the data has them. */
export interface Batch {
  readonly arrays: Readonly<Record<string, Tensor>>;
  /** Class indices, one a sample. */
  readonly labels: Int32Array | null;
}

/** An indexed set of samples, all of one shape per array. */
export interface Dataset {
  /** For messages: the name in the plan, or the path. */
  readonly name: string;
  readonly size: number;
  /** Shape of one sample per array, without the batch axis. */
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly hasLabels: boolean;
  /** Reads samples `[start, start + count)`; the caller keeps within `size`. */
  read(start: number, count: number): Promise<Batch>;
}

/** Samples `[start, end)` of a set; `end` past the last sample is the last sample. */
export function slice(data: Dataset, start: number, end: number): Dataset {
  const from = Math.min(Math.max(0, start), data.size);
  const to = Math.min(Math.max(from, end), data.size);
  return { ...data, name: `${data.name}[${start}:${end}]`, size: to - from, read: (at, count) => data.read(from + at, count) };
}

/** Every `every`th sample of a set (`only`), or all others: two parts of one set, each spread over all of it. */
export function part(data: Dataset, every: number, only: boolean): Dataset {
  const indices = Array.from({ length: data.size }, (_, i) => i).filter((i) => (i % every === every - 1) === only);
  return {
    ...data,
    name: `${data.name}, ${only ? "every" : "all but every"} ${every}th`,
    size: indices.length,
    async read(start, count) {
      const parts: Batch[] = [];
      for (const i of indices.slice(start, start + count)) parts.push(await data.read(i, 1));
      const [first] = parts;
      if (first === undefined) return data.read(0, 0);
      const join = (name: string): Tensor => {
        const all = parts.map((p) => p.arrays[name] as Tensor);
        const { type, dims, data: head } = all[0] as Tensor;
        const joined = new (head.constructor as Float32ArrayConstructor)(head.length * all.length);
        all.forEach((t, i) => {
          joined.set(t.data as Float32Array, i * head.length);
        });
        return { type, dims: [all.length, ...dims.slice(1)], data: joined };
      };
      const labels = first.labels === null ? null : Int32Array.from(parts, (p) => p.labels?.[0] ?? 0);
      return { arrays: Object.fromEntries(Object.keys(first.arrays).map((n) => [n, join(n)])), labels };
    },
  };
}

/** Batches of at most `size` samples, in order; the last may be shorter. */
export async function* batches(
  data: Dataset,
  size: number,
  limit = data.size,
): AsyncGenerator<Batch & { readonly start: number; readonly count: number }> {
  const end = Math.min(limit, data.size);
  for (let start = 0; start < end; start += size) {
    const count = Math.min(size, end - start);
    yield { ...(await data.read(start, count)), start, count };
  }
}

/** What tells one set of samples from another: how many there are, and the bytes of some from all over. */
export async function contentKey(data: Dataset): Promise<string> {
  const h = createHash("sha256").update(`${data.size}`);
  const looked = Math.min(data.size, 8);
  for (let i = 0; i < looked; i++) {
    const { arrays, labels } = await data.read(Math.floor((i * data.size) / looked), 1);
    for (const [name, t] of Object.entries(arrays)) h.update(name).update(toBytes(t));
    h.update(`${labels?.[0] ?? ""}`);
  }
  return h.digest("hex");
}
