/** Error analysis of a compressed model: where it loses what, and what would lose less. */
import { ruleOf } from "../../../passes/quantize/rules.js";
import type { Executor, Feeds, Graph, Tensor, TensorStatistics, Value } from "../../core/index.js";
import { type Diagnostic, diagnostic, fail, num } from "../../core/index.js";
import { type BoundData, firstSamples } from "../feeds.js";
import { version } from "../version.js";
import { type Advice, adviseOn } from "./advice.js";
import { type Coverage, CoverageSum } from "./coverage.js";
import { EffectSum, type ErrorFigures, ErrorSum, type OutputEffect } from "./errors.js";
import { isQuantized, type Layer, type Pair, pairModels, runsAlone } from "./layers.js";
import type { Unmatched } from "./match.js";
import { type QuantizerFigures, QuantizerSum } from "./quantizers.js";
import { measureSensitivity, type Sensitivity } from "./sensitivity.js";
import { elementsOf, localVariant, numbersOf } from "./variants.js";
import { type WeightFigures, weightFigures } from "./weights.js";

export interface LayerReport {
  readonly name: string;
  readonly kind: string;
  /** Its result in the source's normal form: the name that `overrides` takes. */
  readonly value: string;
  readonly quantized: boolean;
  readonly weights: WeightFigures | null;
  /** The layer alone: the float model's values through the quantized layer. */
  readonly local: ErrorFigures | null;
  /** The compressed model's result against the float model's. */
  readonly accumulated: ErrorFigures | null;
  /** Why a figure is missing. */
  readonly note: string | null;
}

export interface AnalysisReport {
  readonly cec: string;
  readonly source: string;
  readonly compressed: string;
  readonly data: string;
  readonly samples: number;
  readonly output: OutputEffect & { readonly name: string };
  readonly layers: readonly LayerReport[];
  readonly quantizers: readonly QuantizerFigures[];
  readonly coverage: Coverage;
  readonly sensitivity: Sensitivity | null;
  readonly unmatched: readonly Unmatched[];
  /** Layers whose channels were equalized: they are compared with the source scaled alike. */
  readonly equalized: readonly string[];
  readonly warnings: readonly Diagnostic[];
  readonly advice: Advice;
}

export interface AnalyzeOptions {
  readonly source: { readonly path: string; readonly graph: Graph };
  readonly compressed: { readonly path: string; readonly graph: Graph };
  readonly data: BoundData;
  /** How the advice names the data: the name of a `calibrate` line, or `null` for data that no plan declares. */
  readonly dataName: string | null;
  readonly executorFor: (graph: Graph) => Promise<Executor>;
  readonly samples: number;
  /** Samples of each sensitivity measurement; 0 leaves it out. */
  readonly sensitivity: number;
  readonly onProgress?: (stage: string, fraction: number, what: string) => void;
}

/** Elements of kept values in one run: bounds memory, whatever the model and the number of samples (f32: 32 MiB). */
const KEPT_ELEMENTS = 2 ** 23;
const BINS = 2048;

/**
 * @throws CecError CEC7007 when the models do not belong together, CEC5005 when the data does not fit
 */
export async function analyze(o: AnalyzeOptions): Promise<AnalysisReport> {
  const pair = await pairModels(o.source.graph, o.compressed.graph);
  checkPair(pair, o);
  const samples = Math.min(o.samples, o.data.data.size);
  if (samples === 0) fail("CEC5002", { message: `data set ${o.data.data.name} is empty` });
  const executor = await o.executorFor(pair.source);
  const stage = (name: string) => (f: number, what: string) => o.onProgress?.(name, f, what);
  const statistics = await observed(pair, executor, o.data, samples);
  const measured = await measure(pair, o, executor, samples, stage("measure"));
  const sensitivity =
    o.sensitivity === 0 || !pair.layers.some(isQuantized)
      ? null
      : await measureSensitivity(pair.source, pair.layers, o.data, {
          executor,
          samples: Math.min(samples, o.sensitivity),
          onProgress: stage("sensitivity"),
        });
  const layers = pair.layers
    .filter((l) => isQuantized(l) || measured.accumulated.has(l))
    .map(
      (l): LayerReport => ({
        name: l.name,
        kind: l.kind,
        value: (l.source.outputs[0] as Value).name,
        quantized: isQuantized(l),
        weights: weightFigures(l),
        local: measured.local.get(l)?.read() ?? null,
        accumulated: measured.accumulated.get(l)?.read() ?? null,
        note: l.untapped ?? (runsAlone(l) ? null : "it reads a value that has no counterpart in the source"),
      }),
    );
  // What only moves stored values has the quantizer of its operand.
  const moved = new Set(pair.layers.filter((l) => ruleOf(l.source.kind).kind === "shared").map((l) => (l.source.outputs[0] as Value).name));
  const quantizers = [...measured.quantizers].flatMap(([name, sum]) => {
    const s = statistics.get(name);
    return s === undefined || moved.has(name) ? [] : [sum.read(name, s)];
  });
  const warnings = pair.layers.some(isQuantized)
    ? []
    : [
        diagnostic("CEC7008", {
          severity: "warning",
          message: `${o.compressed.path} is not quantized`,
          why: "none of its matched ops reads or gives integers",
          help: "weights and activations are compared; ranges, saturation and sensitivity need a quantized model",
        }),
      ];
  const figures = { layers, quantizers, coverage: measured.coverage, sensitivity };
  return {
    cec: version,
    source: o.source.path,
    compressed: o.compressed.path,
    data: o.data.data.name,
    samples,
    output: { name: pair.source.outputs[0]?.name ?? "", ...measured.output },
    ...figures,
    unmatched: pair.unmatched,
    equalized: pair.equalized,
    warnings,
    advice: adviseOn(pair, figures, o.dataName),
  };
}

