/**
 * The verifier: rules that hold for every graph between passes. It reports the faults it finds, up to a limit, and changes nothing.
 *
 * Values are made before they are used, by this graph; names are unique; operand and result counts and attributes are those of the kind's declaration;
 * recorded types agree with what inference gives; kinds and quantization specs belong to the graph's level; quantization parameters are sane.
 */
import { CecError, type Diagnostic, diagnostic } from "../diagnostics/index.js";
import type { Graph, Level, Op, Value } from "./graph.js";
import { describeOp, inferredTypes, joinTypes } from "./infer.js";
import type { OpDefinition } from "./op.js";
import { opDefinition } from "./ops/index.js";
import { byteSize, elementCount, elementTypes, formatType, integerRange, isInteger } from "./types.js";

/** Later faults mostly follow from the first. */
const MAX_FAULTS = 20;
const MAX_DEPTH = 64;

type Report = (op: Op | null, message: string, why?: string) => void;

/**
 * Faults of a graph; empty for a sound one. Each is CEC4003 with the op's name.
 *
 * @example
 * const faults = verifyGraph(graph);
 * if (faults.length > 0) throw new CecError(faults);
 */
export function verifyGraph(graph: Graph): Diagnostic[] {
  const faults: Diagnostic[] = [];
  verifyBody(graph, graph.level, 0, faults);
  return faults;
}

function verifyBody(graph: Graph, level: Level, depth: number, faults: Diagnostic[]): void {
  const report: Report = (op, message, why) => {
    if (faults.length >= MAX_FAULTS) return;
    faults.push(
      diagnostic("CEC4003", {
        message: op === null ? `graph ${graph.name}: ${message}` : `${describeOp(op)}: ${message}`,
        ...(why === undefined ? {} : { why }),
        at: { node: op?.name || op?.outputs[0]?.name || graph.name },
      }),
    );
  };
  if (depth > MAX_DEPTH) {
    report(null, `regions nest more than ${MAX_DEPTH} deep`);
    return;
  }
  checkValues(graph, report);
  for (const op of graph.ops) {
    if (faults.length >= MAX_FAULTS) return;
    checkOp(op, level, report);
    for (const region of op.regions) verifyBody(region, level, depth + 1, faults);
  }
}

/** Names, order, and the graph's own books of names and readers. */
function checkValues(graph: Graph, report: Report): void {
  const inGraph = new Set(graph.ops);
  const defined = new Set<Value>();
  const names = new Set<string>();
  const define = (v: Value, op: Op | null, index: number): void => {
    if (v.name === "") report(op, "a value has no name");
    else if (names.has(v.name)) report(op, `the name %${v.name} is taken twice`, "each value is written once");
    else if (graph.value(v.name) !== v) report(op, `%${v.name} is not found by its name`, "the graph's book of names is out of step");
    if (v.producer !== op || v.index !== index) report(op, `%${v.name} names another producer, or another result of it`);
    names.add(v.name);
    defined.add(v);
  };
  graph.inputs.forEach((v, i) => {
    define(v, null, i);
    checkQuant(v, (m) => report(null, m));
  });
  const readers = new Map<Value, Set<Op>>();
  for (const op of graph.ops) {
    for (const v of op.inputs) {
      if (v === null) continue;
      if (!defined.has(v)) {
        const known = v.producer !== null && inGraph.has(v.producer);
        report(op, `%${v.name} is used before it is made`, known ? "ops stand in topological order" : "nothing in this graph makes it");
      }
      const of = readers.get(v);
      if (of === undefined) readers.set(v, new Set([op]));
      else of.add(op);
    }
    op.outputs.forEach((v, i) => {
      define(v, op, i);
      checkQuant(v, (m) => report(op, m));
    });
  }
  for (const v of defined) {
    const recorded = graph.users(v);
    const actual = readers.get(v) ?? new Set();
    if (recorded.length !== actual.size || recorded.some((op) => !actual.has(op))) {
      report(v.producer, `the readers of %${v.name} are not those on record`, "the graph's book of readers is out of step");
    }
  }
  const outputs = new Set<string>();
  for (const o of graph.outputs) {
    if (!defined.has(o.value)) report(null, `output "${o.name}" reads %${o.value.name}, which is not in the graph`);
    if (outputs.has(o.name)) report(null, `two outputs are named "${o.name}"`);
    outputs.add(o.name);
  }
}

