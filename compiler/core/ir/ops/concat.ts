import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { type Tensor, zeros } from "../tensor.js";
import { type Dim, UNKNOWN_DIM } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { need, normal } from "./_eval.js";
import { axisOf, checked, needSameElem, one, product, unknown, withContent } from "./_infer.js";

export const concat = defineOp({
  kind: "concat",
  summary: "Operands one after the other along an axis",
  attrs: attrs({ axis: int }),
  inputs: [1, Number.POSITIVE_INFINITY],
  outputs: [1, 1],
  infer(ctx) {
    const indices = Array.from({ length: ctx.inputCount }, (_, i) => i);
    const t = needSameElem(ctx, indices);
    if (t === null) return unknown(ctx);
    const shapes = indices.map((i) => ctx.shape(i));
    const first = shapes.find((s) => s !== null);
    if (first === undefined) return one(checked(ctx, t.elem, null));
    const axis = axisOf(ctx, num(ctx.op, "axis", 0), (first as readonly Dim[]).length);
    let along: Dim = 0;
    const shape: Dim[] = [...(first as readonly Dim[])];
    for (const s of shapes) {
      if (s === null) {
        along = UNKNOWN_DIM;
        continue;
      }
      if (s.length !== shape.length) ctx.fail(`operands have ranks ${shape.length} and ${s.length}`);
      s.forEach((d, i) => {
        const e = shape[i] as Dim;
        if (i === axis) along = typeof along === "number" && typeof d === "number" ? along + d : UNKNOWN_DIM;
        else if (typeof d === "number" && typeof e === "number" && d !== e)
          ctx.fail(`dimension ${i} is ${e} and ${d}`, "all axes but the joined one must agree");
        else if (typeof d === "number") shape[i] = d;
      });
    }
    shape[axis] = shapes.length === 1 ? (first as readonly Dim[])[axis]! : along;
    const contents = indices.map(
      (i) =>
        ctx.content(i) ??
        (ctx.shape(i)?.length === 1 && typeof ctx.shape(i)?.[0] === "number"
          ? new Array<Dim>(Math.min(64, ctx.shape(i)?.[0] as number)).fill(UNKNOWN_DIM)
          : null),
    );
    return withContent(one(checked(ctx, t.elem, shape)), contents.some((c) => c === null) ? undefined : contents.flatMap((c) => c as readonly Dim[]));
  },
  evaluate(op, inputs) {
    const all = inputs.map((_, i) => need(inputs, i));
    const [first] = all as [Tensor];
    const axis = normal(num(op, "axis", 0), first.dims.length);
    const dims = first.dims.map((d, i) => (i === axis ? all.reduce((n, t) => n + (t.dims[axis] as number), 0) : d));
    const inner = product(dims.slice(axis + 1));
    const row = (dims[axis] as number) * inner;
    const out = zeros(first.type, dims);
    let at = 0;
    for (const t of all) {
      const size = (t.dims[axis] as number) * inner;
      for (let o = 0; o < product(dims.slice(0, axis)); o++) {
        for (let i = 0; i < size; i++) (out.data as Float32Array)[o * row + at + i] = (t.data as Float32Array)[o * size + i] as number;
      }
      at += size;
    }
    return [out];
  },
});
