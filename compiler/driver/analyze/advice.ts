/** What to change, as lines of a plan, each with the figure behind it. */

import type { RangeMethod } from "../../../passes/quantize/options.js";
import { ruleOf } from "../../../passes/quantize/rules.js";
import type { Coverage } from "./coverage.js";
import type { OutputEffect } from "./errors.js";
import { formatDb } from "./format.js";
import type { LayerReport } from "./index.js";
import type { Pair } from "./layers.js";
import type { QuantizerFigures } from "./quantizers.js";
import type { Sensitivity } from "./sensitivity.js";

/** One change that the figures speak for. */
export interface AdviceItem {
  readonly what: "keep" | "weights" | "range" | "samples";
  /** Op or tensor, by the name that a plan takes; `*` for the whole model. */
  readonly target: string;
  /** The setting, as a plan writes it. */
  readonly setting: string;
  readonly why: string;
}

/** All of them, and as text for a plan. */
export interface Advice {
  readonly items: readonly AdviceItem[];
  /** Statements to be pasted into a plan; empty where nothing is to be changed. */
  readonly plan: string;
}

interface Figures {
  readonly layers: readonly LayerReport[];
  readonly quantizers: readonly QuantizerFigures[];
  readonly coverage: Coverage;
  readonly sensitivity: Sensitivity | null;
}

/** Weights: a scale per channel costs nothing at run time, so little is enough to advise it. */
const WEIGHTS_DB = 3;
/** Ranges: less than this, for one of them, is within what other samples of the same data would give. */
const RANGE_DB = 2;
/** The same for a setting that a third of all ranges would gain from. */
const GENERAL_DB = 1;
/** An operand of a concat that is left with this many bits less than it could have is starved. */
const STARVED_BITS = 2;
/** Share of the output's error that goes when one layer stays in float. */
const KEEP_GAIN = 0.3;
const MOST_KEPT = 3;
/** Below this error there is nothing worth keeping in float: nats of KL, or noise over signal. */
const NEGLIGIBLE = 1e-4;

/** One figure to rank by: KL where the output is a row of classes, else noise over signal. */
export const damage = (e: OutputEffect): number => e.kl ?? (Number.isFinite(e.sqnr) ? 10 ** (-e.sqnr / 10) : 0);

function onWeights(layers: readonly LayerReport[]): AdviceItem[] {
  const gains = layers.flatMap((l) => {
    const w = l.weights;
    const gain = w?.perTensor === true && w.perChannelSqnr !== null ? w.perChannelSqnr - w.sqnr : 0;
    return w !== null && gain >= WEIGHTS_DB ? [{ l, gain, w }] : [];
  });
  const weighted = layers.filter((l) => l.weights !== null && l.weights.stored !== "float");
  if (gains.length > 1 && gains.length >= weighted.length / 2) {
    const most = gains.reduce((a, b) => (b.gain > a.gain ? b : a));
    return [
      {
        what: "weights",
        target: "*",
        setting: "weights: per_channel",
        why: `${gains.length} of ${weighted.length} layers share one scale among channels of unlike size; at "${most.l.name}" that costs ${formatDb(most.gain)}`,
      },
    ];
  }
  return gains.map(({ l, gain, w }) => ({
    what: "weights",
    target: l.name,
    setting: "weights: per_channel",
    why: `its weights have ${formatDb(w.sqnr)} with one scale, ${formatDb(w.perChannelSqnr as number)} with one per channel (${formatDb(gain)} more)`,
  }));
}

/** Quantized ops that read a value through its quantizer, ops that only move it looked through. */
function quantizedReaders(pair: Pair, value: string): string[] {
  return pair.layers.flatMap((l) => {
    if (!l.reads.some((v, i) => v?.name === value && l.inputs[i] != null)) return [];
    return ruleOf(l.source.kind).kind === "shared" ? [l.name, ...quantizedReaders(pair, l.source.outputs[0]?.name ?? "")] : [l.name];
  });
}

/** Concats whose operands would have finer steps with ranges of their own; what reads the result in one range has to stay in float with them. */
function onConcats(
  pair: Pair,
  quantizers: ReadonlyMap<string, QuantizerFigures>,
): { readonly items: AdviceItem[]; readonly values: ReadonlySet<string> } {
  const values = new Set<string>();
  const items = pair.layers
    .filter((l) => l.kind === "concat" && l.output !== null)
    .flatMap((l): AdviceItem[] => {
      const result = l.source.outputs[0]?.name ?? "";
      const operands = l.reads.flatMap((v) => (v === null ? [] : [quantizers.get(v.name)].filter((q) => q !== undefined)));
      for (const q of operands) values.add(q.value);
      values.add(result);
      const starved = operands.filter((q) => q.unusedBits >= STARVED_BITS);
      if (starved.length === 0) return [];
      const worst = starved.reduce((a, b) => (b.unusedBits > a.unusedBits ? b : a));
      const item = (target: string, why: string): AdviceItem => ({ what: "keep", target, setting: "keep", why });
      return [
        item(l.name, `it mixes ranges: "${worst.value}" loses ${worst.unusedBits.toFixed(1)} bits of resolution to the range of its neighbours`),
        ...[...new Set(quantizedReaders(pair, result))].map((name) => item(name, `it reads what "${l.name}" mixes in one range`)),
      ];
    });
  return { items, values };
}

