"""A peer behind the protocol of cec_program_bench --serve: serve.py ENGINE THREADS FILE.onnx...

ENGINE: ort, ort-exact (no saturating u8 x s8 on CPUs without VNNI), openvino. Prints "ready", then answers lines "INDEX SECONDS" with the milliseconds of
each run of that file. Free dimensions are 1.
"""
import sys
import time

import numpy as np


def ort_session(path, threads, exact):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {i.name: values([d if isinstance(d, int) and d > 0 else 1 for d in i.shape]) for i in session.get_inputs()}
    return lambda: session.run(None, feeds)


def openvino_session(path, threads):
    import openvino

    config = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({i.any_name: [1 if d.is_dynamic else d.get_length() for d in i.partial_shape] for i in model.inputs})
    request = core.compile_model(model, "CPU", config).create_infer_request()
    feeds = {i.any_name: values(list(i.shape)) for i in model.inputs}
    return lambda: request.infer(feeds)


def values(shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def main():
    engine, threads, files = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    if engine == "openvino":
        import openvino  # noqa: F401: an idle server has what a busy one has

        runs = [openvino_session(f, threads) for f in files]
    else:
        import onnxruntime  # noqa: F401

        runs = [ort_session(f, threads, engine == "ort-exact") for f in files]
    for run in runs:
        for _ in range(3):
            run()
    print("ready", flush=True)
    for line in sys.stdin:
        index, seconds = line.split()
        run, end, out = runs[int(index)], time.perf_counter() + float(seconds), []
        while True:
            start = time.perf_counter()
            run()
            now = time.perf_counter()
            out.append(f"{(now - start) * 1e3:.5f}")
            if now >= end:
                break
        print(" ".join(out), flush=True)


main()
