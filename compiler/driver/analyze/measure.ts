/** Runs the models side by side on the same samples and sums errors; what is held is bounded whatever the model and the number of samples. */
import { type Executor, fail, num, type Tensor, type Value } from "../../core/index.js";
import { firstSamples } from "../feeds.js";
import { numbers } from "../metrics.js";
import { type Coverage, CoverageSum } from "./coverage.js";
import { EffectSum, ErrorSum, type OutputEffect } from "./errors.js";
import type { AnalyzeOptions } from "./index.js";
import { isQuantized, type Layer, type Pair, runsAlone } from "./layers.js";
import { QuantizerSum } from "./quantizers.js";
import { elementsOf, localVariant } from "./variants.js";

const KEPT_ELEMENTS = 2 ** 23;

/** Sums of one pass over the data. */
export interface Measured {
  readonly local: ReadonlyMap<Layer, ErrorSum>;
  readonly accumulated: ReadonlyMap<Layer, ErrorSum>;
  readonly quantizers: ReadonlyMap<string, QuantizerSum>;
  readonly coverage: Coverage;
  readonly output: OutputEffect;
}

/** f32 values of a layer that are held for one sample: the source's, the layer's alone, the compressed model's. */
const keptBy = (l: Layer): number => 3 * elementsOf(l.source.outputs[0] as Value);

/** Layers in groups whose kept values fit the bound for one sample. */
function groupsOf(layers: readonly Layer[], bound: number): Layer[][] {
  const groups: Layer[][] = [];
  let held = Number.POSITIVE_INFINITY;
  for (const l of layers) {
    if (held + keptBy(l) > bound) {
      groups.push([]);
      held = 0;
    }
    groups.at(-1)?.push(l);
    held += keptBy(l);
  }
  return groups;
}

const MOST_SAMPLES = 8;
const batchFor = (layers: readonly Layer[], bound: number): number => {
  const each = layers.reduce((n, l) => n + keptBy(l), 0);
  return Math.max(1, Math.min(MOST_SAMPLES, Math.floor(bound / Math.max(1, each))));
};

/** Runs float model, single quantized layers and compressed model on the same samples, one group of layers after the other. */
export async function measure(
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
  const bound = o.keptElements ?? KEPT_ELEMENTS;
  const groups = groupsOf(comparable, bound);
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
      for await (const b of o.data.batches(batchFor(group, bound), samples)) {
        const a = await float.run(b.feeds);
        const c = await compressed.run(b.feeds);
        const read = (from: Readonly<Record<string, Tensor>>, name: string) => {
          const t = from[name];
          return t === undefined ? null : firstSamples(t, b.count, o.data.fixedBatch ?? b.count);
        };
        for (const name of values) {
          const t = read(a, name);
          if (t === null || t.type !== "f32") continue;
          const x = numbers(t);
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
          if (one !== null && one.data.length === y.data.length) sumOf(local, l).add(numbers(y), numbers(one));
          const whole = l.tap === null ? null : read(c, l.tap);
          if (whole !== null && whole.data.length === y.data.length) sumOf(accumulated, l).add(numbers(y), numbers(whole));
        }
        if (first) {
          const [y, z] = [read(a, output.name), read(c, output.name)];
          if (y !== null && z !== null) {
            if (y.data.length !== z.data.length)
              fail("CEC7007", {
                message: `the output "${output.name}" is [${y.dims}] in ${o.source.path} and [${z.dims}] in ${o.compressed.path}`,
                help: "give the model that was compressed first, then the result",
              });
            effect.add(numbers(y), numbers(z), b.count, y.data.length / b.count);
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
