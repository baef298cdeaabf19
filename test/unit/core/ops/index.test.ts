import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import { opDefinition, opKinds } from "../../../../compiler/core/ir/ops/index.js";
import { elementTypes, formatType, type TensorType } from "../../../../compiler/core/ir/types.js";
import { samples } from "./samples.js";
import { build, evaluate, type Operand } from "./support.js";

/** Kinds without a scalar reference: structure, control flow and what is only carried. */
const notEvaluated = ["carry", "constant", "if", "loop", "scan"];

it("keeps each kind in a file of its name", () => {
  for (const kind of opKinds) {
    expect(opDefinition(kind)?.kind).toBe(kind);
    const file = new URL(`../../../../compiler/core/ir/ops/${kind.replace(".", "/")}.ts`, import.meta.url);
    expect(existsSync(file), kind).toBe(true);
  }
});

it("has a sample for each kind that evaluates, and evaluates all but control flow", () => {
  const sampled = new Set(samples.map((s) => s.kind));
  expect(opKinds.filter((kind) => opDefinition(kind)?.evaluate === undefined)).toEqual(notEvaluated);
  expect(opKinds.filter((kind) => !sampled.has(kind))).toEqual(notEvaluated);
});

it("knows no kind that is not in the table", () => {
  expect(opDefinition("toString")).toBeUndefined();
  expect(opDefinition("Conv")).toBeUndefined();
});

const isTensor = (o: Operand): o is Extract<Operand, { readonly data: unknown }> => o !== null && "data" in o;

for (const sample of samples) {
  const operands = sample.operands.filter((o) => o === null || isTensor(o)) as Parameters<typeof evaluate>[1];

  it(`${sample.kind} evaluates to what inference says`, () => {
    const op = build(sample);
    const results = evaluate(sample.kind, operands, sample.attrs, sample.outputs);
    expect(results).toHaveLength(op.outputs.length);
    results.forEach((r, i) => {
      const type = op.outputs[i]?.type as TensorType;
      expect(type.elem).toBe(r.type);
      // What depends on values (non_zero) may stay open; all else is known for constants.
      expect(formatType({ ...type, shape: (type.shape ?? []).map((d, k) => (d === "?" ? (r.dims[k] as number) : d)) })).toContain(
        `${r.type}[${r.dims.join(", ")}]`,
      );
      expect(r.data.length).toBe(r.dims.reduce((a, b) => a * b, 1));
      expect(elementTypes[r.type].kind).not.toBe("string");
    });
  });

  it(`${sample.kind} with symbolic dimensions infers nothing that its values contradict`, () => {
    const bound = new Map<string, number>();
    const symbolic = sample.operands.map((o, i): Operand => {
      if (!isTensor(o) || o.type === "i64") return o;
      return {
        elem: o.type,
        shape: o.dims.map((d, k) => {
          const symbol = `s${i}_${k}`;
          bound.set(symbol, d);
          return symbol;
        }),
      };
    });
    const op = build({ ...sample, operands: symbolic });
    evaluate(sample.kind, operands, sample.attrs, sample.outputs).forEach((r, i) => {
      const type = op.outputs[i]?.type;
      if (type?.kind !== "tensor" || type.shape === null) return;
      expect(type.shape).toHaveLength(r.dims.length);
      type.shape.forEach((d, k) => {
        const known = typeof d === "number" ? d : bound.get(d);
        if (known !== undefined) expect(known, `${sample.kind} result ${i} axis ${k}`).toBe(r.dims[k]);
      });
    });
  });

  it(`${sample.kind} takes operands of which nothing is known`, () => {
    const op = build({ ...sample, operands: sample.operands.map((o) => (isTensor(o) ? { elem: o.type, shape: null } : o)) });
    expect(op.outputs.length).toBe(sample.outputs ?? 1);
  });

  it(`${sample.kind} has a finite cost`, () => {
    const op = build(sample);
    const shapes = {
      inputs: sample.operands.map((o) => (isTensor(o) ? o.dims : null)),
      outputs: evaluate(sample.kind, operands, sample.attrs, sample.outputs).map((r) => r.dims),
    };
    const cost = opDefinition(sample.kind)?.cost?.(op, shapes) ?? { macs: 0, flops: 0 };
    expect(Number.isSafeInteger(cost.macs) && cost.macs >= 0).toBe(true);
    expect(Number.isSafeInteger(cost.flops) && cost.flops >= 0).toBe(true);
  });

  it(`${sample.kind} rejects an attribute that it does not have`, () => {
    expect(opDefinition(sample.kind)?.attrs.safeParse({ ...sample.attrs, no_such_attribute: 1 }).success).toBe(false);
  });
}
