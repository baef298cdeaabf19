/** Which constants of a graph are parameters. */
import { elementCount, fail, type Graph, isFloat, type Op, suggest, type Value } from "../../compiler/core/index.js";

/** Operands that hold weights, by kind. Data movement passes a weight on: unrolled recurrent ops read slices of theirs. */
const weightOperands: Readonly<Record<string, readonly number[]>> = {
  conv: [1, 2],
  conv_transpose: [1, 2],
  gemm: [0, 1, 2],
  matmul: [0, 1],
  add: [0, 1],
  sub: [0, 1],
  mul: [0, 1],
  batch_normalization: [1, 2],
  "train.batch_norm": [1, 2],
  layer_normalization: [1, 2],
  instance_normalization: [1, 2],
  group_normalization: [1, 2],
  "train.fake_quantize": [0, 1],
  gather: [0],
  prelu: [1],
  lstm: [1, 2, 3],
  gru: [1, 2, 3],
  rnn: [1, 2, 3],
  transpose: [0],
  reshape: [0],
  slice: [0],
  split: [0],
  squeeze: [0],
  unsqueeze: [0],
};

/** Kinds whose operands at these places are weights whatever their size: one channel has one bias. Elsewhere a single number is a constant of the formula. */
const certain: ReadonlySet<string> = new Set(
  "conv conv_transpose gemm matmul batch_normalization train.batch_norm layer_normalization instance_normalization group_normalization prelu lstm gru rnn".split(
    " ",
  ),
);
const products: ReadonlySet<string> = new Set(["conv", "conv_transpose", "gemm", "matmul"]);

const elementsOf = ({ outputs: [v] }: Op): number => (v?.type.kind === "tensor" ? (elementCount(v.type.shape) ?? 0) : 0);

/** `*` stands for any text, `?` for one character. */
export function matcher(pattern: string): (name: string) => boolean {
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  const regex = new RegExp(`^${escaped}$`, "u");
  return (name) => regex.test(name);
}

const isWeight = (graph: Graph, op: Op): boolean => {
  const v = op.outputs[0] as Value;
  if (v.type.kind !== "tensor" || !isFloat(v.type.elem)) return false;
  const many = elementsOf(op) > 1;
  return graph
    .users(v)
    .some((user) =>
      user.inputs.some((x, i) => x === v && weightOperands[user.kind]?.includes(i) === true && (many || certain.has(user.kind) || isBias(user, i))),
    );
};

/** What is added to a product. */
const isBias = (op: Op, i: number): boolean => op.kind === "add" && products.has(op.inputs[1 - i]?.producer?.kind ?? "");

/**
 * Constants that training changes, in graph order: float operands at the places where ops keep weights; single numbers only of ops that have no others there, and
 * biases of products. Or those that match `patterns`.
 * @throws CecError CEC4014 for a pattern that matches no float constant
 */
export function parametersOf(graph: Graph, patterns: readonly string[] | undefined): Op[] {
  const constants = floats(graph);
  if (patterns === undefined) return constants.filter((op) => isWeight(graph, op));
  return matching(constants, patterns);
}

/** Float constants that are not to be trained. Throws as `parametersOf`. */
export const frozenConstants = (graph: Graph, patterns: readonly string[]): ReadonlySet<Value> =>
  new Set(matching(floats(graph), patterns).map((op) => op.outputs[0] as Value));

const floats = (graph: Graph): Op[] => graph.constants().filter((op) => op.outputs[0]?.type.kind === "tensor" && isFloat(op.outputs[0].type.elem));

function matching(constants: readonly Op[], patterns: readonly string[]): Op[] {
  const names = constants.map((op) => op.outputs[0]?.name as string);
  const matchers = patterns.map((p) => {
    const match = matcher(p);
    if (!names.some(match))
      fail("CEC4014", {
        message: `no float constant of the graph is named \`${p}\``,
        help: suggest(p, names) ?? "`cec inspect` lists the model's tensors",
      });
    return match;
  });
  return constants.filter((_, i) => matchers.some((m) => m(names[i] as string)));
}
