/**
 * The verifier: rules that hold for every graph between passes. It reports all faults it finds, up to a limit.
 * Rules: values are made before they are used, by this graph; names are unique; operand and result counts and attributes are those of the kind's
 * declaration; inferred types agree with the recorded ones; kinds and annotations belong to the graph's level; quantization parameters are sane.
 */
import { CecError, type Diagnostic, diagnostic } from "../diagnostics/index.js";
import type { Graph, Op, Value } from "./graph.js";
import { describeOp, inferOp } from "./infer.js";
import { opDefinition } from "./ops/index.js";
import { byteSize, elementCount, integerRange, isInteger } from "./types.js";

const MAX_FAULTS = 20;

export function verifyGraph(graph: Graph): Diagnostic[] {
  const faults: Diagnostic[] = [];
  const report = (op: Op | null, message: string, why?: string): void => {
    if (faults.length < MAX_FAULTS) {
      faults.push(
        diagnostic("CEC4003", {
          message: op === null ? message : `${describeOp(op)}: ${message}`,
          ...(why === undefined ? {} : { why }),
          at: { node: op?.name || op?.outputs[0]?.name || graph.name },
        }),
      );
    }
  };
  const defined = new Set<Value>(graph.inputs);
  const names = new Map<string, Value>();
  const claim = (v: Value, op: Op | null): void => {
    const other = names.get(v.name);
    if (other !== undefined && other !== v) report(op, `the name %${v.name} is taken twice`);
    names.set(v.name, v);
  };
  for (const v of graph.inputs) claim(v, null);
  for (const op of graph.ops) {
    for (const v of op.inputs) {
      if (v !== null && !defined.has(v))
        report(
          op,
          `%${v.name} is used before it is made`,
          v.producer === null || graph.ops.includes(v.producer) ? "ops stand in topological order" : "its producer is not in the graph",
        );
    }
    for (const v of op.outputs) {
      if (v.producer !== op) report(op, `%${v.name} names another op as its producer`);
      defined.add(v);
      claim(v, op);
      checkQuant(v, (m) => report(op, m));
    }
    checkDeclaration(graph, op, (m, why) => report(op, m, why));
    for (const region of op.regions) for (const d of verifyGraph(region)) if (faults.length < MAX_FAULTS) faults.push(d);
  }
  for (const o of graph.outputs)
    if (!defined.has(o.value)) report(null, `output "${o.name}" reads %${o.value.name}, which is not in graph ${graph.name}`);
  if (new Set(graph.outputs.map((o) => o.name)).size !== graph.outputs.length) report(null, `two outputs of graph ${graph.name} share a name`);
  return faults;
}

function checkDeclaration(graph: Graph, op: Op, report: (message: string, why?: string) => void): void {
  const definition = opDefinition(op.kind);
  if (definition === undefined) return report("the kind is not declared", "unknown operators are of kind `carry`");
  if (op.kind.startsWith("cpu.") && graph.level !== "lowered") report(`a kind of the native engine in a graph of level ${graph.level}`);
  if (op.annotations["quant"] !== undefined && graph.level !== "annotated")
    report(`quantization specs in a graph of level ${graph.level}`, "specs live between annotate and materialize");
  const [least, most] = definition.inputs;
  if (op.inputs.length < least || op.inputs.length > most) report(`${op.inputs.length} operands`, `${least} to ${most} are allowed`);
  const [few, many] = definition.outputs;
  if (op.outputs.length < few || op.outputs.length > many) report(`${op.outputs.length} results`, `${few} to ${many} are allowed`);
  const parsed = definition.attrs.safeParse(op.attrs);
  if (!parsed.success) report(`attributes: ${parsed.error.issues.map((i) => `${i.path.join(".")} ${i.message}`).join("; ")}`);
  if (op.kind === "constant") {
    const t = (op.outputs[0] as Value).type;
    if (op.data === undefined) report("has no data");
    else if (t.kind !== "tensor") report("is no tensor");
    else {
      const n = elementCount(t.shape);
      if (n === null) report("has unknown dimensions");
      else if (t.elem !== "string" && op.data.byteLength !== byteSize(t.elem, n))
        report(`holds ${op.data.byteLength} bytes, its type asks for ${byteSize(t.elem, n)}`);
    }
    return;
  }
  // Inference joins with the recorded types and fails where they exclude each other; what it learns in addition is kept, which is harmless.
  try {
    inferOp(graph, op);
  } catch (error) {
    if (!(error instanceof CecError)) throw error;
    const [first] = error.diagnostics;
    report(`types: ${first?.message ?? ""}`, first?.why);
  }
}

function checkQuant(v: Value, report: (message: string) => void): void {
  if (v.type.kind !== "tensor" || v.type.quant === undefined) return;
  const { elem, shape, quant } = v.type;
  if (!isInteger(elem)) return report(`%${v.name} is ${elem} with quantization parameters`);
  const { scale, zeroPoint, axis } = quant;
  if (scale.length !== zeroPoint.length) report(`%${v.name} has ${scale.length} scales and ${zeroPoint.length} zero points`);
  if (scale.some((s) => !Number.isFinite(s) || s <= 0)) report(`%${v.name} has a scale that is no positive number`);
  if (elem !== "i64" && elem !== "u64") {
    const [low, high] = integerRange(elem);
    if (zeroPoint.some((z) => z < low || z > high)) report(`%${v.name} has a zero point outside ${elem}`);
  }
  if (axis === null) {
    if (scale.length !== 1) report(`%${v.name} has ${scale.length} scales but no axis`);
  } else if (shape !== null) {
    if (axis < 0 || axis >= shape.length) report(`%${v.name} is quantized along axis ${axis} of rank ${shape.length}`);
    else if (typeof shape[axis] === "number" && shape[axis] !== scale.length)
      report(`%${v.name} has ${scale.length} scales for ${shape[axis]} slices`);
  }
}
