import { expect, it } from "vitest";
import { blobStore, blobsOf, CecError, diffGraphs, hashGraph, parseGraph, printGraph, randomFrom } from "../../compiler/core/index.js";
import { plain } from "../unit/core/ir/plain.js";
import { randomGraph } from "./random-graph.js";

const SEEDS = 300;

it("what is printed parses to an equal graph, which prints the same text", () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const graph = randomGraph(seed);
    for (const inline of [0, 16]) {
      const text = printGraph(graph, { inline });
      const again = parseGraph(text, { blobs: blobStore(blobsOf(graph)) });
      expect(plain(again), `seed ${seed}\n${text}`).toEqual(plain(graph));
      expect(printGraph(again, { inline }), `seed ${seed}`).toBe(text);
    }
  }
});

it("a graph does not differ from its copy, and has the copy's hash", () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const graph = randomGraph(seed);
    const copy = parseGraph(printGraph(graph), { blobs: blobStore(blobsOf(graph)) });
    expect(diffGraphs(graph, copy, { meta: true, locations: true }), `seed ${seed}\n${printGraph(graph)}`).toEqual([]);
    expect(hashGraph(copy)).toBe(hashGraph(graph));
  }
});

/** One fault of the kinds that editors, truncated files and attackers make. */
function mutate(text: string, random: () => number): string {
  const at = Math.floor(random() * text.length);
  const length = Math.floor(random() * 12);
  const pieces = [
    "{",
    "}",
    "[",
    "]",
    '"',
    "%",
    "@",
    ":",
    ",",
    "=",
    "\n",
    "//",
    "\\",
    "\u0000",
    "-",
    "1e999",
    "99999999999999999999",
    "f32[",
    "regions {",
    "dense [",
    "blob ",
    "is ",
    "q(",
  ];
  switch (Math.floor(random() * 5)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + text.slice(at + length);
    case 2:
      return text.slice(0, at) + (pieces[Math.floor(random() * pieces.length)] as string) + text.slice(at);
    case 3:
      return text.slice(0, at) + String.fromCharCode(Math.floor(random() * 256)) + text.slice(at + 1);
    default: {
      const from = Math.floor(random() * text.length);
      return text.slice(0, at) + text.slice(from, from + 3 * length) + text.slice(at);
    }
  }
}

it("mutated text gives a graph or a coded error, never a crash", () => {
  const codes = new Map<string, number>();
  for (let seed = 0; seed < SEEDS; seed++) {
    const random = randomFrom(seed, 1);
    const graph = randomGraph(seed);
    const blobs = blobStore(blobsOf(graph));
    let text = printGraph(graph);
    for (let round = 0; round < 20; round++) {
      text = mutate(round % 5 === 0 ? printGraph(graph) : text, random);
      let code = "none";
      try {
        parseGraph(text, { blobs, infer: round % 2 === 0 });
      } catch (e) {
        expect(e, `seed ${seed}, round ${round}\n${text}`).toBeInstanceOf(CecError);
        code = (e as CecError).diagnostics[0]!.code;
      }
      // CEC9001 would be a bug of the parser or of inference.
      expect(code, `seed ${seed}, round ${round}\n${text}`).not.toMatch(/^CEC9/);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  }
  // The mutations reach beyond the first token: some texts still parse, most do not.
  expect(codes.get("CEC4002")).toBeGreaterThan(SEEDS);
  expect(codes.get("none")).toBeGreaterThan(SEEDS / 3);
});
