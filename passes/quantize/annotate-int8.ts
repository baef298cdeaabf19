import { z } from "zod";
import {
  constantTensor,
  definePass,
  type Graph,
  isConstant,
  type Json,
  type Op,
  type Tensor,
  toNumbers,
  type Value,
} from "../../compiler/core/index.js";
import { endsOf } from "./ends.js";
import { globPattern, int8Options, matcher, type Override } from "./options.js";
import { type Rule, ruleOf, warnOfQuantized } from "./rules.js";
import { shareParameters } from "./sharing.js";
import { type EdgeSpec, type FixedSpec, type ObservedSpec, type OpSpec, withBits } from "./spec.js";
import { clippedScales, weightScales } from "./weights.js";

const options = z.object(int8Options).strict();
type Options = z.infer<typeof options>;

const isF32 = (v: Value | null | undefined): v is Value => v?.type.kind === "tensor" && v.type.elem === "f32";
/** Operand positions that hold data (not axes, shapes or pads). */
const dataOperands = (op: Op, rule: Rule): number[] =>
  rule.kind === "elementwise" || rule.kind === "joined" ? op.inputs.flatMap((v, i) => (v === null ? [] : [i])) : [0];

/**
 * Writes quantization specs on the edges of a float graph, and changes nothing else: which ops run on INT8, which values are observed, which share parameters.
 * A weighted op is quantized where its weights are constants; other ops only where an INT8 op reads their result, so no lone op is quantized between float ones.
 */
export const annotateInt8 = definePass({
  name: "annotate-int8",
  summary: "Choose what is quantized, and write the specs on the edges",
  from: "float",
  to: "annotated",
  keeps: "bit-exact",
  options,
  statistics: { quantized: "ops that will run on INT8", float: "ops that stay in float" },
  run({ graph, options: o, rewrite, count, decide, warn }) {
    warnOfQuantized(graph, warn);
    const settings = settingsFor(graph, o, warn);
    const chosen = chooseOps(graph, settings, o.profile, (op, reason) => {
      count("float");
      decide(op, "float", reason);
    });
    const groups = shareParameters(graph, (op) => chosen.get(op)?.kind);
    const ends = endsOf(graph, (op) => chosen.get(op)?.kind === "weighted");
    const endValues = new Set(ends.values.map(groups.root));
    const floatEdges = o.profile === "tensorrt" ? residualEdges(graph, chosen) : new Set<string>();
    const specOf = (v: Value): EdgeSpec | null => {
      const root = groups.root(v);
      const grid = gridOf(graph, v);
      if (grid !== null && root === v && groups.members(v).length === 1) return grid;
      const names = groups.members(root).flatMap((m) => [m.name, m.producer?.name ?? ""]);
      // A table that is only read from: what is read has the table's parameters.
      if (isConstant(root)) return constantSpec(root, o, settings.of(names));
      if (root !== v) return { kind: "sharedWith", value: root.name };
      // Settings for any of the values that share a range are settings for the range.
      return observedSpec(o, settings.of(names), endValues.has(root) ? Math.max(o.ends_bits, o.activation_bits) : o.activation_bits);
    };
    const weightBits = (op: Op, own: Override): number =>
      own.weight_bits ?? (ends.ops.has(op) ? Math.max(o.ends_bits, o.weight_bits) : o.weight_bits);
    for (const op of graph.ops) {
      const rule = chosen.get(op);
      if (rule === undefined) {
        if (op.kind === "conv_transpose") storeWeights(op);
        continue;
      }
      const own = settings.of([op.name, ...op.outputs.map((v) => v.name)]);
      const inputs: (EdgeSpec | null)[] = op.inputs.map(() => null);
      for (const i of dataOperands(op, rule)) {
        const v = op.inputs[i] as Value;
        if (isF32(v) && !floatEdges.has(edgeKey(op, i))) inputs[i] = isConstant(v) ? constantSpec(v, o, own) : specOf(v);
      }
      if (rule.kind === "weighted") {
        const w = constantTensor(op.inputs[1]);
        if (w === null) continue;
        inputs[1] = weightSpec(op, w, own.weights ?? o.weights, weightBits(op, own), o.weight_range);
        if (op.inputs[2] != null && o.profile !== "tensorrt")
          inputs[2] = { kind: "derivedFrom", from: [(op.inputs[0] as Value).name, (op.inputs[1] as Value).name] };
      }
      const y = op.outputs[0] as Value;
      const spec: OpSpec = {
        inputs,
        outputs: op.outputs.map((v) => (v === y && wantsResult(graph, op, rule, chosen) && !floatEdges.has(resultKey(op)) ? specOf(v) : null)),
      };
      rewrite.annotate(op, "quant", spec as unknown as Json, `${rule.kind} op runs on INT8`);
      count("quantized");
      decide(op, "int8", describe(rule, spec));
    }

    /** ONNX Runtime and our engine run transposed convolutions in float: their weights can still be stored in 8 bits. */
    function storeWeights(op: Op): void {
      const names = [op.name, ...op.outputs.map((v) => v.name)];
      const w = constantTensor(op.inputs[1]);
      if (o.profile !== "cpu" || w === null || !finiteF32(w) || isKept(settings, names)) return;
      const own = settings.of(names);
      const weights = weightSpec(op, w, own.weights ?? o.weights, own.weight_bits ?? o.weight_bits, o.weight_range);
      const spec: OpSpec = { inputs: op.inputs.map((_, i) => (i === 1 ? weights : null)), outputs: op.outputs.map(() => null) };
      rewrite.annotate(op, "quant", spec as unknown as Json, "weights are stored as i8");
      decide(op, "weights only", "weights i8; no CPU target has an integer transposed convolution, so it runs in float");
    }
  },
});