function checkPair(pair: Pair, o: AnalyzeOptions): void {
  const weighted = (op: { readonly kind: string }): boolean => ["conv", "conv_transpose", "gemm", "matmul"].includes(op.kind);
  const there = pair.source.ops.filter(weighted).length;
  const found = pair.layers.filter((l) => weighted(l.source)).length;
  const output = pair.source.outputs[0]?.name;
  const fused = pair.compressed.ops.find((op) => ["qlinear_conv", "qlinear_matmul", "conv_integer", "matmul_integer"].includes(op.kind));
  if (there > 0 && found === 0 && fused !== undefined)
    fail("CEC7007", {
      message: `${o.compressed.path} cannot be taken apart into layers`,
      why: `its layers are integer operators such as ${fused.kind} ("${fused.name}"), which hold quantizers and arithmetic in one`,
      help: "analyze a QDQ model (quant_format=QuantFormat.QDQ in ONNX Runtime's quantize_static)",
    });
  if (there > 0 && found === 0)
    fail("CEC7007", {
      message: `${o.source.path} and ${o.compressed.path} do not belong together`,
      why: `none of the source's ${there} weighted ops has a counterpart${pair.unmatched[0] === undefined ? "" : `: "${pair.unmatched[0].op}": ${pair.unmatched[0].reason}`}`,
      help: "give the model that was compressed first, then the result",
    });
  if (output === undefined || !pair.compressed.outputs.some((v) => v.name === output))
    fail("CEC7007", {
      message: `${o.compressed.path} has no output "${output ?? ""}"`,
      why: `its outputs are ${pair.compressed.outputs.map((v) => v.name).join(", ")}`,
      help: "give the model that was compressed first, then the result",
    });
}

/** Histograms of the quantized values, from the float model. */
async function observed(pair: Pair, executor: Executor, data: BoundData, samples: number): Promise<ReadonlyMap<string, TensorStatistics>> {
  const names = [...pair.quantizers.keys()].filter((n) => pair.source.value(n) !== undefined);
  if (names.length === 0) return new Map();
  async function* feeds(): AsyncGenerator<Feeds> {
    for await (const b of data.batches(1, samples)) yield b.feeds;
  }
  return executor.observe(pair.source, names, feeds(), { bins: BINS });
}

interface Measured {
  readonly local: ReadonlyMap<Layer, ErrorSum>;
  readonly accumulated: ReadonlyMap<Layer, ErrorSum>;
  readonly quantizers: ReadonlyMap<string, QuantizerSum>;
  readonly coverage: Coverage;
  readonly output: OutputEffect;
}

/** Layers in groups whose kept values fit the bound for one sample. */
function groupsOf(layers: readonly Layer[]): Layer[][] {
  const groups: Layer[][] = [];
  let held = Number.POSITIVE_INFINITY;
  for (const l of layers) {
    const size = 3 * elementsOf(l.source.outputs[0] as Value);
    if (held + size > KEPT_ELEMENTS) {
      groups.push([]);
      held = 0;
    }
    groups.at(-1)?.push(l);
    held += size;
  }
  return groups;
}

const batchFor = (layers: readonly Layer[]): number =>
  Math.max(
    1,
    Math.min(
      8,
      Math.floor(
        KEPT_ELEMENTS /
          Math.max(
            1,
            layers.reduce((n, l) => n + 3 * elementsOf(l.source.outputs[0] as Value), 0),
          ),
      ),
    ),
  );

