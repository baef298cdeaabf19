import { num } from "../graph.js";
import { bool01 } from "./_attrs.js";
import { recurrent } from "./_recurrent.js";

type F = (x: number) => number;

/** Gates in the order i, o, f, c. Operands X, W, R, B?, sequence_lens?, initial_h?, initial_c?, P?. Source: ONNX LSTM. */
export const lstm = recurrent("lstm", "Long short-term memory over a sequence", {
  gates: 4,
  defaults: ["Sigmoid", "Tanh", "Tanh"],
  hasCell: true,
  maxInputs: 8,
  extra: { input_forget: bool01.optional() },
  step(cell, op, wx, rh, h, c) {
    const { hidden, rb, peephole, clip } = cell;
    const [gate, candidate, output] = cell.f as [F, F, F];
    const before = h.slice();
    const coupled = num(op, "input_forget", 0) === 1;
    for (let u = 0; u < hidden; u++) {
      const sum = (g: number): number => wx(g, u) + rh(g, u, before) + (rb[g * hidden + u] as number);
      const [pi, po, pf] = [peephole[u] as number, peephole[hidden + u] as number, peephole[2 * hidden + u] as number];
      const old = c[u] as number;
      const i = gate(clip(sum(0) + pi * old));
      const forget = coupled ? 1 - i : gate(clip(sum(2) + pf * old));
      const next = forget * old + i * candidate(clip(sum(3)));
      c[u] = next;
      h[u] = gate(clip(sum(1) + po * next)) * output(next);
    }
  },
});
