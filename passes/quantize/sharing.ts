/** Which quantized values have one set of parameters. */
import { type Graph, isConstant, type Op, type Value } from "../../compiler/core/index.js";
import type { Rule } from "./rules.js";

export interface Sharing {
  /** The value whose range decides. */
  root(v: Value): Value;
  /** All values with the root's parameters, the root first. */
  members(root: Value): readonly Value[];
}

/**
 * Groups of values that share parameters: through ops that move elements, and across concat. The root is the value of widest range.
 * @param ruleOf kind of the rule by which an op is quantized, `undefined` where it stays in float
 */
export function shareParameters(graph: Graph, ruleOf: (op: Op) => Rule["kind"] | undefined): Sharing {
  const parent = new Map<Value, Value>();
  const root = (v: Value): Value => {
    let r = v;
    while (parent.has(r)) r = parent.get(r) as Value;
    return r;
  };
  const attach = (v: Value, to: Value): void => {
    const [a, b] = [root(v), root(to)];
    if (a !== b) parent.set(a, b);
  };
  for (const op of graph.ops) {
    const rule = ruleOf(op);
    const y = op.outputs[0] as Value;
    if (rule === "shared" && op.inputs[0] != null) attach(y, op.inputs[0]);
    // The joined result holds all operands' values: its range covers theirs.
    else if (rule === "joined") for (const v of op.inputs) if (v !== null && !isConstant(v)) attach(v, y);
  }
  const groups = new Map<Value, Value[]>();
  for (const v of parent.keys()) groups.set(root(v), [...(groups.get(root(v)) ?? []), v]);
  return { root, members: (v) => [v, ...(groups.get(v) ?? [])] };
}
