/** Codes about our bugs. */
import type { CodeText } from "./index.js";

export const codes9 = {
  CEC9001: {
    title: "Internal error",
    text: "cec did something that it should not. Please report it with the plan and, if possible, the model; the reproducer named in the message helps.",
  },
  CEC9002: { title: "Pass broke the graph", text: "The verifier failed after one of cec's own passes. The reproducer replays it with `cec opt`." },
} as const satisfies Record<string, CodeText>;
