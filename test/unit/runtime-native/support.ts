/** One op on given operands through the native engine: graph, program file, session. */
import { type Attrs, Graph } from "../../../compiler/core/ir/graph.js";
import { inferGraph } from "../../../compiler/core/ir/infer.js";
import { opDefinition } from "../../../compiler/core/ir/ops/index.js";
import { blobOf, fromNumbers, type Tensor, toNumbers } from "../../../compiler/core/ir/tensor.js";
import { type ElementType, tensorType, UNKNOWN } from "../../../compiler/core/ir/types.js";
import { randomFrom } from "../../../compiler/core/random.js";
import { createSession, type SessionOptions, serialize } from "../../../runtime-native/ts/index.js";

export interface NativeCase {
  readonly kind: string;
  readonly operands: readonly (Tensor | null)[];
  readonly attrs?: Attrs;
  readonly outputs?: number;
  /** Operands that must be constants of the program; all others are fed. */
  readonly constant?: readonly number[];
}

/** The op alone in a graph: operand `i` is the input `x<i>` or a constant, result `i` the output `y<i>`. */
export function graphOf(c: NativeCase, allConstant = false): Graph {
  const g = new Graph("test");
  const operands = c.operands.map((o, i) => {
    if (o === null) return null;
    const type = tensorType(o.type, o.dims);
    return allConstant || c.constant?.includes(i) ? g.addConstant(`c${i}`, type, blobOf(o)) : g.addInput(`x${i}`, type);
  });
  const op = g.addOp({ kind: c.kind, inputs: operands, attrs: c.attrs ?? {}, types: new Array(c.outputs ?? 1).fill(UNKNOWN), name: "op" });
  inferGraph(g);
  op.outputs.forEach((v, i) => {
    g.addOutput(`y${i}`, v);
  });
  return g;
}

/** Results of the reference evaluation. */
export function reference(c: NativeCase): readonly Tensor[] {
  const g = graphOf(c, true);
  const op = g.ops.find((o) => o.name === "op");
  const evaluate = opDefinition(c.kind)?.evaluate;
  if (op === undefined || evaluate === undefined) throw new Error(`${c.kind} has no evaluate`);
  return evaluate(op, c.operands);
}

/** Results of the engine. */
export async function native(c: NativeCase, options: SessionOptions = {}, allConstant = false): Promise<Tensor[]> {
  const graph = graphOf(c, allConstant);
  const session = createSession(serialize(graph), options);
  try {
    const feeds = Object.fromEntries(graph.inputs.map((v) => [v.name, c.operands[Number(v.name.slice(1))] as Tensor]));
    const results = await session.run(feeds);
    return graph.outputs.map((o) => results[o.name] as Tensor);
  } finally {
    session.dispose();
  }
}

/** Seeded tensors: f32 with values of the whole range [low, high], integers including both ends. */
export function filled(elem: ElementType, dims: readonly number[], seed: number, low = -2, high = 2): Tensor {
  const next = randomFrom(seed);
  const n = dims.reduce((a, b) => a * b, 1);
  const whole = !(elem === "f32" || elem === "f64" || elem === "f16" || elem === "bf16");
  return fromNumbers(
    elem,
    dims,
    Array.from({ length: n }, () => (whole ? Math.floor(low + next() * (high - low + 1)) : low + next() * (high - low))),
  );
}

/**
 * Why two tensors differ; null when they agree. Integers and bools must be equal. Floats may differ by the rounding of sums in another order:
 * `tolerance` times the largest finite magnitude of the reference (at least 1).
 */
export function difference(got: Tensor | undefined, want: Tensor, tolerance: number): string | null {
  if (got === undefined) return "there is no result";
  if (got.type !== want.type) return `type ${got.type}, want ${want.type}`;
  if (got.dims.join() !== want.dims.join()) return `shape [${got.dims}], want [${want.dims}]`;
  const [a, b] = [toNumbers(got), toNumbers(want)];
  const float = want.type === "f32" || want.type === "f64" || want.type === "f16" || want.type === "bf16";
  const scale = b.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 1);
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    if (Object.is(x, y) || x === y) continue;
    if (float && Number.isFinite(x) && Number.isFinite(y) && Math.abs(x - y) <= tolerance * scale) continue;
    return `element ${i} of [${want.dims}] is ${x}, want ${y}`;
  }
  return null;
}