function onRanges(quantizers: readonly QuantizerFigures[], except: ReadonlySet<string>): AdviceItem[] {
  const gains = quantizers
    .filter((q) => q.scales === 1 && ["u8", "i8"].includes(q.type) && !except.has(q.value))
    .map((q) => ({ q, gain: q.best.sqnr - q.expected }))
    .filter(({ gain }) => gain >= GENERAL_DB);
  const votes = new Map<RangeMethod, typeof gains>();
  for (const g of gains) votes.set(g.q.best.range, [...(votes.get(g.q.best.range) ?? []), g]);
  const [method, voters] = [...votes].sort((a, b) => b[1].length - a[1].length)[0] ?? [null, []];
  const wider = (q: QuantizerFigures): boolean => q.best.bounds[1] - q.best.bounds[0] > 1.05 * (q.range[1] - q.range[0]);
  const text = ({ q }: (typeof gains)[number]): string =>
    `${formatDb(q.expected)} as it is, ${formatDb(q.best.sqnr)} expected with ${q.best.range}${wider(q) ? ", which is wider: if it is set already, calibrate on more samples" : ""}`;
  const general = method !== null && voters.length > quantizers.length / 3;
  const most = voters.reduce<(typeof gains)[number] | null>((a, b) => (a === null || b.gain > a.gain ? b : a), null);
  return [
    ...(general && most !== null
      ? [
          {
            what: "range" as const,
            target: "*",
            setting: `range: ${method}`,
            why: `${voters.length} of ${quantizers.length} ranges would lose less, most of all "${most.q.value}": ${text(most)}`,
          },
        ]
      : []),
    ...gains
      .filter((g) => g.gain >= RANGE_DB && !(general && g.q.best.range === method))
      .map((g) => ({ what: "range" as const, target: g.q.value, setting: `range: ${g.q.best.range}`, why: text(g) })),
  ];
}

/** Layers whose return to float takes away a good part of the output's error. */
function onSensitivity(s: Sensitivity | null, mended: ReadonlySet<string>): AdviceItem[] {
  if (s === null) return [];
  const all = damage(s.all);
  if (all < NEGLIGIBLE) return [];
  return s.layers
    .map((l) => ({ layer: l.layer, gain: 1 - damage(l.allBut) / all }))
    .filter(({ layer, gain }) => gain >= KEEP_GAIN && !mended.has(layer))
    .sort((a, b) => b.gain - a.gain)
    .slice(0, MOST_KEPT)
    .map(({ layer, gain }) => ({
      what: "keep",
      target: layer,
      setting: "keep",
      why: `in float it takes ${(100 * gain).toFixed(0)} % of the output's error away`,
    }));
}

function onSamples(c: Coverage, dataName: string | null): AdviceItem[] {
  const total = c.curve.at(-1)?.samples ?? 0;
  const half = c.curve.findLast((p) => p.samples <= total / 2);
  const why =
    c.enough === null
      ? half === undefined
        ? "one sample shows nothing about the next"
        : `ranges still grow: one in ten activations had seen ${(100 * half.lowest).toFixed(0)} % of its range or less after ${half.samples} of ${total} samples`
      : `after ${c.enough} samples nine in ten activations have seen at least 95 % of the range that ${total} samples span`;
  return [{ what: "samples", target: "*", setting: dataName === null ? `--samples ${c.advised}` : `calibrate ${dataName}[0:${c.advised}]`, why }];
}

function planOf(items: readonly AdviceItem[]): string {
  const general = items.filter((i) => i.target === "*" && i.what !== "samples").map((i) => i.setting);
  const kept = items.filter((i) => i.what === "keep").map((i) => JSON.stringify(i.target));
  const overrides = new Map<string, string[]>();
  for (const i of items) if (i.target !== "*" && i.what !== "keep") overrides.set(i.target, [...(overrides.get(i.target) ?? []), i.setting]);
  const body = [
    ...general,
    ...(kept.length === 0 ? [] : [`keep: [${kept.join(", ")}]`]),
    ...(overrides.size === 0
      ? []
      : [`overrides: {\n${[...overrides].map(([name, settings]) => `    ${JSON.stringify(name)}: { ${settings.join(", ")} }`).join(",\n")}\n  }`]),
  ];
  const calibrate = items.find((i) => i.what === "samples" && i.setting.startsWith("calibrate"))?.setting;
  return [...(calibrate === undefined ? [] : [calibrate]), ...(body.length === 0 ? [] : [`quantize int8 {\n  ${body.join(",\n  ")}\n}`])].join("\n");
}

/** @param dataName the data set as a plan calls it; `null` where it is none of a plan's */
export function adviseOn(pair: Pair, f: Figures, dataName: string | null): Advice {
  if (f.quantizers.length === 0 && f.layers.every((l) => !l.quantized)) return { items: [], plan: "" };
  const concats = onConcats(pair, new Map(f.quantizers.map((q) => [q.value, q])));
  const weights = onWeights(f.layers);
  const ranges = onRanges(f.quantizers, concats.values);
  const mendedValues = new Set(ranges.map((i) => i.target));
  const mended = new Set([
    ...[...concats.items, ...weights].map((i) => i.target),
    ...f.layers.filter((l) => mendedValues.has(l.value)).map((l) => l.name),
  ]);
  // What a general setting mends is to be measured again before anything is kept in float.
  const general = [...weights, ...ranges].some((i) => i.target === "*");
  const kept = general ? [] : onSensitivity(f.sensitivity, mended);
  const items = [...concats.items, ...weights, ...ranges, ...kept, ...onSamples(f.coverage, dataName)];
  return { items, plan: planOf(items) };
}
