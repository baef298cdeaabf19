/** Reductions per channel of [N, C, …], or [N, …, C] with `channels_last`. */

import type { Attrs } from "../../graph.js";
import { flag } from "../../graph.js";
import { product } from "../_infer.js";

export interface Channels {
  readonly channels: number;
  /** Elements of one channel. */
  readonly count: number;
  /** Channel of a flat index. */
  of(i: number): number;
}

export const channelAxis = (attrs: Attrs, rank: number): number => (flag({ attrs }, "channels_last") ? rank - 1 : 1);

export function channelsOf(dims: readonly number[], attrs: Attrs): Channels {
  const axis = channelAxis(attrs, dims.length);
  const channels = dims[axis] ?? 1;
  const inner = product(dims.slice(axis + 1));
  return { channels, count: product(dims) / Math.max(1, channels), of: (i) => Math.floor(i / inner) % channels };
}

/** Sum over each channel of f(flat index, channel). */
export function channelSums(dims: readonly number[], c: Channels, f: (i: number, channel: number) => number): Float64Array {
  const sums = new Float64Array(c.channels);
  const n = product(dims);
  for (let i = 0; i < n; i++) sums[c.of(i)]! += f(i, c.of(i));
  return sums;
}
