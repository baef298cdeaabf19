import { z } from "zod";
import { definePass, type Edit, fromNumbers, i64, num, type Op, str, type TensorType, type Value } from "../../compiler/core/index.js";

/** Gates of each kind in the order of their rows in the weights. */
const gates: Readonly<Record<string, number>> = { lstm: 4, gru: 3, rnn: 1 };

/**
 * Writes LSTM, GRU and RNN as matrix products and element-wise ops, one set a time step, so that gradients flow through time by the rules of those ops.
 * Takes a sequence length that is known; leaves ops with sequence_lens, peepholes, clipping or activations of their own alone.
 */
export const unrollRecurrent = definePass({
  name: "unroll-recurrent",
  summary: "Write LSTM, GRU and RNN as ops of each time step",
  from: "float",
  to: "same",
  keeps: "values",
  options: z.object({}).strict(),
  statistics: { unrolled: "recurrent ops", steps: "time steps written" },
  run({ graph, rewrite, count, decide }) {
    for (const op of graph.opsOf("lstm", "gru", "rnn")) {
      const reason = whyNot(op);
      if (reason !== null) {
        decide(op, "left alone", reason);
        continue;
      }
      rewrite.patch(op, "unrolled over time", (edit) => {
        const results = unroll(edit, op);
        op.outputs.forEach((y, i) => {
          if (graph.isUsed(y)) edit.replaceAllUses(y, results[i]?.() as Value);
        });
        edit.eraseDead(op);
      });
      count("unrolled");
      count("steps", lengthOf(op) as number);
    }
  },
});

const typed = (v: Value | null | undefined): TensorType => v?.type as TensorType;
const lengthOf = (op: Op): unknown => typed(op.inputs[0]).shape?.[num(op, "layout", 0) === 1 ? 1 : 0];

function whyNot(op: Op): string | null {
  const shapes = [0, 1, 2].map((i) => (op.inputs[i]?.type.kind === "tensor" ? typed(op.inputs[i]).shape : null));
  if (shapes.some((s) => s === null)) return "the shapes of its operands are not known";
  if (typeof lengthOf(op) !== "number") return "its sequence length is not known before it runs";
  if (!shapes.slice(1).every((s) => s?.every((d) => typeof d === "number"))) return "the sizes of its weights are not known";
  if (op.inputs[4] != null) return "it has sequence_lens";
  if (op.inputs[7] != null || num(op, "input_forget", 0) === 1) return "it has peepholes or coupled gates";
  if (op.attrs["activations"] !== undefined || op.attrs["clip"] !== undefined) return "it has activations of its own or clips";
  return null;
}

