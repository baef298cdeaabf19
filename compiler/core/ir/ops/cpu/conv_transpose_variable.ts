import { cpuConvTranspose } from "./conv_transpose.js";

/** `cpu.conv_transpose` with weights that are computed: they are packed in each run. */
export const cpuConvTransposeVariable = {
  ...cpuConvTranspose,
  kind: "cpu.conv_transpose_variable",
  summary: `${cpuConvTranspose.summary}; weights and bias are computed`,
} as const;