/** Runs float model, single quantized layers and compressed model on the same samples, one group of layers after the other. */
async function measure(
  pair: Pair,
  o: AnalyzeOptions,
  executor: Executor,
  samples: number,
  onProgress: (fraction: number, what: string) => void,
): Promise<Measured> {
  const local = new Map<Layer, ErrorSum>();
  const accumulated = new Map<Layer, ErrorSum>();
  const quantizers = new Map([...pair.quantizers].map(([n, q]) => [n, new QuantizerSum(q)]));
  const coverage = new CoverageSum(samples);
  for (const l of pair.layers) watchInput(coverage, l);
  const output = pair.source.outputs[0] as { readonly name: string; readonly value: Value };
  const effect = new EffectSum(output.value.type.kind === "tensor" ? (output.value.type.shape?.length ?? 0) : 0);
  const comparable = pair.layers.filter((l) => l.tap !== null || isQuantized(l));
  const groups = groupsOf(comparable);
  const compressedExecutor = await o.executorFor(pair.compressed);
  for (const [g, group] of groups.entries()) {
    const first = g === 0;
    const alone = group.filter((l) => isQuantized(l) && runsAlone(l));
    const { graph, results } = localVariant(pair.source, alone);
    const values = [...new Set([...group.map((l) => (l.source.outputs[0] as Value).name), ...(first ? pair.source.inputs.map((v) => v.name) : [])])];
    const taps = group.flatMap((l) => (l.tap === null ? [] : [l.tap]));
    const float = await executor.prepare(graph, { keep: values });
    const compressed = await compressedExecutor.prepare(pair.compressed, { keep: taps });
    try {
      let at = 0;
      for await (const b of o.data.batches(batchFor(group), samples)) {
        const a = await float.run(b.feeds);
        const c = await compressed.run(b.feeds);
        const read = (from: Readonly<Record<string, Tensor>>, name: string) => {
          const t = from[name];
          return t === undefined ? null : firstSamples(t, b.count, o.data.fixedBatch ?? b.count);
        };
        for (const name of values) {
          const t = read(a, name);
          if (t === null || t.type !== "f32") continue;
          const x = numbersOf(t);
          quantizers.get(name)?.add(x, x.length);
          const each = x.length / b.count;
          const stride = t.dims.length > 2 ? each / (t.dims[1] as number) : 1;
          for (let s = 0; s < b.count; s++) coverage.add(name, at + s, x, s * each, each, stride);
        }
        for (const l of group) {
          const y = read(a, (l.source.outputs[0] as Value).name);
          if (y === null || y.type !== "f32") continue;
          const copy = results.get(l);
          const one = copy === undefined ? null : read(a, copy);
          if (one !== null && one.data.length === y.data.length) sumOf(local, l).add(numbersOf(y), numbersOf(one));
          const whole = l.tap === null ? null : read(c, l.tap);
          if (whole !== null && whole.data.length === y.data.length) sumOf(accumulated, l).add(numbersOf(y), numbersOf(whole));
        }
        if (first) {
          const [y, z] = [read(a, output.name), read(c, output.name)];
          if (y !== null && z !== null) {
            if (y.data.length !== z.data.length)
              fail("CEC7007", {
                message: `the output "${output.name}" is [${y.dims}] in ${o.source.path} and [${z.dims}] in ${o.compressed.path}`,
                help: "give the model that was compressed first, then the result",
              });
            effect.add(numbersOf(y), numbersOf(z), b.count, y.data.length / b.count);
          }
        }
        at += b.count;
        onProgress((g + at / samples) / groups.length, `${at} of ${samples} samples, layers ${g + 1} of ${groups.length}`);
      }
    } finally {
      float.dispose();
      compressed.dispose();
    }
  }
  return { local, accumulated, quantizers, coverage: coverage.read(), output: effect.read() };
}

function sumOf(sums: Map<Layer, ErrorSum>, l: Layer): ErrorSum {
  let sum = sums.get(l);
  if (sum === undefined) {
    sum = new ErrorSum();
    sums.set(l, sum);
  }
  return sum;
}

/** Which weights a channel of the layer's input is multiplied with. */
function watchInput(coverage: CoverageSum, l: Layer): void {
  const x = l.source.inputs[0];
  const w = l.source.inputs[1];
  if (x?.type.kind !== "tensor" || w?.type.kind !== "tensor" || w.producer?.kind !== "constant") return;
  if (!["conv", "gemm", "matmul"].includes(l.source.kind)) return;
  const shape = x.type.shape ?? [];
  const channels = shape[l.source.kind === "conv" ? 1 : shape.length - 1];
  if (typeof channels !== "number" || channels === 0 || num(l.source, "transA", 0) === 1) return;
  const weights = (w.type.shape ?? []).reduce<number>((n, d) => n * (typeof d === "number" ? d : 1), 1);
  coverage.watchChannels(x.name, channels, weights / channels);
}