/** The exact parameters that align-input found, where it mapped the value to them. */
function gridOf(graph: Graph, v: Value): FixedSpec | null {
  const grids = graph.users(v).map((op) => (op.inputs[0] === v ? op.annotations["grid"] : undefined));
  const [grid] = grids as { readonly scale: number; readonly zeroPoint: number }[];
  if (grid === undefined || grids.some((g) => g === undefined)) return null;
  return { kind: "fixed", type: "u8", scale: [grid.scale], zeroPoint: [grid.zeroPoint], axis: null };
}

const finiteF32 = (t: Tensor): boolean => t.type === "f32" && t.data.length > 0 && (t.data as Float32Array).every(Number.isFinite);

const isKept = (settings: Settings, names: readonly string[]): boolean =>
  names.some((n) => n !== "" && settings.keep(n)) || settings.of(names).keep === true;

function weightSpec(op: Op, w: Tensor, granularity: "per_channel" | "per_tensor", bits: number, range: Options["weight_range"]): FixedSpec {
  const rule = ruleOf(op.kind);
  // A transposed convolution in groups has its output channels spread over both first axes: one scale for all.
  const grouped = op.kind === "conv_transpose" && (op.attrs["group"] ?? 1) !== 1;
  const axis = rule.kind === "weighted" && granularity === "per_channel" && !grouped ? rule.weightAxis(op.attrs, w.dims.length) : null;
  const scale = (range === "mse" ? clippedScales : weightScales)(w, axis, bits);
  return { kind: "fixed", type: "i8", scale, zeroPoint: scale.map(() => 0), axis, ...withBits(bits) };
}

/** Values of the result along the axis of the output channels. */
function outputChannels(op: Op, w: Tensor): number {
  if (op.kind === "conv_transpose") return (w.dims[1] as number) * Number(op.attrs["group"] ?? 1);
  const rule = ruleOf(op.kind);
  return rule.kind === "weighted" ? (w.dims[rule.weightAxis(op.attrs, w.dims.length)] as number) : 0;
}

const describe = (rule: Rule, spec: OpSpec): string => {
  const w = spec.inputs[1];
  if (rule.kind !== "weighted" || w?.kind !== "fixed")
    return rule.kind === "shared"
      ? "moves stored values: shares its operand's range"
      : rule.kind === "joined"
        ? "operands and result share one range"
        : "operands and result are observed";
  return `weights ${w.bits === undefined ? "i8" : `of ${w.bits} bits`}, ${w.axis === null ? "one scale" : `${w.scale.length} scales along axis ${w.axis}`}${spec.outputs[0] === null ? ", result in float" : ""}`;
};

