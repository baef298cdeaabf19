import { z } from "zod";
import {
  type CalibrationSource,
  constantTensor,
  definePass,
  f32,
  type Graph,
  num,
  nums,
  type Op,
  str,
  tensor,
  toNumbers,
  type Value,
} from "../../compiler/core/index.js";

/** Values of one channel: offset + k * step, k = 0..255. */
interface Grid {
  readonly step: number;
  readonly offset: number;
}

/** Samples that decide on a grid, and those whose values are collected first; more would only cost time. */
const SAMPLES = 16;
const COLLECTED = 4;
/** Values may stand this far off the grid, in steps: float rounding of whatever normalized the pixels. */
const TOLERANCE = 1 / 64;
const LEVELS = 256;

/**
 * Images are 8-bit before they are normalized: channel c holds (k - mean_c) / std_c. One scale for all channels rounds them once more, and that error runs
 * through the whole network. This pass maps each channel to its own grid in front of the quantization, x' = (x - offset_c) / step_c, so that storing x' in
 * 8 bits is exact, and gives the inverse to the weights and bias of the convolutions that read it. Where all channels share one grid, adding the
 * part that the zero point cannot express is enough. Zeros that a convolution pads with become a Pad in front of the mapping.
 * Inputs whose values lie on no grid of 256 steps, or that others than convolutions read, are left alone.
 */
export const alignInput = definePass({
  name: "align-input",
  summary: "Quantize images on their own 8-bit grid, without error",
  description:
    "Looks at calibration data: where each channel of an image input holds at most 256 evenly spaced values, the channels are mapped to these steps in front of the first convolution, whose weights take the inverse. The input is then stored in 8 bits without any error. Ours; no paper.",
  from: "float",
  to: "same",
  keeps: "values",
  options: z.object({}).strict(),
  statistics: { aligned: "inputs mapped to their grid" },
  async run({ graph, rewrite, count, decide, calibration }) {
    if (calibration === null) return;
    for (const input of graph.inputs) {
      const readers = graph.users(input);
      const [head] = readers;
      if (head === undefined || graph.isOutput(input) || !readers.every((op) => foldable(op, input))) continue;
      const grids = await gridsOf(input, calibration);
      if (grids === null) {
        decide(head, "input left alone", `%${input.name} holds no evenly spaced values that 8 bits could store`);
        continue;
      }
      const { step, offset } = grids[0] as Grid;
      const uniform = grids.every((g) => Math.abs(g.step / step - 1) * LEVELS < TOLERANCE && Math.abs(g.offset - offset) < TOLERANCE * step);
      if (uniform) shift(graph, input, readers, grids[0] as Grid);
      else if (readers.some((op) => !["", "NOTSET"].includes(str(op, "auto_pad", "")))) {
        decide(head, "input left alone", "its channels lie on different grids, and the padding of a reader is not explicit");
        continue;
      } else map(input, readers, grids);
      count("aligned");
      decide(head, "input aligned", `%${input.name} holds 8-bit values: stored on their own steps, without error`);
    }

    /** Zero stays zero: only the part of a step that the zero point cannot express is added. What convolutions pad with is off by that part. */
    function shift(g: Graph, input: Value, readers: readonly Op[], { step, offset }: Grid): void {
      const zeroPoint = Math.min(LEVELS - 1, Math.max(0, Math.round(-offset / step)));
      const part = -(offset + zeroPoint * step);
      rewrite.patch(earliest(g, readers), `%${input.name} moved by ${part} to its own grid`, (edit) => {
        const moved = edit.insert("add", [input, edit.constant(`${input.name}.part`, f32([], [part]))], { outputNames: [`${input.name}.aligned`] });
        for (const op of readers) {
          const w = toNumbers(constantTensor(op.inputs[1]) as never);
          const sums = perOutput(op, (_o, _c, i) => -part * (w[i] as number));
          feed(edit, op, moved.outputs[0] as Value, w, sums);
          edit.annotate(op, "grid", { scale: Math.fround(step), zeroPoint });
        }
      });
    }

    function map(input: Value, readers: readonly Op[], grids: readonly Grid[]): void {
      for (const op of readers) {
        const w = toNumbers(constantTensor(op.inputs[1]) as never);
        const scaled = new Float64Array(w.length);
        const sums = perOutput(op, (_, c, i) => {
          const { step, offset } = grids[c] as Grid;
          scaled[i] = (w[i] as number) * step;
          return (w[i] as number) * offset;
        });
        rewrite.patch(op, `%${input.name} mapped to its own grid`, (edit) => {
          const pads = nums(op, "pads");
          let x: Value = input;
          if (pads.some((p) => p > 0)) {
            const rank = pads.length / 2;
            const all = [0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)];
            x = edit.insert("pad", [x, edit.constant(`${input.name}.pads`, tensor("i64", [all.length], all))]).outputs[0] as Value;
            edit.setAttrs(op, { ...op.attrs, pads: pads.map(() => 0) });
          }
          const shape = [1, grids.length, ...new Array<number>(rankOf(op) - 2).fill(1)];
          const factor = edit.constant(
            `${input.name}.steps`,
            f32(
              shape,
              grids.map((g) => 1 / g.step),
            ),
          );
          const part = edit.constant(
            `${input.name}.offsets`,
            f32(
              shape,
              grids.map((g) => -g.offset / g.step),
            ),
          );
          const scaledInput = edit.insert("mul", [x, factor]).outputs[0] as Value;
          const y = edit.insert("add", [scaledInput, part], { outputNames: [`${input.name}.aligned`] }).outputs[0] as Value;
          feed(edit, op, y, scaled, sums);
          edit.annotate(op, "grid", { scale: 1, zeroPoint: 0 });
        });
      }
    }
  },
});

