"""Predictions of ONNX files in a peer: flips.py ENGINE SOURCE.onnx IMAGES.npy LABELS.npy FILE.onnx...

ENGINE: ort, ort-exact (no saturating u8 x s8 on CPUs without VNNI), openvino. One line of JSON a file, the source first: top-1 in percent, and predictions that
differ from the source's in the same engine.
"""
import json
import sys

import numpy as np


def ort_runner(path, exact):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Workers that wait by spinning would take the processor from whatever else runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def openvino_runner(path, shape):
    import openvino

    model = openvino.Core().read_model(path)
    model.reshape({model.inputs[0].any_name: shape})
    compiled = openvino.Core().compile_model(model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"})
    return lambda x: compiled(x)[0]


def main():
    engine, source, images, labels, files = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]
    x, y, first = np.load(images, mmap_mode="r"), np.load(labels), None
    batch = next(b for b in (64, 10, 1) if len(x) % b == 0)
    for path in [source, *files]:
        run = openvino_runner(path, [batch, *x.shape[1:]]) if engine == "openvino" else ort_runner(path, engine == "ort-exact")
        p = np.concatenate([run(np.ascontiguousarray(x[i : i + batch])).reshape(batch, -1).argmax(1) for i in range(0, len(x), batch)])
        first = p if first is None else first
        print(json.dumps({"file": path, "top1": float((p == y).mean() * 100), "flips": int((p != first).sum())}), flush=True)


main()
