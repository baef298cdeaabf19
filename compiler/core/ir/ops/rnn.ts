import { recurrent } from "./_recurrent.js";

/** h' = f(W x + R h + biases). Operands X, W, R, B?, sequence_lens?, initial_h?. Source: ONNX RNN. */
export const rnn = recurrent("rnn", "Simple recurrent network over a sequence", {
  gates: 1,
  defaults: ["Tanh"],
  hasCell: false,
  maxInputs: 6,
  extra: {},
  step(cell, _, wx, rh, h) {
    const before = h.slice();
    const f = cell.f[0] as (x: number) => number;
    for (let u = 0; u < cell.hidden; u++) h[u] = f(cell.clip(wx(0, u) + rh(0, u, before) + (cell.rb[u] as number)));
  },
});
