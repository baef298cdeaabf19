/** The options that image loaders share, and the arithmetic behind them: x / 255, then (x - mean) / std per channel, as torchvision does. */
import { z } from "zod";

const perChannel = z.union([z.number(), z.array(z.number()).min(1)]);

export const normalizeOptions = {
  mean: perChannel.default(0).describe("subtracted per channel after scaling pixels to 0..1"),
  std: perChannel.default(1).describe("divides per channel after the mean is subtracted"),
  layout: z.enum(["nchw", "nhwc"]).default("nchw").describe("axis order of the samples"),
  input: z.string().default("").describe("graph input that the samples feed; the only input when empty"),
};

export interface Normalization {
  readonly mean: number | readonly number[];
  readonly std: number | readonly number[];
  readonly layout: "nchw" | "nhwc";
}

/** 256 values per channel: what each pixel value becomes. In float32, in the order scale, subtract, divide. */
export function pixelTable(n: Normalization, channels: number): Float32Array {
  const pick = (v: number | readonly number[], c: number): number => (typeof v === "number" ? v : (v[Math.min(c, v.length - 1)] as number));
  const table = new Float32Array(256 * channels);
  for (let c = 0; c < channels; c++) {
    const mean = Math.fround(pick(n.mean, c));
    const std = Math.fround(pick(n.std, c));
    for (let p = 0; p < 256; p++) table[c * 256 + p] = Math.fround(Math.fround(Math.fround(p / 255) - mean) / std);
  }
  return table;
}

/**
 * Writes one image into `out` at `at`.
 * @param planar true when `pixels` holds one plane per channel (CIFAR), false when channels are interleaved (decoded images)
 */
export function writePixels(
  out: Float32Array,
  at: number,
  pixels: Uint8Array,
  channels: number,
  area: number,
  table: Float32Array,
  planar: boolean,
  layout: "nchw" | "nhwc",
): void {
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < area; i++) {
      const p = pixels[planar ? c * area + i : i * channels + c] as number;
      out[at + (layout === "nchw" ? c * area + i : i * channels + c)] = table[c * 256 + p] as number;
    }
  }
}
