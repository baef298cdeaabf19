import { z } from "zod";
import { str } from "../graph.js";
import { defineOp } from "../op.js";
import { zeros } from "../tensor.js";
import { type Dim, UNKNOWN_DIM } from "../types.js";
import { attrs } from "./_attrs.js";
import { integers, need, normal, stridesOf, walk } from "./_eval.js";
import { axisOf, checked, one, unknown } from "./_infer.js";

/** Operands x, pads, constant_value?, axes?. Negative pads crop. Source: ONNX Pad. */
export const pad = defineOp({
  kind: "pad",
  summary: "Adds or removes elements at the ends of axes",
  attrs: attrs({ mode: z.enum(["constant", "reflect", "edge", "wrap"]).optional() }),
  inputs: [2, 4],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    if (x.shape === null) return one(checked(ctx, x.elem, null));
    const pads = ctx.content(1);
    const axes = ctx.op.inputs[3] == null ? x.shape.map((_, i) => i) : ctx.content(3);
    if (pads === null || axes === null || axes.some((a) => typeof a !== "number"))
      return one(
        checked(
          ctx,
          x.elem,
          x.shape.map(() => UNKNOWN_DIM),
        ),
      );
    if (pads.length !== 2 * axes.length) ctx.fail(`pads has ${pads.length} entries for ${axes.length} axes`, "it holds all begins, then all ends");
    const shape: Dim[] = [...x.shape];
    axes.forEach((a, i) => {
      const axis = axisOf(ctx, a as number, shape.length);
      const [d, begin, end] = [shape[axis] as Dim, pads[i] as Dim, pads[i + axes.length] as Dim];
      shape[axis] =
        begin === 0 && end === 0 ? d : typeof d === "number" && typeof begin === "number" && typeof end === "number" ? d + begin + end : UNKNOWN_DIM;
    });
    return one(checked(ctx, x.elem, shape));
  },
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const pads = integers(need(inputs, 1)) as number[];
    const axes = integers(inputs[3]) ?? x.dims.map((_, i) => i);
    const begin = x.dims.map(() => 0);
    const dims = [...x.dims];
    axes.forEach((a, i) => {
      const axis = normal(a, x.dims.length);
      begin[axis] = pads[i] as number;
      dims[axis]! += (pads[i] as number) + (pads[i + axes.length] as number);
    });
    const mode = str(op, "mode", "constant");
    const out = zeros(x.type, dims);
    const [from, to] = [x.data as Float32Array, out.data as Float32Array];
    const value = (inputs[2]?.data as Float32Array | undefined)?.[0] ?? (zeros(x.type, [1]).data as Float32Array)[0];
    const own = stridesOf(x.dims);
    const steps = stridesOf(dims);
    walk(dims, steps, (offset) => {
      let source = 0;
      let inside = true;
      for (let a = 0; a < dims.length; a++) {
        const size = x.dims[a] as number;
        let p = (Math.floor(offset / (steps[a] as number)) % (dims[a] as number)) - (begin[a] as number);
        if (p < 0 || p >= size) {
          if (mode === "constant") inside = false;
          else if (mode === "edge") p = Math.min(size - 1, Math.max(0, p));
          else if (mode === "wrap") p = ((p % size) + size) % size;
          else {
            const period = Math.max(1, 2 * (size - 1));
            p = ((p % period) + period) % period;
            if (p >= size) p = period - p;
          }
        }
        source += p * (own[a] as number);
      }
      to[offset] = (inside ? from[source] : value) as number;
    });
    return [out];
  },
});
