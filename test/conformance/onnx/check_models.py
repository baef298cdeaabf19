"""Runs ONNX's own checks over exported models: check_models.py INDEX.json MODELS.bin

Each model goes through `onnx.checker`, and each tensor type that a node reads or gives is held against what the operator allows at the model's opset
(the checker itself does not look at types). Prints a JSON object: name -> what is wrong, for the models in which something is.
"""
import json, sys
import onnx
from onnx import defs, shape_inference

index = json.load(open(sys.argv[1]))
data = open(sys.argv[2], "rb").read()
bad = {}

ELEMENTS = {
    number: "tensor(%s)" % {"FLOAT": "float", "DOUBLE": "double"}.get(name, name.lower())
    for name, number in onnx.TensorProto.DataType.items()
    if name != "UNDEFINED"
}


def types_of(graph, outer):
    types = dict(outer)
    for v in list(graph.input) + list(graph.value_info) + list(graph.output):
        if v.type.HasField("tensor_type") and v.type.tensor_type.elem_type in ELEMENTS:
            types[v.name] = ELEMENTS[v.type.tensor_type.elem_type]
    for t in graph.initializer:
        types[t.name] = ELEMENTS[t.data_type]
    return types


def check_types(graph, opset, outer):
    types = types_of(graph, outer)
    for node in graph.node:
        for a in node.attribute:
            for g in ([a.g] if a.type == onnx.AttributeProto.GRAPH else list(a.graphs)):
                check_types(g, opset, types)
        if node.domain not in ("", "ai.onnx"):
            continue
        schema = defs.get_schema(node.op_type, opset, "")
        allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
        for side, names, formals in (("input", node.input, schema.inputs), ("output", node.output, schema.outputs)):
            for i, name in enumerate(names):
                if name == "" or name not in types or not formals:
                    continue
                formal = formals[min(i, len(formals) - 1)]
                can = allowed.get(formal.type_str, {formal.type_str})
                if types[name] not in can:
                    raise ValueError(f"{node.op_type} of opset {schema.since_version} does not take {types[name]} as {side} {i} (opset {opset})")


for name, (at, size) in index.items():
    try:
        model = onnx.load_model_from_string(data[at:at + size])
        onnx.checker.check_model(model, full_check=False)
        opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), None)
        if opset is not None:
            try:
                model = shape_inference.infer_shapes(model)
            except Exception:
                pass
            check_types(model.graph, opset, {})
    except Exception as e:
        bad[name] = str(e)[:300]
print(json.dumps(bad))
