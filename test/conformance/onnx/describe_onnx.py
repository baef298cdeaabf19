"""Prints what the onnx package says of its own format, as JSON: messages with their fields, and the opset at which operators take each element type."""
import json
import onnx
from onnx import defs, onnx_ml_pb2
from google.protobuf import descriptor_pb2

F = descriptor_pb2.FieldDescriptorProto
SCALARS = {F.TYPE_FLOAT: "float", F.TYPE_DOUBLE: "double", F.TYPE_INT32: "int32", F.TYPE_INT64: "int64", F.TYPE_UINT64: "uint64", F.TYPE_STRING: "string",
           F.TYPE_BYTES: "bytes", F.TYPE_ENUM: "enum"}

file = descriptor_pb2.FileDescriptorProto()
onnx_ml_pb2.DESCRIPTOR.CopyToProto(file)
messages = {}


def walk(message, path):
    path = path + [message.name]
    messages[".".join(path)] = {
        f.name: [f.number, SCALARS.get(f.type) or f.type_name.removeprefix(".onnx."), f.label == F.LABEL_REPEATED] for f in message.field
    }
    for inner in message.nested_type:
        walk(inner, path)


for m in file.message_type:
    walk(m, [])


def element(text):
    return text[len("tensor("):-1] if text.startswith("tensor(") else None


# operator -> element type -> opset, from 13 on, at which some operand or result first takes the type
types = {}
for name in sorted({s.name for s in defs.get_all_schemas_with_history() if s.domain == ""}):
    for opset in range(13, defs.onnx_opset_version() + 1):
        try:
            schema = defs.get_schema(name, opset, "")
        except Exception:
            continue
        allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
        for formal in list(schema.inputs) + list(schema.outputs):
            for e in filter(None, map(element, allowed.get(formal.type_str, [formal.type_str]))):
                types.setdefault(name, {}).setdefault(f"{formal.name}", {}).setdefault(e, opset)

# operator -> opsets, from 8 on, at which an attribute went, or a required operand came
changes = {}
schemas = {}
for s in defs.get_all_schemas_with_history():
    if s.domain == "":
        schemas.setdefault(s.name, {})[s.since_version] = s
for name, versions in schemas.items():
    order = sorted(versions)
    for a, b in zip(order, order[1:]):
        if b < 8:
            continue
        old, new = versions[a], versions[b]
        required = lambda s: [f.name for f in s.inputs if f.option == defs.OpSchema.FormalParameterOption.Single]
        gone = [k for k in old.attributes if k not in new.attributes]
        other = [k for k, v in old.attributes.items() if k in new.attributes and str(v.default_value) != str(new.attributes[k].default_value)]
        if gone or other or len(required(new)) > len(required(old)) or (new.deprecated and not old.deprecated):
            changes.setdefault(name, []).append(b)

# operator -> the opset, from 1 to 7, from which on it is what it is at opset 7
at7 = {}
for name in schemas:
    before = [v for v in schemas[name] if v <= 7]
    if before:
        at7[name] = max(before)

print(json.dumps({
    "at7": at7,
    "elements": {n: v for n, v in onnx.TensorProto.DataType.items() if n != "UNDEFINED"},
    "messages": messages,
    "types": types,
    "changes": changes,
    "irVersions": {str(opset): ir for _, ir, opset, *_ in onnx.helper.VERSION_TABLE},
}))
