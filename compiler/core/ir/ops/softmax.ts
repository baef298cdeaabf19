import { alongAxis, softmaxRow } from "./_norm.js";

export const softmax = alongAxis("softmax", "exp(x) / sum(exp(x)) along an axis", softmaxRow);
