/** The engine against the IR's reference evaluation, for every kind that it has. */
import { expect, it } from "vitest";
import { opDefinition } from "../../../compiler/core/ir/ops/index.js";
import { nativeIsBuilt, nativeOpKinds } from "../../../runtime-native/ts/index.js";
import { cases } from "./cases.js";
import { difference, type NativeCase, native, reference } from "./support.js";

/**
 * Largest error, relative to the largest magnitude of the result: sums in another order and vector approximations of exp (2 ulp).
 * f64 results come from the same formulas in the same precision.
 */
const tolerance = 1e-5;

const built = nativeIsBuilt();
const byKind = new Map<string, NativeCase[]>();
for (const c of cases) byKind.set(c.kind, [...(byKind.get(c.kind) ?? []), c]);

async function faults(c: NativeCase): Promise<string[]> {
  const want = reference(c);
  const found: string[] = [];
  for (const [label, options, constant] of [
    ["fed", {}, false],
    ["fed, 3 threads", { threads: 3 }, false],
    ["fed, scalar kernels", { isa: "scalar" }, false],
    ["constant", {}, true],
  ] as const) {
    try {
      const got = await native(c, options, constant);
      want.forEach((w, i) => {
        const why = difference(got[i], w, tolerance);
        if (why !== null) found.push(`${label}: result ${i}: ${why}`);
      });
    } catch (error) {
      found.push(`${label}: ${error}`);
    }
  }
  return found.map(
    (why) => `${c.kind} ${c.operands.map((o) => (o === null ? "-" : `${o.type}[${o.dims}]`)).join(" ")} ${JSON.stringify(c.attrs ?? {})}: ${why}`,
  );
}

it.skipIf(!built)("every kind that the engine names is compared here", () => {
  const missing = [...nativeOpKinds()].filter((k) => !byKind.has(k));
  expect(missing).toEqual([]);
});

for (const [kind, list] of byKind) {
  if (built && !nativeOpKinds().has(kind)) continue;
  it.skipIf(!built)(`${kind} computes what the reference does, fed and folded, on 1 and 3 threads, with vectors and without`, async () => {
    expect(opDefinition(kind)?.evaluate).toBeDefined();
    const found: string[] = [];
    for (const c of list) found.push(...(await faults(c)));
    expect(found).toEqual([]);
  });
}
