"""Every question that has a peer, in one run: lines in results.csv, and the README's tables of them.

    python examples/benchmarks/suite.py                         # 80 minutes on 2 cores; the machine should be quiet
    python examples/benchmarks/suite.py --only=training,DenseNet121

Each command runs in a process of its own, since two networks in two libraries fill a memory. timm, torch, onnxruntime,
tf2onnx and keras-hub have to be installed, `pip install -e ".[parity,onnx]" keras-hub`, and a C++ compiler for
--compile.
"""

import pathlib
import subprocess
import sys

from absl import app, flags
from results import FILE

ONLY = flags.DEFINE_list("only", [], "parts of commands: those that have one of them are run")

COMMANDS = (
    "startup.py",
    "startup.py --model=DenseNet121 --only=build,export",
    "training.py --steps=3",
    "training.py --model=DenseNet121 --steps=3",
    "training.py --model=InceptionV3 --size=299 --steps=2",
    "training.py --model=VGG16 --steps=2",
    "training.py --peer=resnet50 --compile --steps=2",
    "training.py --model=ResNeXt50 --peer=resnext50_32x4d --steps=2",
    "training.py --model=SEResNeXt50 --peer=seresnext50_32x4d --steps=2",
    "training.py --model=ViT_B16 --peer=vit_base_patch16_224 --steps=2 --policies=float32",
    "training.py --model=ViT_B16 --peer=vit_base_patch16_224 --steps=2 --policies=mixed_bfloat16",
    "training.py --model=ViT_B16 --peer=hub --steps=2 --policies=mixed_bfloat16",
    "inference.py --batches=1,8 --peer=keras,onnx",
    "inference.py --peer=resnet50 --compile",
    "inference.py --model=ViT_B16 --peer=layers --steps=2",
    "inference.py --model=DenseNet121 --peer=densenet121,unfolded --dtypes=bfloat16",
    "inference.py --model=ResNeXt50 --peer=resnext50_32x4d,unfolded --dtypes=bfloat16",
    "inference.py --model=SEResNeXt50 --peer=seresnext50_32x4d --dtypes=bfloat16",
    "inference.py --model=SENet154 --peer=unfolded --dtypes=bfloat16 --steps=2",
    "inference.py --model=ResNeSt50 --peer=resnest50d --dtypes=bfloat16",
    "inference.py --model=ViT_B16 --peer=vit_base_patch16_224 --dtypes=float32 --steps=2",
    "inference.py --model=ViT_B16 --peer=vit_base_patch16_224 --dtypes=bfloat16 --steps=2",
    "capsule.py",
    "pipeline.py",
    "augmentation.py",
    "spatial_transformer.py",
    "ode_memory.py --steps=2,8,32",
    "recomputation.py --batch=16 --steps=1 --rounds=3",
    "recomputation.py --model=DenseNet121 --batch=16 --steps=1 --rounds=3 --forms=plain,keras",
    "recomputation.py --model=InceptionV3 --batch=16 --steps=1 --rounds=5 --forms=plain,keras",
    "recomputation.py --model=VGG16 --batch=16 --steps=1 --rounds=3 --forms=plain,keras",
)


def main(_):
    folder = pathlib.Path(__file__).parent
    failed = []
    for command in COMMANDS:
        if not ONLY.value or any(part in command for part in ONLY.value):
            script, *arguments = command.split()
            print(f"== {command}", flush=True)
            if subprocess.run([sys.executable, folder / script, *arguments, f"--csv={FILE}"]).returncode:
                failed.append(command)
    subprocess.run([sys.executable, folder / "results.py"], check=True)
    if failed:
        sys.exit(f"These failed: {'; '.join(failed)}")


if __name__ == "__main__":
    app.run(main)
