/** The first and last layers of a network, which lose most where bits are few. */
import type { Graph, Op, Value } from "../../compiler/core/index.js";

export interface Ends {
  /** Products that no product stands before, or none behind. */
  readonly ops: ReadonlySet<Op>;
  /** What they read, and what the last ones give. */
  readonly values: readonly Value[];
}

export function endsOf(graph: Graph, isProduct: (op: Op) => boolean): Ends {
  const first = outermost(graph.ops, isProduct, (op) => [op.inputs, op.outputs]);
  const last = outermost([...graph.ops].reverse(), isProduct, (op) => [op.outputs, op.inputs]);
  const ops = new Set([...first, ...last]);
  return { ops, values: [...[...ops].map((op) => op.inputs[0] as Value), ...last.flatMap((op) => op.outputs)] };
}

/** Products in the order of a walk that no other product comes before on the way: `sides` are where an op comes from, and where it leads. */
function outermost(
  ops: readonly Op[],
  isProduct: (op: Op) => boolean,
  sides: (op: Op) => readonly [readonly (Value | null)[], readonly (Value | null)[]],
): readonly Op[] {
  const passed = new Set<Value | null>();
  return ops.filter((op) => {
    const [from, to] = sides(op);
    const behind = from.some((v) => v !== null && passed.has(v));
    if (behind || isProduct(op)) for (const v of to) passed.add(v);
    return isProduct(op) && !behind;
  });
}
