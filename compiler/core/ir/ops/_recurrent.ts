/** Shapes of LSTM, GRU and RNN: x [seq, batch, input], w [directions, gates * hidden, input]. Source: ONNX LSTM, GRU, RNN. */
import { z } from "zod";
import { num, str } from "../graph.js";
import { defineOp, type OpDefinition } from "../op.js";
import { type Dim, type Type, tensorType, UNKNOWN_DIM } from "../types.js";
import { attrs, bool01, int } from "./_attrs.js";
import { needRank, product, unknown } from "./_infer.js";

export function recurrent<K extends string>(
  kind: K,
  summary: string,
  gates: number,
  mostInputs: number,
  extra: z.ZodRawShape,
): OpDefinition & { readonly kind: K } {
  return defineOp({
    kind,
    summary,
    attrs: attrs({
      hidden_size: int.optional(),
      direction: z.enum(["forward", "reverse", "bidirectional"]).optional(),
      layout: bool01.optional(),
      clip: z.number().optional(),
      activations: z.array(z.string()).optional(),
      activation_alpha: z.array(z.number()).optional(),
      activation_beta: z.array(z.number()).optional(),
      ...extra,
    }),
    inputs: [3, mostInputs],
    outputs: [1, kind === "lstm" ? 3 : 2],
    infer(ctx) {
      const x = ctx.type(0);
      const s = needRank(ctx, 0, 3, 3);
      const w = needRank(ctx, 1, 3, 3);
      if (x === null) return unknown(ctx);
      const directions = str(ctx.op, "direction", "forward") === "bidirectional" ? 2 : 1;
      if (typeof w?.[0] === "number" && w[0] !== directions) ctx.fail(`the weights have ${w[0]} directions, the op ${directions}`);
      const hidden: Dim =
        ctx.attrs["hidden_size"] !== undefined ? num(ctx.op, "hidden_size", 0) : typeof w?.[1] === "number" ? w[1] / gates : UNKNOWN_DIM;
      if (typeof w?.[1] === "number" && typeof hidden === "number" && w[1] !== gates * hidden)
        ctx.fail(`the weights have ${w[1]} rows, ${gates} gates of ${hidden} need ${gates * hidden}`);
      if (typeof w?.[2] === "number" && typeof s?.[2] === "number" && w[2] !== s[2])
        ctx.fail(`the data has ${s[2]} features, the weights take ${w[2]}`);
      const batchFirst = num(ctx.op, "layout", 0) === 1;
      const [seq, batch] = s === null ? [UNKNOWN_DIM, UNKNOWN_DIM] : batchFirst ? [s[1]!, s[0]!] : [s[0]!, s[1]!];
      const y = batchFirst ? [batch, seq, directions, hidden] : [seq, directions, batch, hidden];
      const last = tensorType(x.elem, batchFirst ? [batch, directions, hidden] : [directions, batch, hidden]);
      return { types: ([tensorType(x.elem, y), last, last] as Type[]).slice(0, ctx.outputCount) };
    },
    cost(op, { inputs }) {
      const [seq = 1, batch = 1] = num(op, "layout", 0) === 1 ? [inputs[0]?.[1], inputs[0]?.[0]] : (inputs[0] ?? []);
      return { macs: seq * batch * (product(inputs[1] ?? []) + product(inputs[2] ?? [])), flops: 0 };
    },
  });
}
