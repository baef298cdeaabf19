"""Writes ONNX's node test cases to a folder: generate_cases.py OUT

OUT/cases.bin holds serialized ModelProtos and TensorProtos one after the other; OUT/cases.json says where each stands. The wheel of onnx 1.23 has no case
files: the cases are made in memory by the package's own generators.
"""
import json, os, sys, warnings
warnings.filterwarnings("ignore")
import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
blob = open(os.path.join(out, "cases.bin.tmp"), "wb")


def store(data):
    at = blob.tell()
    blob.write(data)
    return [at, len(data)]


def tensor(value):
    """A TensorProto's place, or None for what is no tensor (sequences, optionals, maps)."""
    if isinstance(value, onnx.TensorProto):
        return store(value.SerializeToString())
    if isinstance(value, (list, tuple, dict)) or value is None:
        return None
    if isinstance(value, (onnx.SequenceProto, onnx.OptionalProto)):
        return None
    return store(numpy_helper.from_array(np.asarray(value)).SerializeToString())


cases = []
for case in collect_testcases(None):
    model = case.model
    if model is None:
        continue
    sets = [{"inputs": [tensor(v) for v in i], "outputs": [tensor(v) for v in o]} for i, o in case.data_sets]
    cases.append({"name": case.name, "model": store(model.SerializeToString()), "sets": sets, "rtol": case.rtol, "atol": case.atol,
                  "ops": sorted({n.op_type for n in model.graph.node})})
blob.close()
os.replace(os.path.join(out, "cases.bin.tmp"), os.path.join(out, "cases.bin"))
with open(os.path.join(out, "cases.json.tmp"), "w") as f:
    json.dump({"onnx": onnx.__version__, "cases": cases}, f)
os.replace(os.path.join(out, "cases.json.tmp"), os.path.join(out, "cases.json"))
print(len(cases))
