/** Reads and runs golden test files of passes. The format is described in README.md beside this file. */
import {
  type BlobStore,
  CecError,
  diffGraphs,
  type Graph,
  inferGraph,
  type PassDefinition,
  parseIrFile,
  parsePasses,
  printGraph,
  resolvePasses,
  runPipeline,
  verifyGraph,
} from "../../../compiler/core/index.js";

export interface GoldenCase {
  /** The file's name and, where it holds several cases, the number or the case's own sentence. */
  readonly name: string;
  /** 1-based line where the case starts. */
  readonly line: number;
  readonly run: string;
  readonly source: string;
  readonly expected:
    | { readonly kind: "graph"; readonly text: string }
    | { readonly kind: "same" }
    | { readonly kind: "error"; readonly code: string; readonly text: string }
    | null;
  /** Lines of `// DECISION:`; each must be found in the log. */
  readonly decisions: readonly string[];
  /** Comment lines of the case, kept when it is rewritten. */
  readonly head: string;
}

const SPLIT = /^\/\/ -----\s*$/;
const CHECK = /^\/\/ CHECK\s*$/;
const SAME = /^\/\/ CHECK-SAME\s*$/;
const ERROR = /^\/\/ CHECK-ERROR:\s*(CEC\d{4})\s*(.*)$/;
const RUN = /^\/\/ RUN:\s*(.*)$/;
const DECISION = /^\/\/ DECISION:\s*(.*)$/;

/** Float constants are compared up to this much of their greatest magnitude, so that expectations can be written in decimals. */
const TOLERANCE = 1e-6;

/** Splits a file into its cases. A case without a RUN line takes that of the case before. */
export function readCases(file: string, text: string): GoldenCase[] {
  const lines = text.split("\n");
  const starts = [0, ...lines.flatMap((l, i) => (SPLIT.test(l) ? [i + 1] : []))];
  let run = "";
  return starts.map((start, n) => {
    const body = lines.slice(start, (starts[n + 1] ?? lines.length + 1) - 1);
    const own = body.flatMap((l) => RUN.exec(l)?.[1] ?? []);
    if (own.length > 0) run = own.join("; ");
    if (run === "") throw new Error(`${file}:${start + 1}: the case has no \`// RUN: pass {options}\` line`);
    const at = body.findIndex((l) => CHECK.test(l) || SAME.test(l) || ERROR.test(l));
    const source = (at < 0 ? body : body.slice(0, at)).join("\n");
    const check = at < 0 ? "" : (body[at] as string);
    const error = ERROR.exec(check);
    const text = body.findIndex((l) => l.startsWith("cir 1"));
    const sentence = body
      .slice(0, Math.max(0, text))
      .find((l) => l.startsWith("// ") && !RUN.test(l) && !DECISION.test(l))
      ?.slice(3);
    return {
      name: starts.length === 1 ? file : `${file} #${n + 1}${sentence === undefined ? "" : ` ${sentence}`}`,
      line: start + 1,
      run,
      source: source.slice(source.search(/^cir 1/m)),
      expected:
        at < 0
          ? null
          : error !== null
            ? { kind: "error", code: error[1] as string, text: error[2] as string }
            : SAME.test(check)
              ? { kind: "same" }
              : { kind: "graph", text: body.slice(at + 1).join("\n") },
      decisions: body.flatMap((l) => DECISION.exec(l)?.[1] ?? []),
      head: source.trimEnd(),
    };
  });
}

/** Expectations may name constants by hash though nobody holds their bytes: they are compared by that hash. */
const byHash =
  (sizes: ReadonlyMap<string, number>): BlobStore =>
  (hash) => {
    const byteLength = sizes.get(hash);
    if (byteLength === undefined) return undefined;
    const bytes = (): never => {
      throw new Error("an expectation names a constant by its hash only");
    };
    return { byteLength, hash: () => hash, bytes, chunks: bytes };
  };

