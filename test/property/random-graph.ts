import {
  type Attrs,
  type AttrValue,
  byteSize,
  type Dim,
  type ElementType,
  elementTypes,
  Graph,
  integerRange,
  isInteger,
  type Json,
  levels,
  memoryBlob,
  randomFrom,
  type Shape,
  type Type,
  tensorType,
  type Value,
} from "../../compiler/core/index.js";

const names = [
  "x",
  "conv1.w",
  "/Conv_1/Conv_output_0",
  "onnx::MatMul_7",
  "a b",
  'q"uote',
  "new\nline",
  "é",
  "//",
  "7",
  "-",
  "_",
  "in",
  "__proto__",
  "\u2028",
  "$",
  "%0",
  "@",
];
const elems = Object.keys(elementTypes) as ElementType[];
const numbers = [
  0,
  -0,
  1,
  -1,
  0.1,
  1e-300,
  1.7976931348623157e308,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  2 ** 53 - 1,
  -5e-324,
  123456.789,
];

/** A random graph that the text form must keep: any kinds, names, types and bytes, whether an op would take them or not. */
export function randomGraph(seed: number): Graph {
  const random = randomFrom(seed);
  const int = (n: number): number => Math.floor(random() * n);
  const pick = <T>(from: readonly T[]): T => from[int(from.length)] as T;
  const maybe = (p = 0.5): boolean => random() < p;
  const some = <T>(most: number, make: () => T): T[] => Array.from({ length: int(most + 1) }, make);
  const text = (): string => pick([...names, "", "plain", "tab\t", "\\", "\ud800"]);
  const bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, () => pick([0, 1, 127, 128, 255, int(256)]));
  const dim = (): Dim => (maybe(0.6) ? int(5) : pick(["N", "?", "batch size", "3", "", "a-b", "nan"]));
  const shape = (): Shape | null => (maybe(0.1) ? null : some(3, dim));

  const type = (): Type => {
    if (maybe(0.1)) return { kind: "unknown" };
    if (maybe(0.1)) return { kind: "opaque", proto: Buffer.from(bytes(int(9))).toString("base64") };
    const elem = pick(elems);
    if (!isInteger(elem) || elementTypes[elem].bits > 32 || maybe(0.6)) return tensorType(elem, shape());
    const [low, high] = integerRange(elem);
    const count = maybe() ? 1 : 1 + int(4);
    return tensorType(elem, shape(), {
      scale: Array.from({ length: count }, () => Math.fround(random() + 1e-6)),
      zeroPoint: Array.from({ length: count }, () => low + int(high - low + 1)),
      axis: count === 1 && maybe() ? null : int(3),
    });
  };
  const json = (depth = 0): Json => {
    if (depth < 3 && maybe(0.3)) return some(3, () => json(depth + 1));
    if (depth < 3 && maybe(0.3)) return Object.fromEntries(some(3, () => [text(), json(depth + 1)]));
    return pick<() => Json>([() => null, () => maybe(), () => pick(numbers), text])();
  };
  const record = (): Record<string, Json> => Object.fromEntries(some(3, () => [text(), json()]));
  const attr = (): AttrValue =>
    pick<() => AttrValue>([
      () => pick(numbers),
      text,
      () => maybe(),
      () => some(4, () => pick(numbers)),
      () => some(3, text),
      () => memoryBlob(bytes(int(6))),
    ])();
  const attrs = (): Attrs => Object.fromEntries(some(3, () => [pick(["axis", "pads", "odd key", "type", "__proto__"]), attr()]));

  const body = (depth: number): Graph => {
    const g = new Graph(text());
    g.level = pick(levels);
    if (maybe(0.3)) {
      g.meta = {
        producer: text(),
        modelVersion: pick(numbers),
        opsets: { "": 17, [text()]: 1 },
        properties: Object.fromEntries(some(3, () => [text(), text()])),
        functions: some(2, () => memoryBlob(bytes(4))),
        graphDoc: text(),
      };
    }
    const values: Value[] = some(3, () => g.addInput(pick(names), type(), maybe(0.3) ? text() : undefined));
    for (let n = int(8); n > 0; n--) {
      if (maybe(0.3)) {
        const elem = pick(elems);
        const dims = some(2, () => int(5));
        const count = dims.reduce((a, b) => a * b, 1);
        const words = (): Uint8Array => new TextEncoder().encode(JSON.stringify(Array.from({ length: count }, text)));
        const data = memoryBlob(elem === "string" ? words() : bytes(byteSize(elem, count)));
        values.push(g.addConstant(pick(names), tensorType(elem, dims), data));
        continue;
      }
      const op = g.addOp({
        kind: pick(["relu", "conv", "cpu.qconv", "in", "const", "doc", "Odd Kind", "q", "is", "graph"]),
        inputs: values.length === 0 ? [] : some(4, () => (maybe(0.1) ? null : pick(values))),
        attrs: attrs(),
        types: some(2, type),
        outputNames: some(2, () => pick(names)),
        name: maybe() ? text() : "",
        annotations: maybe(0.3) ? record() : {},
        ...(maybe(0.2) ? { doc: text() } : {}),
        ...(maybe(0.2) ? { loc: maybe() ? { file: text() } : { file: text(), line: int(99), ...(maybe() ? { column: int(99) } : {}) } } : {}),
        ...(depth < 3 && maybe(0.15) ? { regions: some(2, () => body(depth + 1)) } : {}),
      });
      for (const v of op.outputs) if (maybe(0.2)) v.content = some(3, () => (maybe() ? int(9) - 4 : dim()));
      values.push(...op.outputs);
    }
    for (let n = values.length === 0 ? 0 : int(3); n > 0; n--) {
      const value = pick(values);
      g.addOutput(maybe() ? value.name : text(), value);
    }
    return g;
  };
  const g = body(0);
  g.pipeline = some(3, () => pick(["import", "fold-batch-norm", "x(stopped)"]));
  return g;
}
