"""Gradients of three networks by PyTorch, from the weights and feeds of a directory of .npy files; writes them beside as grad.NAME.npy and loss.npy."""
import glob, os, sys
import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
folder, kind = sys.argv[1], sys.argv[2]
load = lambda n: torch.from_numpy(np.load(os.path.join(folder, n + ".npy")))
names = [os.path.basename(f)[6:-4] for f in sorted(glob.glob(os.path.join(folder, "param.*.npy")))]
p = {n: load("param." + n).requires_grad_(True) for n in names}
x = load("x")


def resnet():
    def bn(v, n):
        return F.batch_norm(v, None, None, p[n + ".scale"], p[n + ".bias"], training=True, eps=1e-5)

    y = F.relu(bn(F.conv2d(x, p["stem.w"], padding=1), "stem"))
    for i, stride in enumerate((1, 2, 2)):
        b = f"block{i}"
        z = F.relu(bn(F.conv2d(y, p[b + ".a.w"], stride=stride, padding=1), b + ".a"))
        z = bn(F.conv2d(z, p[b + ".b.w"], padding=1), b + ".b")
        if stride != 1:
            y = F.conv2d(y, p[b + ".s.w"], stride=stride)
        y = F.relu(z + y)
    logits = y.mean((2, 3)) @ p["fc.w"].t() + p["fc.b"]
    return F.cross_entropy(logits, load("labels"), label_smoothing=0.1)


def transformer():
    n, t, d, heads = x.shape[0], x.shape[1], 16, 4
    e = F.embedding(x, p["embedding"]) + p["position"]
    q, k, v = ((F.layer_norm(e, (d,), p["ln1.scale"], p["ln1.bias"]) @ p["qkv.w"] + p["qkv.b"]).chunk(3, -1))
    split = lambda a: a.reshape(n, t, heads, d // heads).permute(0, 2, 1, 3)
    attention = torch.softmax(split(q) @ split(k).transpose(-1, -2) / 2.0, -1) @ split(v)
    e = e + attention.permute(0, 2, 1, 3).reshape(n, t, d) @ p["out.w"] + p["out.b"]
    h = F.gelu(F.layer_norm(e, (d,), p["ln2.scale"], p["ln2.bias"]) @ p["up.w"] + p["up.b"])
    e = e + h @ p["down.w"] + p["down.b"]
    logits = e @ p["embedding"].t()
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), load("labels").reshape(-1))


def lstm():
    # ONNX orders gates i, o, f, c; PyTorch i, f, g, o.
    hidden = 5
    order = lambda a: torch.cat([a[0:hidden], a[2 * hidden : 3 * hidden], a[3 * hidden : 4 * hidden], a[hidden : 2 * hidden]])
    w, r, b = p["w"][0], p["r"][0], p["b"][0]
    flat = [order(w), order(r), order(b[: 4 * hidden]), order(b[4 * hidden :])]
    h = torch.zeros(1, x.shape[1], hidden, dtype=x.dtype)
    y, _, _ = torch.lstm(x, (h, h.clone()), flat, True, 1, 0.0, False, False, False)
    logits = y[-1] @ p["fc.w"].t() + p["fc.b"]
    return F.cross_entropy(logits, load("labels"))


loss = {"resnet": resnet, "transformer": transformer, "lstm": lstm}[kind]()
loss.backward()
np.save(os.path.join(folder, "loss.npy"), loss.detach().numpy())
for n in names:
    np.save(os.path.join(folder, "grad." + n + ".npy"), p[n].grad.numpy())
