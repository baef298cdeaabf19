/** Data movement: the gradient is moved back. */
import { contentOf, num, nums, str, type Value } from "../../../compiler/core/index.js";
import { type Gradient, type GradientContext, ints, normalAxis, rankOf, reduceSum, reshapeLike, shapeOf, sumTo, zerosLike } from "./context.js";

const unary = (f: (g: GradientContext, dy: Value, x: Value) => Value): Gradient => ({
  rule(g) {
    const dy = g.dy();
    if (dy !== null) g.add(0, () => f(g, dy, g.x(0)));
  },
});
const reshaped = unary((g, dy, x) => reshapeLike(g, dy, x));

/** The size of an axis; rejects the op where it is only known at run time. */
export function sizeOf(g: GradientContext, v: Value, axis: number): number {
  const d = shapeOf(v)[axis];
  return typeof d === "number" ? d : g.reject(`the size of axis ${axis} of %${v.name} is not known before it runs`);
}

/** All entries of an integer operand. */
export function integersOf(g: GradientContext, v: Value | null | undefined, what: string): readonly number[] {
  const content = contentOf(v);
  return content?.every((d) => typeof d === "number") ? (content as readonly number[]) : g.reject(`its ${what} are computed`);
}

/** Elements [start, start + count) along an axis. */
const part = (g: GradientContext, v: Value, axis: number, start: number, count: number): Value =>
  g.value("slice", [v, ints(g, [start]), ints(g, [start + count]), ints(g, [axis])]);

/** `v` between zeros along an axis. */
function padded(g: GradientContext, v: Value, axis: number, before: number, after: number): Value {
  if (before === 0 && after === 0) return v;
  const at = (n: number): number[] => Array.from({ length: rankOf(v) }, (_, i) => (i === axis ? n : 0));
  return g.value("pad", [v, ints(g, [...at(before), ...at(after)])]);
}

export const shapes = {
  reshape: reshaped,
  flatten: reshaped,
  squeeze: reshaped,
  unsqueeze: reshaped,
  transpose: unary((g, dy, x) => {
    const perm = nums(g.kind, "perm");
    const rank = rankOf(x);
    const inverse = Array.from({ length: rank }, (_, i) => (perm.length === 0 ? rank - 1 - i : perm.indexOf(i)));
    return g.value("transpose", [dy], { perm: inverse });
  }),
  expand: unary((g, dy, x) => sumTo(g, dy, x, g.reject)),
  tile: unary((g, dy, x) => {
    const repeats = integersOf(g, g.kind.inputs[1], "repeats");
    const target = shapeOf(x).flatMap((_, i) => [repeats[i] as number, sizeOf(g, x, i)]);
    return reduceSum(
      g,
      g.value("reshape", [dy, ints(g, target)]),
      shapeOf(x).map((_, i) => 2 * i),
      0,
    );
  }),
  concat: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const axis = normalAxis(num(g.kind, "axis", 0), rankOf(dy));
      let start = 0;
      g.kind.inputs.forEach((_, i) => {
        const count = sizeOf(g, g.x(i), axis);
        const from = start;
        g.add(i, () => part(g, dy, axis, from, count));
        start += count;
      });
    },
  },
  split: {
    rule(g) {
      const axis = normalAxis(num(g.kind, "axis", 0), rankOf(g.x(0)));
      g.add(0, () =>
        g.value(
          "concat",
          g.kind.outputs.map((y, i) => g.dy(i) ?? zerosLike(g, y)),
          { axis },
        ),
      );
    },
  },
  slice: unary((g, dy, x) => {
    const [starts, ends] = [integersOf(g, g.kind.inputs[1], "starts"), integersOf(g, g.kind.inputs[2], "ends")];
    const axes = g.kind.inputs[3] == null ? starts.map((_, i) => i) : integersOf(g, g.kind.inputs[3], "axes");
    const steps = g.kind.inputs[4] == null ? starts.map(() => 1) : integersOf(g, g.kind.inputs[4], "steps");
    if (ends.length !== starts.length) return g.reject("starts and ends differ in length");
    let out = dy;
    axes.forEach((a, i) => {
      const axis = normalAxis(a, rankOf(x));
      const d = shapeOf(x)[axis];
      const taken = shapeOf(dy)[axis];
      if (d === taken && steps[i] === 1) return;
      const size = sizeOf(g, x, axis);
      const count = sizeOf(g, g.y(), axis);
      const s = starts[i] as number;
      const step = steps[i] as number;
      const start = Math.min(step > 0 ? size : size - 1, Math.max(0, s < 0 ? s + size : s));
      if (step === 1) out = padded(g, out, axis, start, size - start - count);
      else {
        // Zeros between: each element becomes a row of |step|, of which the first is it; rows go back in order, then all is cut to size.
        const stride = Math.abs(step);
        const shape = shapeOf(out).map((dim, k) => (k === axis ? count : dim));
        const open = (list: readonly unknown[]): number[] => list.map((dim) => (typeof dim === "number" ? dim : -1));
        if (step < 0) out = g.value("slice", [out, ints(g, [-1]), ints(g, [-(2 ** 31)]), ints(g, [axis]), ints(g, [-1])]);
        const rows = g.value("unsqueeze", [out, ints(g, [axis + 1])]);
        const spread = padded(g, rows, axis + 1, 0, stride - 1);
        const joined = g.value("reshape", [spread, ints(g, open(shape.map((dim, k) => (k === axis ? count * stride : dim))))]);
        const first = step > 0 ? start : start - (count - 1) * stride;
        const room = size - first;
        const cut = count * stride > room ? part(g, joined, axis, 0, room) : joined;
        out = padded(g, cut, axis, first, Math.max(0, room - count * stride));
      }
    });
    return out;
  }),
  pad: unary((g, dy) => {
    if (str(g.kind, "mode", "constant") !== "constant") return g.reject(`its mode is ${str(g.kind, "mode", "")}: only constant padding has a rule`);
    const pads = integersOf(g, g.kind.inputs[1], "pads");
    return g.value("pad", [
      dy,
      ints(
        g,
        pads.map((p) => (p === 0 ? 0 : -p)),
      ),
      null,
      g.kind.inputs[3] ?? null,
    ]);
  }),
  depth_to_space: unary((g, dy) =>
    str(g.kind, "mode", "DCR") === "DCR" ? g.value("space_to_depth", [dy], { blocksize: num(g.kind, "blocksize", 1) }) : g.reject("its mode is CRD"),
  ),
  space_to_depth: unary((g, dy) => g.value("depth_to_space", [dy], { blocksize: num(g.kind, "blocksize", 1) })),
} satisfies Record<string, Gradient>;
