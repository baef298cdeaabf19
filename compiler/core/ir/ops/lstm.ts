import { bool01 } from "./_attrs.js";
import { recurrent } from "./_recurrent.js";

export const lstm = recurrent("lstm", "Long short-term memory over a sequence", 4, 8, { input_forget: bool01.optional() });
