import { z } from "zod";
import { channelAxis, definePass, type Edit, fail, fromNumbers, type Shape, sameDim, type Value } from "../../compiler/core/index.js";
import { crossEntropy, divergence, elementOf, emitLoss, knownShape, logitsOf, meanSquare, weightedSum } from "./losses.js";
import { namedValue } from "./teacher.js";

/** Start of the names of projections. */
export const PROJECTION = "distill.projection";

/** What the loss is made of; options of `distill` too. */
export const distillLossOptions = {
  alpha: z
    .number()
    .min(0)
    .max(1)
    .default(0.7)
    .describe("part of the loss that follows the teacher; the rest is cross-entropy with labels. 1 needs no labels"),
  temperature: z.number().positive().default(4).describe("T: both distributions are softmax(logits / T)"),
  soft: z
    .enum(["kl", "logits"])
    .default("kl")
    .describe(
      "how the teacher is followed: T² KL(teacher ‖ student) (Hinton et al. 2015), or the mean squared difference of logits (Ba, Caruana 2014)",
    ),
  label_smoothing: z.number().min(0).max(1).default(0).describe("as in `add_loss`"),
  hidden_weight: z.number().min(0).default(1).describe("factor of the mean squared differences of hidden tensors"),
} as const;

/**
 * Appends the loss of distillation to a graph that holds student and teacher: alpha * soft + (1 - alpha) * cross-entropy + hidden_weight * the mean squared
 * differences of hidden tensors. Where a hidden tensor of the student has another number of channels than the teacher's, a projection is learned with it
 * (Romero et al. 2015: a 1x1 convolution, a matrix for what is no image).
 */
export const distillLoss = definePass({
  name: "distill-loss",
  summary: "Append the loss of distillation to a graph that holds student and teacher",
  from: "float",
  to: "same",
  keeps: "values",
  options: z
    .object({
      teacher: z.string().describe("tensor or op with the teacher's logits"),
      of: z.string().optional().describe("output of the student; default: the graph's first"),
      hidden: z
        .array(z.object({ student: z.string(), teacher: z.string() }).strict())
        .default([])
        .describe("pairs of tensors that are to become alike"),
      ...distillLossOptions,
    })
    .strict(),
  positional: ["teacher"],
  statistics: { terms: "losses summed", projections: "learned projections" },
  run({ graph, options: o, rewrite, count, random }) {
    const output = o.of === undefined ? graph.outputs[0]?.value : graph.outputs.find((out) => out.name === o.of)?.value;
    if (output === undefined) return fail("CEC4015", { message: `the graph has no output "${o.of ?? ""}"`, help: "name an output with `of`" });
    const [student, teacher] = [logitsOf(output), logitsOf(namedValue(graph, o.teacher, "graph"))];
    const [a, b] = [knownShape(student, student.name), knownShape(teacher, teacher.name)];
    if (!sameShape(a, b))
      fail("CEC4030", {
        message: `the teacher's output is [${b.join(", ")}], the student's [${a.join(", ")}]`,
        help: "both must have the same classes, and the teacher no fixed batch",
      });
    const pairs = o.hidden.map((h) => [namedValue(graph, h.student, "student"), namedValue(graph, h.teacher, "teacher")] as const);
    rewrite.patch(null, `distillation from %${teacher.name}`, (edit) => {
      const terms = [
        {
          weight: o.alpha,
          loss: () => (o.soft === "kl" ? divergence(edit, student, teacher, o.temperature) : meanSquare(edit, student, teacher)),
        },
        {
          weight: 1 - o.alpha,
          loss() {
            const { loss, correct } = crossEntropy(edit, student, o.label_smoothing);
            edit.addOutput("correct", correct);
            return loss;
          },
        },
        ...pairs.map(([s, t], i) => ({
          weight: o.hidden_weight,
          loss: () =>
            meanSquare(
              edit,
              fitted(edit, s, t, `${PROJECTION}.${i}`, random, () => count("projections")),
              t,
            ),
        })),
      ];
      edit.addOutput("loss", weightedSum(edit, terms));
      count("terms", terms.filter((t) => t.weight !== 0).length);
    });
  },
});

const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => sameDim(d, b[i] as Shape[number]));

/** The student's tensor with the teacher's number of channels. */
function fitted(edit: Edit, s: Value, t: Value, name: string, random: () => number, made: () => void): Value {
  const [from, to] = [knownShape(s, s.name), knownShape(t, t.name)];
  const axis = channelAxis(from.length);
  const rest = (shape: Shape): Shape => shape.filter((_, i) => i !== axis);
  const [width, wanted] = [from[axis], to[axis]];
  if (from.length !== to.length || from.length < 2 || !sameShape(rest(from), rest(to)) || typeof width !== "number" || typeof wanted !== "number")
    return fail("CEC4030", {
      message: `hidden tensors do not fit: %${s.name} is [${from.join(", ")}], %${t.name} [${to.join(", ")}]`,
      help: "pair tensors of one height and width; the number of channels may differ",
      at: { tensor: s.name },
    });
  if (width === wanted) return s;
  made();
  // Uniform of variance 1 / width, so that what comes out is as large as what goes in.
  const bound = Math.sqrt(3 / width);
  const drawn = Array.from({ length: width * wanted }, () => bound * (2 * random() - 1));
  const image = from.length >= 3 && axis === 1;
  const dims = image ? [wanted, width, ...from.slice(2).map(() => 1)] : [width, wanted];
  const w = edit.constant(name, fromNumbers(elementOf(s), dims, drawn));
  return emitLoss(edit)(image ? "conv" : "matmul", [s, w]);
}
