/** Codes about command line. */
import type { CodeText } from "./index.js";

export const codes1 = {
  CEC1001: {
    title: "Unknown or malformed command line option",
    text: "The command does not know the option, or its value has the wrong form. `cec COMMAND --help` lists the options.",
  },
  CEC1002: {
    title: "File of a kind that the command does not read",
    text: "Commands that take a model read `.onnx` and `.cir` files, and models of a plan file as `FILE.cplan#NAME`.",
  },
  CEC1003: { title: "Unknown diagnostic code", text: "`cec explain CODE` takes codes as they are printed in brackets, such as CEC2004." },
  CEC1004: { title: "Input array missing or of another type", text: "`cec run` needs one array per graph input: `--input name=x.npy`." },
  CEC1005: { title: "Interrupted", text: "The command was stopped by Ctrl-C or a signal. No file was left under its final name." },
} as const satisfies Record<string, CodeText>;