interface Settings {
  of(names: readonly string[]): Override;
  readonly keep: (name: string) => boolean;
}

function settingsFor(graph: Graph, o: Options, warn: (code: string, message: string) => void): Settings {
  const names = graph.ops.filter((op) => op.kind !== "constant").flatMap((op) => [op.name, ...op.outputs.map((v) => v.name)]);
  for (const pattern of [...o.keep, ...Object.keys(o.overrides)]) {
    const p = globPattern(pattern);
    if (!names.some((n) => p.test(n)) && !graph.inputs.some((v) => p.test(v.name)))
      warn("CEC4011", `the pattern "${pattern}" matches no op or tensor of the graph`);
  }
  const overrides = Object.entries(o.overrides).map(([pattern, value]) => ({ test: globPattern(pattern), value }));
  const kept = matcher(o.keep);
  return {
    keep: kept,
    of: (wanted) => Object.assign({}, ...overrides.filter((e) => wanted.some((n) => e.test.test(n))).map((e) => e.value)) as Override,
  };
}

const observedSpec = (o: Options, own: Override, bits: number): ObservedSpec => {
  const activations = o.profile === "tensorrt" ? "symmetric" : (own.activations ?? o.activations);
  const range = own.range ?? o.range;
  return {
    kind: "observed",
    type: activations === "symmetric" ? "i8" : "u8",
    // asymmetric_relu is settled when the value's sign is known: u8 from zero, or symmetric i8.
    scheme: activations === "asymmetric" ? "asymmetric" : "symmetric",
    range,
    ...(range === "percentile" ? { percentile: own.percentile ?? o.percentile } : {}),
    ...withBits(own.activation_bits ?? bits),
  };
};

/** A constant operand of an element-wise op: its own range, per tensor. */
function constantSpec(v: Value, o: Options, own: Override): EdgeSpec | null {
  const t = constantTensor(v);
  if (t === null || t.data.length === 0) return null;
  const values = toNumbers(t);
  let [low, high] = [0, 0];
  for (const e of values) {
    low = Math.min(low, e);
    high = Math.max(high, e);
  }
  const symmetric = o.profile === "tensorrt" || (own.activations ?? o.activations) === "symmetric";
  if (symmetric) return { kind: "fixed", type: "i8", scale: [Math.fround(Math.max(-low, high) / 127) || 1], zeroPoint: [0], axis: null };
  const scale = Math.fround((high - low) / 255) || 1;
  return { kind: "fixed", type: "u8", scale: [scale], zeroPoint: [Math.min(255, Math.max(0, Math.round(-low / scale)))], axis: null };
}

/** The ops that run on INT8, with their rules. */
function chooseOps(graph: Graph, settings: Settings, profile: Options["profile"], refuse: (op: Op, reason: string) => void): Map<Op, Rule> {
  const chosen = new Map<Op, Rule>();
  const reasons = new Map<Op, string>();
  for (const op of [...graph.ops].reverse()) {
    if (op.kind === "constant") continue;
    const rule = ruleOf(op.kind);
    const names = [op.name, ...op.outputs.map((v) => v.name)];
    const reason = whyFloat(graph, op, rule, names, settings, chosen, profile);
    if (reason === null) chosen.set(op, rule);
    else reasons.set(op, reason);
  }
  for (const op of graph.ops) {
    const reason = reasons.get(op);
    if (reason !== undefined) refuse(op, reason);
  }
  return chosen;
}

