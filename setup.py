import pathlib

from setuptools import find_packages, setup

SERVING = ["tensorflow-serving-api>=2.21"]  # warm-up requests, and clients
ONNX = ["tf2onnx>=1.17", "onnxruntime>=1.20"]
LITERT = ["ai-edge-litert>=2"]
JAX = ["jax>=0.10"]  # on processors; for a card `pip install "jax[cuda12]"` as well

setup(
    name="kvision",
    version="0.1.0",
    description="Two decades of image classification in Keras 3: exact to their papers, fast, trainable, servable.",
    long_description=pathlib.Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["kvision", "kvision.*"]),
    package_data={"kvision.applications": ["imagenet.csv"]},
    install_requires=[
        "tensorflow>=2.21",
        "keras>=3.15.1",
        "keras-cv>=0.9",
        "tensorflow-datasets>=4.9.10",
        "absl-py>=2.1",
        "scikit-learn>=1.5",
        "safetensors>=0.5",
        "huggingface_hub>=0.30",
        "matplotlib>=3.9",
        "importlib_resources",  # tensorflow-datasets imports it and names it for old Pythons only
    ],
    extras_require={
        "serving": SERVING,
        "onnx": ONNX,
        "litert": LITERT,
        "jax": JAX,
        "tensorboard": ["tensorboard"],
        "test": ["pytest>=8", "pytest-xdist>=3", "ruff>=0.9", "tensorboard", *SERVING, *ONNX, *LITERT, *JAX],
        "parity": ["torch", "timm", "torchvision", "torchdiffeq>=0.2"],
    },
    entry_points={"console_scripts": ["kvision=kvision.cli.main:main"]},
)
