import { blobOf, type Graph, type Op, tensor, tensorType, type Value } from "../../compiler/core/index.js";

/**
 * Makes the activations of products ops of their own again, in place, so that what stands before an activation can be observed. Specs of results move along.
 * The result keeps its name.
 * @returns by name of a product's result, the name of the value before its activation (the same name where it has none)
 */
export function unfuseActivations(graph: Graph): Map<string, string> {
  const before = new Map<string, string>();
  for (const op of [...graph.ops]) {
    if (!["conv", "gemm", "matmul"].includes(op.kind)) continue;
    const y = op.outputs[0] as Value;
    const { activation, clip_min, clip_max, ...attrs } = op.attrs;
    if (activation === undefined) {
      before.set(y.name, y.name);
      continue;
    }
    const name = y.name;
    const next = graph.ops[graph.ops.indexOf(op) + 1];
    const bound = (v: typeof clip_min, label: string): Value | null =>
      v === undefined ? null : graph.addConstant(`${name}.${label}`, tensorType("f32", []), blobOf(tensor("f32", [], [Number(v)])), op);
    const inputs = activation === "relu" ? [y] : [y, bound(clip_min, "min"), bound(clip_max, "max")];
    graph.setAttrs(op, attrs);
    const after = graph.addOp({ kind: activation as string, inputs: [y], types: [y.type], outputNames: [`${name}.activated`] }, next);
    graph.replaceAllUses(y, after.outputs[0] as Value);
    inputs.forEach((v, i) => {
      graph.setInput(after, i, v);
    });
    graph.rename(y, `${name}.pre`);
    graph.rename(after.outputs[0] as Value, name);
    moveSpec(op, after);
    before.set(name, y.name);
  }
  return before;
}

function moveSpec(from: Op, to: Op): void {
  const quant = from.annotations["quant"] as { readonly inputs: readonly unknown[]; readonly outputs: readonly unknown[] } | undefined;
  if (quant === undefined) return;
  from.annotations = { ...from.annotations, quant: { ...quant, outputs: [null] } as never };
  to.annotations = { quant: { inputs: to.inputs.map(() => null), outputs: quant.outputs } as never };
}