type Edit = Parameters<Parameters<Parameters<NonNullable<typeof alignInput.run>>[0]["rewrite"]["patch"]>[2]>[0];

const earliest = (g: Graph, ops: readonly Op[]): Op => g.ops.find((op) => ops.includes(op)) as Op;
const rankOf = (op: Op): number => (constantTensor(op.inputs[1])?.dims.length ?? 0) as number;

/** Points the convolution at its new operand, with new weights, and with `sums` added to its bias. */
function feed(edit: Edit, op: Op, x: Value, w: ArrayLike<number>, sums: Float64Array): void {
  const weights = constantTensor(op.inputs[1]);
  const bias = constantTensor(op.inputs[2] ?? null);
  const old = bias === null ? null : toNumbers(bias);
  if (weights === null) return;
  const name = (op.inputs[1] as Value).name;
  edit.setInput(op, 0, x);
  edit.setInput(op, 1, edit.constant(`${name}.aligned`, f32(weights.dims, Array.from(w))));
  edit.setInput(
    op,
    2,
    edit.constant(
      `${name}.bias`,
      f32(
        [sums.length],
        Array.from(sums, (s, o) => s + (old === null ? 0 : (old[o] as number))),
      ),
    ),
  );
}

/** Sums over the weights of each output channel; `term` gets output channel, input channel and flat index. */
function perOutput(op: Op, term: (o: number, c: number, i: number) => number): Float64Array {
  const [outs, ins, ...kernel] = (constantTensor(op.inputs[1])?.dims ?? []) as [number, number, ...number[]];
  const taps = kernel.reduce((a, b) => a * b, 1);
  const perGroup = outs / num(op, "group", 1);
  const sums = new Float64Array(outs);
  for (let o = 0, i = 0; o < outs; o++)
    for (let c = 0; c < ins; c++) for (let k = 0; k < taps; k++, i++) sums[o]! += term(o, Math.floor(o / perGroup) * ins + c, i);
  return sums;
}

/** A convolution with constant f32 weights and bias whose data operand, and nothing else, is the value. */
const foldable = (op: Op, v: Value): boolean =>
  op.kind === "conv" &&
  op.inputs[0] === v &&
  op.inputs.lastIndexOf(v) === 0 &&
  v.type.kind === "tensor" &&
  v.type.elem === "f32" &&
  constantTensor(op.inputs[1])?.type === "f32" &&
  (op.inputs[2] == null || constantTensor(op.inputs[2])?.type === "f32");

/** A grid and the index of the highest value seen on it. */
type BoundedGrid = Grid & { readonly most: number };

/** Adds the values of one channel to what was seen of it; `false` when they are too many. Neighbours are often equal, and a set is slow. */
function collect(v: ArrayLike<number>, from: number, count: number, seen: Set<number>): boolean {
  let last = Number.NaN;
  for (let i = from; i < from + count; i++) {
    const e = v[i] as number;
    if (e === last) continue;
    last = e;
    seen.add(e);
    if (seen.size > LEVELS) return false;
  }
  return true;
}

/** The grid, made longer where values of the channel stand outside of it; `null` where one stands beside it. */
function extended(v: ArrayLike<number>, from: number, count: number, { step, offset, most }: BoundedGrid): BoundedGrid | null {
  let [low, high] = [0, most];
  for (let i = from; i < from + count; i++) {
    const k = ((v[i] as number) - offset) / step;
    const at = Math.round(k);
    if (!(Math.abs(k - at) < TOLERANCE)) return null;
    if (at < low) low = at;
    else if (at > high) high = at;
  }
  return { step, offset: offset + low * step, most: high - low };
}

/** The grid of each channel, or `null` where one has none. */
async function gridsOf(input: Value, calibration: CalibrationSource): Promise<Grid[] | null> {
  let seen: Set<number>[] | null = null;
  let grids: BoundedGrid[] | null = null;
  let samples = 0;
  for await (const feeds of calibration.batches({ batch: COLLECTED, limit: SAMPLES })) {
    const t = feeds[input.name];
    if (t === undefined || t.dims.length < 3) return null;
    const [count = 0, channels = 0, ...space] = t.dims;
    const area = space.reduce((a, b) => a * b, 1);
    const v = toNumbers(t);
    samples += count;
    if (grids === null) {
      seen ??= Array.from({ length: channels }, () => new Set<number>());
      for (let plane = 0; plane < count * channels; plane++) if (!collect(v, plane * area, area, seen[plane % channels] as Set<number>)) return null;
      grids = seen.map((s) => gridOf([...s].sort((a, b) => a - b))).flatMap((g) => (g === null ? [] : [g]));
      if (grids.length < channels) return null;
    }
    for (let plane = 0; plane < count * channels; plane++) {
      const g = extended(v, plane * area, area, grids[plane % channels] as BoundedGrid);
      if (g === null) return null;
      grids[plane % channels] = g;
    }
  }
  if (samples === 0 || grids === null || grids.some((g) => g.most >= LEVELS)) return null;
  return grids;
}

/** Step and offset of sorted distinct values: the smallest gap, made exact over the whole range. */
function gridOf(values: readonly number[]): BoundedGrid | null {
  const [low, high] = [values[0], values.at(-1)];
  if (low === undefined || high === undefined || values.length < 8 || !Number.isFinite(low) || !Number.isFinite(high)) return null;
  let gap = Number.POSITIVE_INFINITY;
  for (let i = 1; i < values.length; i++) gap = Math.min(gap, (values[i] as number) - (values[i - 1] as number));
  const most = Math.round((high - low) / gap);
  if (most >= LEVELS || most < 1) return null;
  return { step: (high - low) / most, offset: low, most };
}