function whyFloat(
  graph: Graph,
  op: Op,
  rule: Rule,
  names: readonly string[],
  settings: Settings,
  chosen: ReadonlyMap<Op, Rule>,
  profile: Options["profile"],
): string | null {
  if (rule.kind === "float") return rule.reason;
  if (isKept(settings, names)) return "the plan keeps it in float";
  if (!isF32(op.inputs[0]) || !isF32(op.outputs[0])) return "its operands are no f32 tensors";
  if (rule.kind === "weighted") {
    const w = op.inputs[1];
    if (!isConstant(w) || !isF32(w)) return "its second operand is computed, not a constant";
    const data = constantTensor(w);
    if (data === null || data.data.length === 0) return "its weights are empty";
    if (!finiteF32(data)) return "its weights hold NaN or infinity";
    if (op.kind === "matmul" && data.dims.length !== 2) return "its weights are no matrix";
    if (op.inputs[3] != null) return "a residual add was fused into it: `fuse` without `residual` keeps the add apart";
    if (op.inputs[2] != null && !isConstant(op.inputs[2])) return "its bias is computed";
    const bias = constantTensor(op.inputs[2] ?? null);
    if (bias !== null && !finiteF32(bias)) return "its bias holds NaN or infinity";
    if (op.kind === "gemm") {
      if (op.attrs["transA"] === 1) return "its first operand is transposed";
      if ((op.attrs["alpha"] ?? 1) !== 1 || (op.attrs["beta"] ?? 1) !== 1) return "it scales its operands";
    }
    if (bias !== null && (bias.dims.length !== 1 || bias.data.length !== outputChannels(op, data)))
      return "its bias is no vector of one value per output channel";
    if (op.kind === "conv_transpose" && profile === "cpu") return "no CPU target has an integer transposed convolution";
    return null;
  }
  if (rule.kind === "elementwise" && op.inputs.some((v) => isConstant(v)))
    return "one operand is a constant: the op is cheap in float and would lose its exact value";
  if (dataOperands(op, rule).some((i) => isConstant(op.inputs[i] ?? null) && !finiteF32(constantTensor(op.inputs[i]) as Tensor)))
    return "a constant operand is empty, or holds NaN or infinity";
  if (op.kind === "pad" && op.inputs[2] != null && !isZero(op.inputs[2])) return "its padding value may lie outside the range of its operand";
  if (op.kind === "resize" && (op.attrs["mode"] ?? "nearest") !== "nearest") return "interpolation stays in float";
  if (op.kind === "pad" && (op.attrs["mode"] ?? "constant") !== "constant") return "this padding mode stays in float";
  if (op.outputs.length > 1) return "it has several results";
  const readers = graph.users(op.outputs[0] as Value);
  if (!readers.some((u) => chosen.has(u))) return "no INT8 op reads its result";
  return null;
}

/** Weighted ops with only float readers give float where targets can (matrix products); convolutions need a quantized result to run on INT8 in ONNX Runtime. */
function wantsResult(graph: Graph, op: Op, rule: Rule, chosen: ReadonlyMap<Op, Rule>): boolean {
  if (rule.kind !== "weighted" || op.kind === "conv") return true;
  return graph.users(op.outputs[0] as Value).some((u) => chosen.has(u));
}

const isZero = (v: Value): boolean => {
  const t = constantTensor(v);
  return t !== null && toNumbers(t).every((e) => e === 0);
};

const edgeKey = (op: Op, i: number): string => `${op.outputs[0]?.name}<${i}`;
const resultKey = (op: Op): string => `${op.outputs[0]?.name}>`;

/**
 * TensorRT fuses a convolution with the add behind it when the convolution's own result is not quantized and the other operand is
 * (TensorRT developer guide, "Q/DQ placement recommendations"). Gives the edges that stay float.
 */
function residualEdges(graph: Graph, chosen: ReadonlyMap<Op, Rule>): Set<string> {
  const out = new Set<string>();
  for (const [op] of chosen) {
    if (op.kind !== "add") continue;
    const at = op.inputs.findIndex(
      (v) => v?.producer?.kind === "conv" && chosen.has(v.producer) && graph.onlyUser(v) === op && v.producer.attrs["activation"] === undefined,
    );
    if (at < 0) continue;
    out.add(edgeKey(op, at));
    out.add(resultKey((op.inputs[at] as Value).producer as Op));
  }
  return out;
}
