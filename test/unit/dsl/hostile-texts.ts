/** Texts that would make a careless reader crash, hang or fill the memory. */
import { lexer, MAX_CHARACTERS, MAX_TOKENS } from "../../../dsl/tokens.js";

/** As many copies as a file of the greatest length holds, with fewer tokens than are allowed. */
export function fill(piece: string, before = "", after = ""): string {
  const room = MAX_CHARACTERS - before.length - after.length;
  const tokens = lexer.tokenize(piece).tokens.length;
  return before + piece.repeat(Math.floor(Math.min(room / piece.length, tokens === 0 ? room : (MAX_TOKENS - 100) / tokens))) + after;
}

export const lines = (n: number, line: (i: number) => string): string => Array.from({ length: n }, (_, i) => line(i)).join("\n");

const model = (body: string, blocks = ""): string => `${blocks}\nmodel m {\n  input x: f32[1, 2]\n${body}\n  output x\n}\n`;

/** Made one at a time: each has up to a million characters. */
export const texts: Readonly<Record<string, () => string>> = {
  nothing: () => "",
  "NUL bytes": () => fill("\0"),
  "a name without end": () => fill("a"),
  "a string without end": () => fill("a", 'param a = "'),
  "a string that is long": () => fill("a", 'param a = "', '"'),
  quotes: () => fill('"'),
  backslashes: () => fill("\\", '"'),
  digits: () => fill("9", "param a = "),
  "opening braces": () => fill("{"),
  "closing braces": () => fill("}"),
  "opening and closing braces": () => fill("{}"),
  "brackets that close again": () => fill("()", "param a = "),
  "minus signs": () => fill("-", "param a = ", "1"),
  "the word not": () => fill("not ", "param a = ", "true"),
  "a sum without end": () => fill("1+", "param a = ", "1"),
  "a conjunction without end": () => fill("true and ", "param a = ", "true"),
  "a list without end": () => fill("1,", "param a = [", "1]"),
  "a record without end": () => fill("a:1,", "plan p { fuse {", "}}"),
  "indices without end": () => fill("[0]", "param a = b"),
  "indices into nested lists": () => `param a = ${"[".repeat(90)}1${"]".repeat(90)}${"[0]".repeat(15_000)}`,
  "calls without end": () =>
    fill(
      "|> relu ",
      model("x = x")
        .replace("x = x\n", "x = x ")
        .replace(/output x\n}\n$/, ""),
      "output x\n}",
    ),
  commas: () => fill(","),
  "equals signs": () => fill("= "),
  "colons in a plan": () => fill(": ", "plan p { "),
  "the word plan": () => fill("plan "),
  "the word model": () => fill("model "),
  "plans that do not end": () => fill("plan p {\n"),
  "plans of one name": () => fill("plan p{}\n"),
  "models of one name": () => fill("model m{}\n"),
  "statements that do not parse": () => fill("fuse )\n", "plan p {\n", "}"),
  "passes that are not there": () => lines(40_000, (i) => (i === 0 ? "plan p {" : `  pass_${i}_x`)),
  "names that are not there": () => model(lines(15_000, (i) => `a${i} = b${i}`)),
  "a long chain of plans": () => lines(8_000, (i) => `plan p${i} extends p${i + 1} {}`),
  "a long chain of plans, the other way": () => `plan p0 { source onnx "a" }\n${lines(7_000, (i) => `plan p${i + 1} extends p${i} { fuse }`)}`,
  "params that double": () => `param a0 = [1, 1]\n${lines(60, (i) => `param a${i + 1} = [a${i}, a${i}]`)}`,
  "params that double as text": () => `param a0 = "aa"\n${lines(60, (i) => `param a${i + 1} = "\${a${i}}\${a${i}}"`)}`,
  "many blocks and params": () =>
    `${lines(2_000, (i) => `param p${i} = ${i}`)}\n${lines(1_900, (i) => `block b${i}(x) { block c(x) { return x } return x }`)}`,
  "more declarations than anyone writes": () => lines(12_000, (i) => `param p${i} = ${i}`),
  "else without end": () =>
    model(
      fill(" else if true { }")
        .slice(0, 1_000_000)
        .replace(/^ else /, "")
        .replace(/[^}]*$/, ""),
    ),
  "blocks that nest": () =>
    model(
      "x = b0(x)",
      lines(100, (i) => `block b${i}(x) { return ${"[".repeat(80)}${i < 99 ? `b${i + 1}` : "relu"}(x)${"]".repeat(80)}${"[0]".repeat(80)} }`),
    ),
  "blocks that double": () =>
    model("x = b0(x)", `${lines(90, (i) => `block b${i}(x) { y = b${i + 1}(x)\n return b${i + 1}(y) }`)}\nblock b90(x) { return x }`),
  "comparisons of values that double": () => model("a = [1, 1]\nb = [1, 1]\nrepeat 14 { a = [a, a]\n b = [b, b] }\nrepeat 1000 { if a == b { } }"),
  "long expressions in a loop": () => model(`repeat 10000 { a = ${"1 + ".repeat(20_000)}1 }`),
  "symbols of other scripts": () => fill("é漢\u{1F600}"),
  "lone surrogates": () => fill("\uD83D "),
  "line separators": () => fill("\u2028"),
  "carriage returns": () => fill("\r"),
  comments: () => fill("//\n"),
  "names of Object's prototype": () =>
    'param __proto__ = 1\nparam constructor = 2\nparam toString = 3\ndata hasOwnProperty = __proto__ { constructor: 1 }\nplan valueOf { source __proto__ "a"\n constructor { __proto__: 1 }\n quantize { __proto__: 1, constructor: 2, overrides: { __proto__: { bits: 4 } } } \n evaluate toString on valueOf\n require constructor <= 1\n emit __proto__ "x" }\nmodel m { input __proto__: f32[1]\n x = __proto__ |> constructor\n toString()\n output x }',
};