export interface GoldenOutcome {
  /** Empty when the case holds. */
  readonly faults: readonly string[];
  /** The case as it would be rewritten. */
  readonly rewritten: string;
}

/** Runs a case: parses, infers, runs the passes with the verifier on, compares. */
export async function runCase(golden: GoldenCase, registry: ReadonlyMap<string, PassDefinition>): Promise<GoldenOutcome> {
  const graph = parseIrFile(golden.source, { infer: true }).graph;
  const before = graph.clone();
  let error: CecError | null = null;
  let log: string[] = [];
  try {
    const result = await runPipeline(graph, resolvePasses(parsePasses(golden.run), registry), { seed: 1, verify: "each" });
    log = result.decisions.map((d) => `${d.op}: ${d.action}: ${d.reason}`);
  } catch (e) {
    if (!(e instanceof CecError)) throw e;
    error = e;
  }
  const faults: string[] = [];
  if (error !== null) {
    const first = error.diagnostics[0];
    if (golden.expected?.kind !== "error") faults.push(`failed with ${error.message}`);
    else {
      if (first?.code !== golden.expected.code) faults.push(`failed with ${first?.code}, expected ${golden.expected.code}: ${error.message}`);
      if (!error.message.includes(golden.expected.text)) faults.push(`the message does not say "${golden.expected.text}": ${error.message}`);
    }
    return { faults, rewritten: `${golden.head}\n// CHECK-ERROR: ${first?.code}` };
  }
  for (const d of verifyGraph(graph)) faults.push(`the result breaks a rule: ${d.message}`);
  const same = difference(graph, before);
  switch (golden.expected?.kind) {
    case undefined:
      faults.push("the case has no CHECK section: run with CEC_UPDATE=1 to write one");
      break;
    case "error":
      faults.push(`expected ${golden.expected.code}, but the passes succeeded`);
      break;
    case "same":
      faults.push(...same);
      break;
    case "graph":
      try {
        const actual = graph.clone();
        // As the expectation is: a pass need not refine the types below what it changed.
        inferGraph(actual);
        faults.push(...difference(actual, expectation(golden.expected.text, actual)));
      } catch (e) {
        if (!(e instanceof CecError)) throw e;
        faults.push(`the CHECK section cannot be read, or does not infer: ${e.message}`);
      }
  }
  for (const d of golden.decisions) {
    if (!log.some((l) => l.includes(d))) faults.push(`no decision says "${d}"; the log:\n    ${log.join("\n    ") || "(empty)"}`);
  }
  const check = same.length === 0 ? "// CHECK-SAME" : `// CHECK\n${printGraph(stripped(graph), { inline: 64 }).trimEnd()}`;
  return { faults, rewritten: `${golden.head}\n${check}` };
}

/** Names of applied passes stand in the RUN line already. */
function stripped(graph: Graph): Graph {
  const copy = graph.clone();
  copy.pipeline = [];
  return copy;
}

function expectation(text: string, actual: Graph): Graph {
  // The byte count of a constant known by hash only: that of the actual one. Where the result has none of that hash, parsing says so.
  const sizes = new Map(actual.ops.flatMap((op) => (op.data === undefined ? [] : [[op.data.hash(), op.data.byteLength] as const])));
  return parseIrFile(text, { blobs: byHash(sizes), wildcards: true, infer: true, file: "CHECK" }).graph;
}

const difference = (actual: Graph, expected: Graph): string[] => diffGraphs(actual, expected, { tolerance: TOLERANCE }).map((d) => d.message);

/** The case's text with its own CHECK section. */
export function asItStands({ head, expected }: GoldenCase): string {
  switch (expected?.kind) {
    case undefined:
      return head;
    case "graph":
      return `${head}\n// CHECK\n${expected.text.trim()}`;
    case "same":
      return `${head}\n// CHECK-SAME`;
    case "error":
      return `${head}\n// CHECK-ERROR: ${expected.code}${expected.text === "" ? "" : ` ${expected.text}`}`;
  }
}
