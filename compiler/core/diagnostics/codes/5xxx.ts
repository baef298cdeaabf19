/** Codes about data. */
import type { CodeText } from "./index.js";

export const codes5 = {
  CEC5001: { title: "Data file cannot be read", text: "The file or folder does not exist or may not be read." },
  CEC5002: { title: "Data file is damaged or of another kind", text: "Its header or size is not that of the declared format." },
  CEC5003: { title: "Labels do not fit", text: "Labels are class indices, one a sample, within the number of classes." },
  CEC5004: { title: "Image does not fit", text: "All samples of a set have one shape: use resize and crop." },
  CEC5005: {
    title: "Data does not fit the model's inputs",
    text: "Each input needs an array of its type and shape, the first axis being the sample.",
  },
  CEC5006: {
    title: "Checkpoint cannot be used",
    text: "The file that training would go on from is damaged, or no checkpoint. Remove it to train from the start.",
  },
  CEC5007: {
    title: "Checkpoint is of another training",
    text: "The settings, the model or the data are not those that the checkpoint was written with; the message names what differs. It is kept under another name, and training starts anew: when what differs is as it was, the same command goes on from the kept file. Remove it when it is not wanted any more.",
  },
} as const satisfies Record<string, CodeText>;
