import { num } from "../graph.js";
import { int } from "./_attrs.js";
import { recurrent } from "./_recurrent.js";

type F = (x: number) => number;

/** Gates in the order z (update), r (reset), h (candidate). Operands X, W, R, B?, sequence_lens?, initial_h?. Source: ONNX GRU. */
export const gru = recurrent("gru", "Gated recurrent unit over a sequence", {
  gates: 3,
  defaults: ["Sigmoid", "Tanh"],
  hasCell: false,
  maxInputs: 6,
  extra: { linear_before_reset: int.optional() },
  step(cell, op, wx, rh, h) {
    const { hidden, rb, clip } = cell;
    const [gate, candidate] = cell.f as [F, F];
    const before = h.slice();
    const sum = (g: number, u: number): number => wx(g, u) + rh(g, u, before) + (rb[g * hidden + u] as number);
    const reset = Float64Array.from(before, (_, u) => gate(clip(sum(1, u))));
    const gated = before.map((v, u) => v * (reset[u] as number));
    const linear = num(op, "linear_before_reset", 0) !== 0;
    for (let u = 0; u < hidden; u++) {
      const bias = rb[2 * hidden + u] as number;
      const recurrentPart = linear ? (reset[u] as number) * (rh(2, u, before) + bias) : rh(2, u, gated) + bias;
      const update = gate(clip(sum(0, u)));
      h[u] = (1 - update) * candidate(clip(wx(2, u) + recurrentPart)) + update * (before[u] as number);
    }
  },
});
