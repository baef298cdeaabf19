import { z } from "zod";
import { callOf, definePass, fail, modelOption, runPipeline } from "../../compiler/core/index.js";
import { adoptOutcome, courseOptions, courseStatistics, runCourse, withConstants } from "./course.js";
import { distillLoss, distillLossOptions, PROJECTION } from "./distill-loss.js";
import { freePrefix, hiddenName, joinTeacher, LOGITS, namedValue, prepareTeacher } from "./teacher.js";
import { untieVectors } from "./untie-vectors.js";

const options = z
  .object({
    ...courseOptions,
    teacher: modelOption().describe("trained model to learn from: an .onnx or .cir file that takes the same inputs"),
    teacher_output: z.string().optional().describe("output of the teacher that holds its logits; default: its first"),
    teacher_precision: z.enum(["f32", "int8"]).default("f32").describe("`int8`: the teacher is quantized and runs on integers; needs `calibrate`"),
    ...distillLossOptions,
    hidden: z.record(z.string(), z.string()).default({}).describe("tensors (or ops) of the student, each with the teacher's that it is to be like"),
  })
  .strict();

/**
 * Trains the model, the student, by what a larger one says of the same samples. Teacher and student are one training graph with shared inputs; the teacher is
 * prepared for inference and has neither gradients nor state. Of the result nothing tells of the teacher but its weights.
 */
export const distill = definePass({
  name: "distill",
  summary: "Train the model by a larger one: knowledge distillation",
  description:
    "Teacher and student become one training graph with shared inputs. The teacher is frozen and runs as in inference: normalizations folded, ops fused, on integers if wanted. The loss is alpha * T² * KL(teacher ‖ student) + (1 - alpha) * cross-entropy (Hinton et al. 2015), or the difference of logits (Ba, Caruana 2014), plus that of hidden tensors, with a learned projection where their widths differ (Romero et al. 2015). All else is as in `train`.",
  from: "float",
  to: "float",
  keeps: "lossy",
  options,
  positional: ["teacher"],
  statistics: { ...courseStatistics, teacher: "ops of the teacher" },
  async run(context) {
    const { graph, options: o, count, models } = context;
    if (models === null) return fail("CEC4016", { message: "`distill` was called without a teacher", help: "put it in a plan and run `cec build`" });
    if (o.teacher_precision === "int8" && context.calibration === null)
      fail("CEC4006", {
        message: "a teacher in INT8 needs calibration data",
        help: "add `calibrate DATA` to the plan, or leave `teacher_precision` out",
      });
    await runPipeline(graph, [callOf(untieVectors)], { verify: "off" });
    const joined = graph.clone();
    const pairs = Object.entries(o.hidden);
    const teacher = await models.load(o.teacher);
    const hidden = pairs.map(([, name]) => name);
    await prepareTeacher(teacher, graph, { output: o.teacher_output, hidden, precision: o.teacher_precision }, context);
    const prefix = freePrefix(graph, "teacher");
    const of = joinTeacher(joined, teacher, prefix);
    count("teacher", teacher.ops.filter((op) => op.kind !== "constant").length);
    const { alpha, temperature, soft, label_smoothing, hidden_weight } = o;
    const outcome = await runCourse(context, o, {
      statement: "distill",
      graph: joined,
      loss: [
        callOf(distillLoss, {
          ...{ alpha, temperature, soft, label_smoothing, hidden_weight },
          teacher: of.get(LOGITS)?.name,
          hidden: pairs.map(([student], i) => ({
            student: namedValue(graph, student, "student").name,
            teacher: of.get(hiddenName(i))?.name,
          })),
        }),
      ],
      parameters: (g) => g.constants().flatMap((c) => c.outputs.flatMap((v) => (v.name.startsWith(PROJECTION) ? [v.name] : []))),
      frozen: [`${prefix}*`],
      output: graph.outputs[0]?.name ?? "",
      deploy: (states) => withConstants(graph, states),
    });
    adoptOutcome(context, outcome, "distilled");
  },
});
