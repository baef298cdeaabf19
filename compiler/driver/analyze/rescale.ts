/**
 * Cross-layer equalization (the pass equalize; other tools do the same) scales channels and gives the inverse to the weights that read them. The network is the
 * same, its activations are not: the source is scaled alike before they are compared.
 */

import { z } from "zod";
import { channelClasses, productOf } from "../../../passes/quantize/channels.js";
import { scaleProducts } from "../../../passes/quantize/scale-products.js";
import { constantTensor, definePass, type Graph, type Op, type PassDefinition, runPipeline, toNumbers, type Value } from "../../core/index.js";

/** Factors nearer to 1 than this are not worth the trouble. */
const NOISE = 0.01;
/** A factor must explain this share of a channel's difference: coarse rounding and retraining change weights too, but not in proportion. */
const EXPLAINED = 0.9;

interface Factors {
  of(v: Value, channel: number): number;
  /** Ops whose result is scaled. */
  readonly scaled: readonly string[];
}

/** Factor of each channel, by least squares from the source's weights to the compressed model's, in the order of the network. */
function factorsOf(source: Graph, ops: ReadonlyMap<Op, Op>, apart: ReadonlySet<Op>): Factors {
  const classes = channelClasses(source);
  const factor = new Float64Array(classes.size).fill(Number.NaN);
  const of = (v: Value, channel: number): number => {
    const c = classes.of(v, channel);
    return c < 0 || Number.isNaN(factor[c]) ? 1 : (factor[c] as number);
  };
  const scaled: string[] = [];
  for (const s of source.ops) {
    const p = productOf(s);
    const [a, b] = [constantTensor(s.inputs[1]), constantTensor(ops.get(s)?.inputs[1])];
    if (p === null || a?.type !== "f32" || b?.type !== "f32" || String(a.dims) !== String(b.dims)) continue;
    const [x, y] = [toNumbers(a), toNumbers(b)];
    const fixed = apart.has(ops.get(s) as Op);
    const now = Array.from({ length: p.outs }, (_, o) => {
      if (fixed) return 1;
      let [xx, xy, yy] = [0, 0, 0];
      for (let i = 0; i < p.ins; i++) {
        const taken = of(p.x, Math.floor(o / p.perGroup) * p.ins + i);
        for (let k = 0; k < p.taps; k++) {
          const [u, v] = [(x[p.at(o, i, k)] as number) / taken, y[p.at(o, i, k)] as number];
          xx += u * u;
          xy += u * v;
          yy += v * v;
        }
      }
      const r = xx > 0 ? xy / xx : 1;
      const [as, scaled] = [xx - 2 * xy + yy, r * r * xx - 2 * r * xy + yy];
      return r > 0 && scaled < (1 - EXPLAINED) * as && Math.abs(r - 1) > NOISE ? r : 1;
    });
    let moved = false;
    now.forEach((r, o) => {
      const c = classes.of(p.y, o);
      if (c < 0 || classes.pinned(c) || !Number.isNaN(factor[c])) return;
      factor[c] = r;
      moved ||= factor[c] !== 1;
    });
    if (moved) scaled.push(s.name || (s.outputs[0]?.name ?? s.kind));
  }
  return { of, scaled };
}

/**
 * Scales the source's channels as the compressed model's are, in place. What it computes stays the same.
 * @param apart ops of the compressed model that hold a BatchNorm of its own: nothing was equalized over it, and its factors may be rounded
 * @returns names of the layers whose channels were scaled
 */
export async function alignScales(source: Graph, ops: ReadonlyMap<Op, Op>, apart: ReadonlySet<Op>): Promise<readonly string[]> {
  const { of, scaled } = factorsOf(source, ops, apart);
  if (scaled.length === 0) return [];
  const pass = definePass({
    name: "align-scales",
    summary: "Scale channels as the compressed model's are",
    from: "float",
    to: "same",
    keeps: "values",
    options: z.object({}).strict(),
    statistics: { products: "products whose weights changed" },
    run: ({ graph, rewrite, count }) => count("products", scaleProducts(graph, rewrite, of, "equalized as the compressed model is")),
  });
  await runPipeline(source, [{ pass: pass as unknown as PassDefinition, options: {} }], { verify: "off" });
  return scaled;
}