function checkOp(op: Op, level: Level, report: Report): void {
  const definition = opDefinition(op.kind);
  if (definition === undefined) {
    report(op, "the kind is not declared", "operators that the IR does not know are of kind `carry`");
    return;
  }
  if (op.kind.startsWith("cpu.") && level !== "lowered") report(op, `a kind of the native engine in a graph of level ${level}`);
  if (op.annotations["quant"] !== undefined && level !== "annotated") {
    report(op, `quantization specs in a graph of level ${level}`, "specs live between annotation and materialization");
  }
  const counted = counts(op, definition, report);
  const parsed = definition.attrs.safeParse(op.attrs);
  if (!parsed.success) report(op, `attributes: ${parsed.error.issues.map((i) => `${i.path.join(".") || "names"}: ${i.message}`).join("; ")}`);
  if (op.kind === "constant") checkConstant(op, report);
  else {
    if (op.data !== undefined) report(op, "holds constant data, which only constants do");
    // With wrong counts or attributes, inference would only say the same again.
    if (counted && parsed.success) checkTypes(op, report);
  }
}

function counts(op: Op, definition: OpDefinition, report: Report): boolean {
  const [least, most] = definition.inputs;
  const [few, many] = definition.outputs;
  const range = (a: number, b: number): string => (a === b ? `${a}` : b === Number.POSITIVE_INFINITY ? `at least ${a}` : `${a} to ${b}`);
  const absent = op.inputs.slice(0, least).findIndex((v, i) => v === null && definition.optional?.includes(i) !== true);
  const wrong = [
    op.inputs.length >= least && op.inputs.length <= most ? null : `${op.inputs.length} operands, ${range(least, most)} are allowed`,
    op.outputs.length >= few && op.outputs.length <= many ? null : `${op.outputs.length} results, ${range(few, many)} are allowed`,
    absent < 0 ? null : `operand ${absent} is absent, but it is not optional`,
  ].filter((m) => m !== null);
  for (const m of wrong) report(op, m);
  return wrong.length === 0;
}

function checkConstant(op: Op, report: Report): void {
  const type = op.outputs[0]?.type;
  if (type === undefined) return;
  if (op.data === undefined) {
    report(op, "has no data");
    return;
  }
  const n = type.kind === "tensor" ? elementCount(type.shape) : null;
  if (type.kind !== "tensor" || n === null) {
    report(op, `a constant cannot be ${formatType(type)}`, "all its sizes must be known");
    return;
  }
  const bytes = byteSize(type.elem, n);
  if (type.elem !== "string" && op.data.byteLength !== bytes) report(op, `holds ${op.data.byteLength} bytes, ${formatType(type)} takes ${bytes}`);
}

/** Recorded types may say more than inference does, or less; they may not say something else. */
function checkTypes(op: Op, report: Report): void {
  try {
    const inferred = inferredTypes(op);
    inferred?.types.forEach((t, i) => {
      const v = op.outputs[i];
      if (v === undefined) return;
      if (t.kind === "tensor" && v.type.kind === "tensor" && t.elem !== v.type.elem) {
        report(op, `%${v.name} is recorded as ${formatType(v.type)}, its elements are ${t.elem}`);
      } else
        joinTypes(t, v.type, (why): never => {
          throw new CecError([diagnostic("CEC4001", { message: `%${v.name} is recorded as ${formatType(v.type)}`, why })]);
        });
    });
  } catch (error) {
    if (!(error instanceof CecError)) throw error;
    const first = error.diagnostics[0];
    report(op, `types: ${first?.message ?? "do not infer"}`, first?.why);
  }
}

function checkQuant(v: Value, report: (message: string) => void): void {
  if (v.type.kind !== "tensor" || v.type.quant === undefined) return;
  const { elem, shape, quant } = v.type;
  const { scale, zeroPoint, axis } = quant;
  if (!isInteger(elem) && elementTypes[elem].bits > 8) report(`%${v.name} is ${elem} with quantization parameters`);
  if (scale.length !== zeroPoint.length) report(`%${v.name} has ${scale.length} scales and ${zeroPoint.length} zero points`);
  const badScale = scale.find((s) => !(Number.isFinite(s) && s > 0));
  if (badScale !== undefined) report(`%${v.name} has the scale ${badScale}: scales are finite and greater than 0`);
  if (isInteger(elem) && elem !== "i64" && elem !== "u64") {
    const [low, high] = integerRange(elem);
    const badZero = zeroPoint.find((z) => !(Number.isInteger(z) && z >= low && z <= high));
    if (badZero !== undefined) report(`%${v.name} has the zero point ${badZero}, which is no value of ${elem}`);
  }
  if (axis === null) {
    if (scale.length !== 1) report(`%${v.name} has ${scale.length} scales but no axis`);
    return;
  }
  if (shape === null) return;
  const slices = shape[axis];
  if (axis < 0 || axis >= shape.length) report(`%${v.name} is quantized along axis ${axis} of rank ${shape.length}`);
  else if (typeof slices === "number" && slices !== scale.length) report(`%${v.name} has ${scale.length} scales for ${slices} slices`);
}
