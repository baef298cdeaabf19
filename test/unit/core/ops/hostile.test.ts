/** Inference on nonsense: it may reject with a code or give a type, never crash, and never hang or allocate. */
import { expect, it } from "vitest";
import { CecError } from "../../../../compiler/core/diagnostics/index.js";
import type { AttrValue } from "../../../../compiler/core/ir/graph.js";
import { opDefinition } from "../../../../compiler/core/ir/ops/index.js";
import { type ElementType, elementCount, elementTypes } from "../../../../compiler/core/ir/types.js";
import { randomFrom } from "../../../../compiler/core/random.js";
import { samples } from "./samples.js";
import { build, ints, type OpCase, type Operand } from "./support.js";

const elems = Object.keys(elementTypes) as ElementType[];
const sizes = [0, 1, 2, 3, 7, "N", "?", 2 ** 31, 2 ** 52];
const numbers = [0, 1, 2, 3, -1, -2, 5, 100, 2 ** 31 - 1, -(2 ** 31), 2 ** 53 - 1];

function mutate(sample: OpCase, next: () => number): OpCase {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)] as T;
  const operand = (o: Operand): Operand => {
    const r = next();
    if (r < 0.4) return o;
    if (r < 0.45) return null;
    if (r < 0.6) return ints(...Array.from({ length: Math.floor(next() * 5) }, () => pick(numbers)));
    const elem = next() < 0.7 && o !== null ? ("type" in o ? o.type : o.elem) : pick(elems);
    if (r < 0.65) return { elem, shape: null };
    const shape = Array.from({ length: Math.floor(next() * 6) }, () => pick(sizes));
    // Inputs and constants themselves are checked where they are read.
    return { elem, shape: (elementCount(shape.filter((d) => typeof d === "number")) ?? 0) > 2 ** 53 ? null : shape };
  };
  const attribute = (v: AttrValue): AttrValue => {
    if (next() < 0.6) return v;
    if (typeof v === "number") return pick(numbers);
    if (Array.isArray(v)) return Array.from({ length: Math.floor(next() * 5) }, () => pick(numbers));
    return v;
  };
  return {
    ...sample,
    operands: sample.operands.map(operand),
    attrs: Object.fromEntries(Object.entries(sample.attrs ?? {}).map(([k, v]) => [k, attribute(v)])),
    outputs: next() < 0.8 ? (sample.outputs ?? 1) : 1 + Math.floor(next() * 3),
  };
}

const text = (c: OpCase): string => JSON.stringify(c, (_, v) => (typeof v === "bigint" ? String(v) : v));

for (const kind of new Set(samples.map((s) => s.kind))) {
  it(`${kind} survives nonsense`, () => {
    const next = randomFrom(kind.length, 17);
    let [given, rejected] = [0, 0];
    for (const sample of samples.filter((s) => s.kind === kind)) {
      for (let i = 0; i < 300; i++) {
        const c = mutate(sample, next);
        if (!(opDefinition(kind)?.attrs.safeParse(c.attrs).success ?? false)) continue;
        try {
          for (const v of build(c).outputs) {
            if (v.type.kind !== "tensor") continue;
            for (const d of v.type.shape ?? []) expect(typeof d === "string" || (Number.isSafeInteger(d) && d >= 0), text(c)).toBe(true);
            expect(elementCount(v.type.shape) ?? 0).toBeLessThanOrEqual(2 ** 53);
          }
          given++;
        } catch (error) {
          if (!(error instanceof CecError)) throw new Error(`${kind} crashed on ${text(c)}`, { cause: error });
          expect(error.exitCode).toBe(1);
          rejected++;
        }
      }
    }
    expect(given + rejected).toBeGreaterThan(0);
  });
}