/** The results of the op, each made when it is asked for. */
function unroll(edit: Edit, op: Op): (() => Value)[] {
  const name = op.name || (op.outputs[0]?.name ?? op.kind);
  const v = (kind: string, inputs: readonly (Value | null)[], attrs: Op["attrs"] = {}): Value =>
    edit.insert(kind, inputs, { attrs, name }).outputs[0] as Value;
  const parts = (x: Value, axis: number, sizes: readonly number[]): readonly Value[] =>
    sizes.length === 1
      ? [x]
      : edit.insert("split", [x, edit.constant(`${name}.sizes`, i64(sizes))], { attrs: { axis }, outputs: sizes.length, name }).outputs;
  const ints = (...values: number[]): Value => edit.constant(`${name}.axes`, i64(values));
  const squeeze = (x: Value, axis: number): Value => v("squeeze", [x, ints(axis)]);
  const unsqueeze = (x: Value, axis: number): Value => v("unsqueeze", [x, ints(axis)]);
  const [x, w, r, bias, , h0, c0] = [0, 1, 2, 3, 4, 5, 6].map((i) => op.inputs[i] ?? null) as [Value, Value, Value, ...(Value | null)[]];
  const batchFirst = num(op, "layout", 0) === 1;
  const [time, state] = batchFirst ? [1, 1] : [0, 0];
  const length = lengthOf(op) as number;
  const [directions, rows] = typed(w).shape as readonly number[] as [number, number];
  const hidden = rows / (gates[op.kind] as number);
  const each = (t: Value | null | undefined, axis = 0): readonly (Value | null)[] =>
    t == null ? new Array<null>(directions).fill(null) : parts(t, axis, new Array<number>(directions).fill(1)).map((p) => squeeze(p, axis));
  const [ws, rs, bs, hs, cs] = [each(w), each(r), each(bias), each(h0, state), each(c0, state)];
  const zero = (): Value => edit.constant(`${name}.zero`, fromNumbers(typed(x).elem, [1, hidden], new Array<number>(hidden).fill(0)));

  const sequences: Value[][] = [];
  const lastCells: Value[] = [];
  for (let d = 0; d < directions; d++) {
    const [wb, rb] = bs[d] == null ? [null, null] : parts(bs[d] as Value, 0, [rows, rows]);
    const projected = v("matmul", [x, v("transpose", [ws[d] as Value], { perm: [1, 0] })]);
    const inputs = parts(wb == null ? projected : v("add", [projected, wb]), time, new Array<number>(length).fill(1)).map((p) => squeeze(p, time));
    const recurrent = v("transpose", [rs[d] as Value], { perm: [1, 0] });
    const step: Step = {
      v,
      split: (g, n) => parts(g, g.type.kind === "tensor" ? (g.type.shape?.length ?? 2) - 1 : 1, new Array<number>(n).fill(hidden)),
      recurrent,
      bias: rb ?? null,
    };
    let h = hs[d] ?? zero();
    let c = cs[d] ?? zero();
    const outputs: Value[] = new Array<Value>(length);
    const reverse = str(op, "direction", "forward") === "reverse" || d === 1;
    for (let s = 0; s < length; s++) {
      const t = reverse ? length - 1 - s : s;
      [h, c] = cell(op, step, inputs[t] as Value, h, c);
      outputs[t] = h;
    }
    sequences.push(outputs);
    lastCells.push(c);
  }
  const lastOf = (d: number): Value => sequences[d]?.[str(op, "direction", "forward") === "reverse" || d === 1 ? 0 : length - 1] as Value;
  const joined = (values: readonly Value[], axis: number): Value => (values.length === 1 ? (values[0] as Value) : v("concat", values, { axis }));
  const states = (values: readonly Value[]): Value =>
    joined(
      values.map((s) => unsqueeze(s, state)),
      state,
    );
  return [
    () => {
      const perDirection = sequences.map((outputs) =>
        joined(
          outputs.map((h) => unsqueeze(h, time)),
          time,
        ),
      );
      const axis = batchFirst ? 2 : 1;
      return joined(
        perDirection.map((y) => unsqueeze(y, axis)),
        axis,
      );
    },
    () => states(sequences.map((_, d) => lastOf(d))),
    () => states(lastCells),
  ];
}

interface Step {
  v(kind: string, inputs: readonly (Value | null)[], attrs?: Op["attrs"]): Value;
  split(gates: Value, n: number): readonly Value[];
  /** R transposed, [hidden, rows]. */
  readonly recurrent: Value;
  readonly bias: Value | null;
}

/** One time step from the projected input, h and c to the next h and c. Formulas: ONNX LSTM, GRU, RNN. */
function cell(op: Op, s: Step, x: Value, h: Value, c: Value): [Value, Value] {
  const { v } = s;
  const product = v("matmul", [h, s.recurrent]);
  const fromState = s.bias === null ? product : v("add", [product, s.bias]);
  if (op.kind === "rnn") return [v("tanh", [v("add", [x, fromState])]), c];
  if (op.kind === "lstm") {
    const [i, o, f, g] = s.split(v("add", [x, fromState]), 4) as [Value, Value, Value, Value];
    const next = v("add", [v("mul", [v("sigmoid", [f]), c]), v("mul", [v("sigmoid", [i]), v("tanh", [g])])]);
    return [v("mul", [v("sigmoid", [o]), v("tanh", [next])]), next];
  }
  const [xz, xr, xh] = s.split(x, 3) as [Value, Value, Value];
  const [hz, hr, hh] = s.split(fromState, 3) as [Value, Value, Value];
  const z = v("sigmoid", [v("add", [xz, hz])]);
  const r = v("sigmoid", [v("add", [xr, hr])]);
  let candidate: Value;
  if (num(op, "linear_before_reset", 0) !== 0) candidate = v("mul", [r, hh]);
  else {
    const [, , rh] = s.split(s.recurrent, 3) as [Value, Value, Value];
    const gated = v("matmul", [v("mul", [r, h]), rh]);
    candidate = s.bias === null ? gated : v("add", [gated, s.split(s.bias, 3)[2] as Value]);
  }
  const n = v("tanh", [v("add", [xh, candidate])]);
  // (1 - z) * n + z * h
  return [v("add", [n, v("mul", [z, v("sub", [h, n])])]), c];
}
