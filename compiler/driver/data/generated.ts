/**
 * Data that the project makes itself: `shapes`, ten classes of drawn patterns with noise; `tokens`, sequences whose class is their most frequent token; and `normal`,
 * random arrays without labels.
 * Sample i depends on the seed and on i alone, so any slice of a set is the same on every run.
 */
import { z } from "zod";
import { fail, normalFrom, randomFrom, type Tensor } from "../../core/index.js";
import type { Dataset } from "./dataset.js";

export const SHAPE_CLASSES = ["disc", "ring", "square", "frame", "plus", "cross", "rows", "columns", "diagonals", "checks"] as const;

export const generatedOptions = z
  .object({
    kind: z
      .enum(["shapes", "tokens", "normal"])
      .default("shapes")
      .describe("drawn patterns with labels 0 to 9; tokens 0 to 9 (i64), the label is the most frequent one; or normally distributed values"),
    shape: z
      .array(z.number().int().min(0))
      .min(1)
      .default([1, 28, 28])
      .describe("one sample: [channels, height, width] for shapes, [length] for tokens"),
    count: z.number().int().min(1).default(1000).describe("number of samples"),
    seed: z.number().int().default(0).describe("seed of the generator"),
    noise: z.number().min(0).default(0.15).describe("standard deviation of the pixel noise (shapes)"),
    input: z.string().default("").describe("graph input that the samples feed; the only input when empty"),
  })
  .strict();

/** 1 inside the pattern, 0 outside; (u, v) are coordinates relative to the centre in units of the pattern's radius. */
function inside(label: number, u: number, v: number): boolean {
  const r = Math.hypot(u, v);
  const box = Math.max(Math.abs(u), Math.abs(v));
  const stripe = (t: number): boolean => Math.floor((t + 2) * 2.5) % 2 === 0;
  switch (SHAPE_CLASSES[label]) {
    case "disc":
      return r < 0.9;
    case "ring":
      return r < 1 && r > 0.6;
    case "square":
      return box < 0.8;
    case "frame":
      return box < 0.95 && box > 0.6;
    case "plus":
      return box < 1 && Math.min(Math.abs(u), Math.abs(v)) < 0.25;
    case "cross":
      return box < 0.9 && Math.abs(Math.abs(u) - Math.abs(v)) < 0.3;
    case "rows":
      return box < 1 && stripe(v);
    case "columns":
      return box < 1 && stripe(u);
    case "diagonals":
      return box < 1 && stripe((u + v) / Math.SQRT2);
    default:
      return box < 1 && stripe(u) === stripe(v);
  }
}

function drawShape(out: Float32Array, at: number, dims: readonly number[], label: number, noise: number, random: () => number): void {
  const [channels = 1, height = 1, width = 1] = dims;
  const radius = (0.25 + 0.2 * random()) * Math.min(height, width);
  const cy = height / 2 + (random() - 0.5) * 0.25 * height;
  const cx = width / 2 + (random() - 0.5) * 0.25 * width;
  const ink = Array.from({ length: channels }, () => 0.5 + 0.5 * random());
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const on = inside(label, (x - cx) / radius, (y - cy) / radius) ? (ink[c] as number) : 0;
        out[at + (c * height + y) * width + x] = on + noise * normalFrom(random);
      }
    }
  }
}

const TOKENS = 10;

/** Draws tokens until one is more frequent than all others; that is the label. */
function drawTokens(out: BigInt64Array, random: () => number): number {
  for (;;) {
    const counts = new Array<number>(TOKENS).fill(0);
    for (let i = 0; i < out.length; i++) {
      const token = Math.min(TOKENS - 1, Math.floor(random() * TOKENS));
      out[i] = BigInt(token);
      (counts[token] as number)++;
    }
    const most = Math.max(...counts);
    if (most > 0 && counts.indexOf(most) === counts.lastIndexOf(most)) return counts.indexOf(most);
  }
}

export function openGenerated(name: string, o: z.infer<typeof generatedOptions>): Dataset {
  const area = o.shape.reduce((a, b) => a * b, 1);
  if (o.kind === "tokens" && area === 0)
    fail("CEC5002", { message: `data set ${name}: sequences of tokens have at least one`, help: "give `shape` a length, such as [32]" });
  return {
    name,
    size: o.count,
    shapes: { [o.input]: o.shape },
    hasLabels: o.kind !== "normal",
    async read(start, count) {
      const labels = o.kind === "normal" ? null : new Int32Array(count);
      if (labels !== null && o.kind === "tokens") {
        const tokens = new BigInt64Array(count * area);
        for (let i = 0; i < count; i++) labels[i] = drawTokens(tokens.subarray(i * area, (i + 1) * area), randomFrom(o.seed, start + i));
        return { arrays: { [o.input]: { type: "i64", dims: [count, ...o.shape], data: tokens } }, labels };
      }
      const data = new Float32Array(count * area);
      for (let i = 0; i < count; i++) {
        const random = randomFrom(o.seed, start + i);
        if (labels === null) for (let j = 0; j < area; j++) data[i * area + j] = normalFrom(random);
        else {
          const label = Math.floor(random() * SHAPE_CLASSES.length);
          labels[i] = label;
          drawShape(data, i * area, o.shape, label, o.noise, random);
        }
      }
      const t: Tensor = { type: "f32", dims: [count, ...o.shape], data };
      return { arrays: { [o.input]: t }, labels };
    },
  };
}
