"""Runs ONNX's own checker over exported models: check_models.py INDEX.json MODELS.bin. Prints a JSON object: name -> what the checker says, for those that it rejects."""
import json, sys
import onnx

index = json.load(open(sys.argv[1]))
data = open(sys.argv[2], "rb").read()
bad = {}
for name, (at, size) in index.items():
    try:
        onnx.checker.check_model(onnx.load_model_from_string(data[at:at + size]), full_check=False)
    except Exception as e:
        bad[name] = str(e)[:300]
print(json.dumps(bad))
