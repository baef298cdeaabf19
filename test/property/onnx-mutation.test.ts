/** Damaged files: whatever the bytes, the importer gives a graph or a coded error with help, in bounded time. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { CecError, importOnnx, randomFrom, verifyGraph } from "../../compiler/core/index.js";
import { smallNetOnnx } from "../e2e/support.js";

/** One fault: a cut, flipped bits, a run of other bytes, a piece copied elsewhere, or a length made huge. */
function mutate(bytes: Uint8Array, random: () => number, head: number): Uint8Array {
  const at = Math.floor(random() * Math.min(head, bytes.length));
  const out = bytes.slice();
  switch (Math.floor(random() * 6)) {
    case 0:
      return out.subarray(0, at);
    case 1:
      out[at] = (out[at] as number) ^ (1 << Math.floor(random() * 8));
      return out;
    case 2:
      for (let i = at; i < Math.min(out.length, at + 16); i++) out[i] = Math.floor(random() * 256);
      return out;
    case 3:
      out.copyWithin(at, Math.floor(random() * out.length), Math.floor(random() * out.length));
      return out;
    case 4:
      out.set([0xff, 0xff, 0xff, 0xff, 0x0f].slice(0, Math.min(5, out.length - at)), at);
      return out;
    default: {
      const cut = new Uint8Array(out.length - Math.min(8, out.length - at));
      cut.set(out.subarray(0, at));
      cut.set(out.subarray(Math.min(out.length, at + 8)), at);
      return cut;
    }
  }
}

function survive(name: string, bytes: Uint8Array, count: number, seed: number): { graphs: number; errors: number } {
  const random = randomFrom(seed);
  const seen = { graphs: 0, errors: 0 };
  for (let i = 0; i < count; i++) {
    // Structure stands in the first part of a file and between the weights; both are hit.
    const damaged = mutate(bytes, random, i % 2 === 0 ? 4096 : bytes.length);
    try {
      verifyGraph(importOnnx(damaged));
      seen.graphs++;
    } catch (e) {
      if (!(e instanceof CecError)) throw new Error(`${name}, mutation ${i} of seed ${seed}: ${e instanceof Error ? e.stack : String(e)}`);
      expect(e.exitCode, `${name}, mutation ${i}: ${e.message}`).toBe(1);
      expect(e.diagnostics[0]?.message.length).toBeGreaterThan(5);
      seen.errors++;
    }
  }
  return seen;
}

it("survives 3,000 mutations of a small model", () => {
  const { graphs, errors } = survive("small net", new Uint8Array(smallNetOnnx()), 3000, 1);
  // Both must happen: a test that only ever sees one of them looks at nothing.
  expect(graphs).toBeGreaterThan(100);
  expect(errors).toBeGreaterThan(100);
});

const models = process.env["CEC_DATA"] === undefined ? null : join(process.env["CEC_DATA"], "models");
const real = models !== null && existsSync(models) ? it : it.skip;
if (models === null) process.stderr.write("SKIPPED: mutations of the real models need CEC_DATA\n");

real("survives mutations of the four real models", () => {
  for (const file of readdirSync(models as string).filter((f) => f.endsWith(".onnx"))) {
    const bytes = new Uint8Array(readFileSync(join(models as string, file)));
    expect(survive(file, bytes, 150, 2).errors, file).toBeGreaterThan(10);
  }
});
