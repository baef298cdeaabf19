/** Codes about the language. */
import type { CodeText } from "./index.js";

export const codes2 = {
  CEC2001: {
    title: "Character that starts no token",
    text: "The language knows names, numbers, strings in double quotes, and punctuation. Comments start with `//`.",
  },
  CEC2002: {
    title: "Syntax error",
    text: "The parser expected something else here. It goes on after the fault, so several faults are reported in one run.",
  },
  CEC2003: {
    title: "Name is not defined",
    text: "A name must be a parameter, a binding above its use, or a declaration of the file or its imports.",
  },
  CEC2004: {
    title: "Unknown pass or statement",
    text: 'Every statement of a plan that is not a keyword calls a pass of that name. `cec passes` lists them; `use "./my-pass.js"` adds your own.',
  },
  CEC2005: { title: "Unknown option", text: "The pass, data kind, layer or output does not have an option of that name." },
  CEC2006: { title: "Option value of the wrong type or out of range", text: "The value does not pass the declared schema of the option." },
  CEC2007: {
    title: "Name is defined twice",
    text: "Models, data sets, plans, params and blocks of one file (with its imports) share no names; a layer name is unique in its model.",
  },
  CEC2008: { title: "Import cannot be read or forms a cycle", text: "The path of `import` is relative to the file that holds it." },
  CEC2009: { title: "Plan extends itself", text: "`plan b extends a` takes over the steps of a; a chain of such plans must end." },
  CEC2010: { title: "Unknown layer", text: "A model body calls layers (conv2d, relu, …), blocks of the model, and functions such as range." },
  CEC2011: {
    title: "Argument missing, unknown or of the wrong type",
    text: "Arguments are positional in the declared order, or named: `conv2d(16, kernel: 3)`.",
  },
  CEC2012: { title: "Unknown data set, metric, model or plan", text: "The name is not declared in this file or its imports." },
  CEC2013: { title: "Environment variable is not set", text: "`${NAME}` in a string stands for an environment variable." },
  CEC2014: {
    title: "Plan lacks something",
    text: "A plan needs a source; evaluation and calibration need data; a requirement needs what it speaks of.",
  },
  CEC2015: {
    title: "Limit of the language exceeded",
    text: "Loops may run 10,000 times, blocks nest 100 deep, a model hold 100,000 layers, a file 262,144 characters and 50,000 tokens: more is taken for a mistake.",
  },
  CEC2016: { title: "Plug-in pass cannot be loaded", text: "`use` names a JavaScript module whose exports include a pass made by `definePass`." },
  CEC2017: { title: "Unknown or malformed --set", text: "`--set name=value` sets a `param` of the plan file to a value of its declared type." },
  CEC2018: {
    title: "Operation on values of the wrong type",
    text: "Arithmetic works on numbers, `+` also on strings and lists; conditions are true or false.",
  },
  CEC2019: {
    title: "Malformed requirement",
    text: "Requirements read `require METRIC drop <= 1.0%`, `require METRIC >= 90%`, `require size <= 0.30x`, `require latency(native, threads: 1) <= 0.5x`, `require opset <= 17`, `require ops in tensorrt`.",
  },
} as const satisfies Record<string, CodeText>;
