/** Error analysis of a compressed model: where it loses what, and what would lose less. */
import { ruleOf } from "../../../passes/quantize/rules.js";
import { type Diagnostic, diagnostic, type Executor, type Feeds, fail, type Graph, type TensorStatistics, type Value } from "../../core/index.js";
import type { BoundData } from "../feeds.js";
import { version } from "../version.js";
import { type Advice, adviseOn } from "./advice.js";
import { checkPair, checkSource } from "./check.js";
import type { Coverage } from "./coverage.js";
import type { ErrorFigures, OutputEffect } from "./errors.js";
import { isQuantized, type Pair, pairModels, runsAlone } from "./layers.js";
import type { Unmatched } from "./match.js";
import { measure } from "./measure.js";
import type { QuantizerFigures } from "./quantizers.js";
import { measureSensitivity, type Sensitivity } from "./sensitivity.js";
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
  /** Values held in one run; networks with more are measured in groups of layers. Default 2^23 (f32: 32 MiB). */
  readonly keptElements?: number;
  readonly onProgress?: (stage: string, fraction: number, what: string) => void;
}

const BINS = 2048;

/**
 * @throws CecError CEC7007 when the models do not belong together, CEC5005 when the data does not fit
 */
export async function analyze(o: AnalyzeOptions): Promise<AnalysisReport> {
  checkSource(o);
  const pair = await pairModels(o.source.graph, o.compressed.graph);
  const doubts = checkPair(pair, o);
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
    ? doubts
    : [
        ...doubts,
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

/** Histograms of the quantized values, from the float model. */
async function observed(pair: Pair, executor: Executor, data: BoundData, samples: number): Promise<ReadonlyMap<string, TensorStatistics>> {
  const names = [...pair.quantizers.keys()].filter((n) => pair.source.value(n) !== undefined);
  if (names.length === 0) return new Map();
  async function* feeds(): AsyncGenerator<Feeds> {
    for await (const b of data.batches(1, samples)) yield b.feeds;
  }
  return executor.observe(pair.source, names, feeds(), { bins: BINS });
}
