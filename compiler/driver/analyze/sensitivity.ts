/** Effect of single layers on the network's output, measured: quantize one layer at a time, and all but one. */
import { ruleOf } from "../../../passes/quantize/rules.js";
import type { Executor, Graph, GraphSession, Tensor } from "../../core/index.js";
import { batchFor } from "../evaluate.js";
import { type BoundData, firstSamples } from "../feeds.js";
import { numbers } from "../metrics.js";
import { EffectSum, type OutputEffect } from "./errors.js";
import { isQuantized, type Layer, runsAlone } from "./layers.js";
import { quantizedVariant } from "./variants.js";

/** What one layer does to the output. */
export interface LayerSensitivity {
  readonly layer: string;
  /** Output of the source with only this layer quantized, against the source. */
  readonly alone: OutputEffect;
  /** Output with every layer quantized but this one, against the source. */
  readonly allBut: OutputEffect;
}

/** The measured sensitivity of all layers that bring an error of their own. */
export interface Sensitivity {
  readonly samples: number;
  /** Every matched layer quantized. */
  readonly all: OutputEffect;
  readonly layers: readonly LayerSensitivity[];
}

/** Layers that bring an error of their own: ops that only move stored values do not. */
export const ownsError = (l: Layer): boolean => isQuantized(l) && runsAlone(l) && ruleOf(l.source.kind).kind !== "shared";

/** How sensitivity is measured. */
export interface SensitivityOptions {
  readonly executor: Executor;
  /** Samples per measurement. */
  readonly samples: number;
  readonly onProgress?: (fraction: number, what: string) => void;
}

/** Memory: the outputs of the source on the samples, and one session at a time. */
export async function measureSensitivity(source: Graph, layers: readonly Layer[], data: BoundData, o: SensitivityOptions): Promise<Sensitivity> {
  const output = source.outputs[0]?.name ?? "";
  const samples = Math.min(o.samples, data.data.size);
  const batch = batchFor(data);
  const run = async (graph: Graph, take: (y: Tensor, at: number, count: number) => void): Promise<void> => {
    const session: GraphSession = await o.executor.prepare(graph);
    try {
      let at = 0;
      for await (const b of data.batches(batch, samples)) {
        const y = (await session.run(b.feeds))[output] as Tensor;
        take(firstSamples(y, b.count, data.fixedBatch ?? b.count), at, b.count);
        at += b.count;
      }
    } finally {
      session.dispose();
    }
  };
  const wanted: Tensor[] = [];
  await run(source, (y) => wanted.push(y));
  const effect = async (chosen: readonly Layer[]): Promise<OutputEffect> => {
    const sum = new EffectSum(wanted[0]?.dims.length ?? 0);
    let i = 0;
    await run(quantizedVariant(source, chosen), (y, _, count) => {
      const reference = wanted[i++] as Tensor;
      sum.add(numbers(reference), numbers(y), count, y.data.length / Math.max(1, count));
    });
    return sum.read();
  };
  const quantized = layers.filter((l) => isQuantized(l) && runsAlone(l));
  const own = layers.filter(ownsError);
  const all = await effect(quantized);
  const out: LayerSensitivity[] = [];
  for (const [i, l] of own.entries()) {
    out.push({ layer: l.name, alone: await effect([l]), allBut: await effect(quantized.filter((k) => k !== l)) });
    o.onProgress?.((i + 1) / own.length, `${i + 1} of ${own.length} layers`);
  }
  return { samples, all, layers: out };
}
