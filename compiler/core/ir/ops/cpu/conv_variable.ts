import { cpuConv } from "./conv.js";

/** `cpu.conv` with weights and bias that are computed: they are packed in each run. */
export const cpuConvVariable = { ...cpuConv, kind: "cpu.conv_variable", summary: `${cpuConv.summary}; weights and bias are computed` } as const;
