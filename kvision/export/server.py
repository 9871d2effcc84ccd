"""The files that TensorFlow Serving is started with, beside the version folders."""

import os
import pathlib
import re

MODELS = """model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""
BATCHING = """max_batch_size {{ value: {largest} }}
batch_timeout_micros {{ value: {microseconds} }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: {threads} }}
{sizes}
"""


def server_files(
    folder: str | os.PathLike,
    name: str,
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8),
    timeout: float = 0.005,
    threads: int = 2,
) -> str:
    """Writes `models.config` and `batching_parameters` beside the versions of a model, where there are none yet.

    The server puts requests of different callers together up to the next of `batch_sizes`, and fills what is missing
    with copies: few sizes mean few shapes to prepare for.

    Args:
        folder: of the version folders, such as "served".
        name: under which the server offers the model.
        batch_sizes: that the network is asked with, ascending.
        timeout: how long the first request of a batch waits for others, in seconds.
        threads: batches at a time; as many as cores that the network is to be given.

    Returns:
        The command that starts the server in Docker, its REST on port 8501 and gRPC on port 8500.

    Raises:
        ValueError: a name of other than letters, digits, `_`, `-` and `.`; sizes, a time or threads out of range.
    """
    if not re.fullmatch(r"[\w.-]+", name, re.ASCII):
        raise ValueError(f"A model's name has letters, digits, `_`, `-` and `.`. Received: {name!r}")
    if not batch_sizes or batch_sizes[0] < 1 or list(batch_sizes) != sorted(set(batch_sizes)):
        raise ValueError(f"`batch_sizes` are whole numbers from 1 on, ascending. Received: {batch_sizes}")
    if timeout < 0 or threads < 1:
        raise ValueError(f"`timeout` is at least 0 and `threads` at least 1. Received: {timeout}, {threads}")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    batching = BATCHING.format(
        largest=batch_sizes[-1],
        microseconds=round(1e6 * timeout),
        threads=threads,
        sizes="\n".join(f"allowed_batch_sizes: {size}" for size in batch_sizes),
    )
    for file, content in {"models.config": MODELS.format(name=name), "batching_parameters": batching}.items():
        if not (folder / file).exists():  # they are for people to change
            partial = folder / f".{file}.{os.getpid()}"
            partial.write_text(content)
            partial.replace(folder / file)
    return (
        f"docker run -p 8500:8500 -p 8501:8501 -v {folder.resolve()}:/models/{name} tensorflow/serving "
        f"--model_config_file=/models/{name}/models.config "
        f"--enable_batching --batching_parameters_file=/models/{name}/batching_parameters"
    )
