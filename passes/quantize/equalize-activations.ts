/** Factors of channels that make rounding cost least: the search behind `equalize { of: activations }`. */
import { type ChannelStatistics, constantTensor, type Graph, type Value } from "../../compiler/core/index.js";
import { type ChannelClasses, type Product, productOf } from "./channels.js";

/** Steps of the descent; the first changes factors by this much (in logarithms), the last by nothing. */
const STEPS = 400;
const FIRST = 0.1;
/** The power of the norm whose gradient stands for that of a maximum. */
const POWER = 16;
/** Largest factor. */
const MOST = 64;
/** Channels below this part of the greatest one are as good as never on. */
const LEAST = 1e-4;
/**
 * Part of the bound of the weights' noise that counts: weights of scaled channels shrink, which the bound leaves out, and learned rounding takes most of the rest back. Chosen on
 * held-back calibration samples of the bench's models, where 0.1 and 0 were alike and 1 took half of the gain away.
 */
const WEIGHTS = 0.1;

/** One value that is rounded with a single scale. */
interface Rounded {
  readonly classes: Int32Array;
  /** Greatest magnitude of each channel. */
  readonly reach: Float64Array;
  /** Noise over signal at reach 1 and factors 1, by channel. */
  readonly weight: number;
}

/** What scaling a product's operand costs: noise over signal is at most the sum of cost · f² over channels. */
interface Costly {
  readonly classes: Int32Array;
  readonly cost: Float64Array;
}

/**
 * Chooses a factor f from 1 to `limits` for each class so that the sum of noise over signal of all values and products is least. One scale of a value of reach
 * R = max f_c r_c rounds channel c with the variance (R / (255 f_c))² / 12. Weights with a scale top_o / 127 for each output add up to
 * (top_o / 127)² / 12 · taps · sum f_c² E[x_c²] to an output. Descent on log f by the signs of the gradient, whose sizes differ by orders of magnitude.
 * @param seen statistics of values by name
 */
export function activationFactors(
  graph: Graph,
  classes: ChannelClasses,
  limits: Float64Array,
  seen: ReadonlyMap<string, ChannelStatistics>,
): Float64Array {
  const top = Float64Array.from({ length: classes.size }, (_, c) =>
    classes.pinned(c) ? 0 : Math.log(Math.max(1, Math.min(MOST, limits[c] as number))),
  );
  // What no factor changes is left out.
  const moves = (e: { readonly classes: Int32Array }): boolean => e.classes.some((c) => (top[c] as number) > 0);
  const values = channelValues(graph, classes)
    .flatMap((v) => roundedOf(v, classes, seen.get(v.name)) ?? [])
    .filter(moves);
  const products = graph.ops
    .flatMap((op) => {
      const p = productOf(op);
      // Weights of depthwise products have a scale for each channel: nothing is lost there.
      return p === null || p.ins === 1 ? [] : (costOf(p, classes, seen) ?? []);
    })
    .filter(moves);
  const log = new Float64Array(classes.size);
  const factor = new Float64Array(classes.size).fill(1);
  const gradient = new Float64Array(classes.size);
  let least = Number.POSITIVE_INFINITY;
  let best = factor.slice();
  for (let step = 0; step < STEPS; step++) {
    gradient.fill(0);
    let noise = 0;
    for (const v of values) noise += addRounding(v, factor, gradient);
    for (const p of products) noise += addCost(p, factor, gradient);
    if (noise < least) {
      least = noise;
      best = factor.slice();
    }
    const rate = FIRST * (1 - step / STEPS);
    for (let c = 0; c < log.length; c++) {
      log[c] = Math.min(top[c] as number, Math.max(0, (log[c] as number) - rate * Math.sign(gradient[c] as number)));
      factor[c] = Math.exp(log[c] as number);
    }
  }
  return best;
}

/** Values whose channels have classes. */
export const channelValues = (graph: Graph, classes: ChannelClasses): Value[] =>
  graph.ops.flatMap((op) => (op.kind === "constant" ? [] : op.outputs.filter((v) => classes.channels(v) > 0)));

const classesOf = (v: Value, classes: ChannelClasses): Int32Array => Int32Array.from({ length: classes.channels(v) }, (_, c) => classes.of(v, c));

const powerOf = (s: ChannelStatistics): number => Array.from(s.meanSquare).reduce((a, b) => a + b, 0);

function roundedOf(v: Value, classes: ChannelClasses, s: ChannelStatistics | undefined): Rounded | null {
  if (s === undefined || s.max.length !== classes.channels(v) || !(powerOf(s) > 0)) return null;
  const reach = Float64Array.from(s.max, (m, c) => Math.max(Math.abs(m), Math.abs(s.min[c] as number)));
  const lowest = LEAST * reach.reduce((a, b) => Math.max(a, b), 0);
  return { classes: classesOf(v, classes), reach: reach.map((r) => Math.max(r, lowest)), weight: 1 / (12 * 255 ** 2 * powerOf(s)) };
}

function costOf(p: Product, classes: ChannelClasses, seen: ReadonlyMap<string, ChannelStatistics>): Costly | null {
  const [x, y] = [seen.get(p.x.name), seen.get(p.y.name)];
  if (x === undefined || y === undefined || !(powerOf(y) > 0)) return null;
  const w = constantTensor(p.op.inputs[1])?.data as Float32Array;
  const cost = new Float64Array((p.outs / p.perGroup) * p.ins);
  for (let o = 0; o < p.outs; o++) {
    let top = 0;
    for (let i = 0; i < p.ins; i++) for (let k = 0; k < p.taps; k++) top = Math.max(top, Math.abs(w[p.at(o, i, k)] as number));
    const first = Math.floor(o / p.perGroup) * p.ins;
    const noise = (WEIGHTS * p.taps * (top / 127) ** 2) / (12 * powerOf(y));
    for (let i = first; i < first + p.ins; i++) cost[i] = (cost[i] as number) + noise * (x.meanSquare[i] as number);
  }
  return { classes: classesOf(p.x, classes), cost };
}

/** Noise over signal of a value; adds its gradient with respect to log f. */
function addRounding({ classes, reach, weight }: Rounded, factor: Float64Array, gradient: Float64Array): number {
  let [top, inverse, sum] = [0, 0, 0];
  for (let i = 0; i < classes.length; i++) {
    const f = factor[classes[i] as number] as number;
    top = Math.max(top, (reach[i] as number) * f);
    inverse += 1 / (f * f);
  }
  const share = reach.map((r, i) => ((r * (factor[classes[i] as number] as number)) / top) ** POWER);
  for (const s of share) sum += s;
  const noise = weight * top * top * inverse;
  for (let i = 0; i < classes.length; i++) {
    const c = classes[i] as number;
    const f = factor[c] as number;
    gradient[c] = (gradient[c] as number) + 2 * noise * ((share[i] as number) / sum - 1 / (f * f * inverse));
  }
  return noise;
}

/** The same for a product. */
function addCost({ classes, cost }: Costly, factor: Float64Array, gradient: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < classes.length; i++) {
    const c = classes[i] as number;
    const noise = (cost[i] as number) * (factor[c] as number) ** 2;
    gradient[c] = (gradient[c] as number) + 2 * noise;
    sum += noise;
  }
  return sum;
}
