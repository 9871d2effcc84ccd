"""Fetching from a hub on loopback: once, checked, and whole or not at all."""

import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from kvision import applications
from kvision.weights import conversion, fetch, hub, read
from tests.weights.hub import COMMITS, Hub

TAG = "timm/some.tag"
TINY = dict(input_shape=(32, 32, 3), depths=(1, 1, 1, 1), widths=(4, 4, 4, 4))


@pytest.fixture
def server():
    files = {commit: save({"a": np.full(30_000, number, "float32")}) for number, commit in enumerate(COMMITS.values())}
    with Hub(files) as server:
        yield server


@pytest.fixture
def cache(server, tmp_path, monkeypatch):
    """The hub's settings, which it reads from the environment once, and no waiting between attempts."""
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return tmp_path / "hub"


def files(cache: pathlib.Path) -> list[str]:
    """What is in the cache of a tag, but for its refs."""
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and "refs" not in path.parts)


def value(path) -> float:
    return float(read(path)["a"][0])


def test_a_file_is_fetched_once(server, cache):
    path = fetch(TAG)
    assert value(path) == 0 and path.parent.name == COMMITS["first"]
    assert [request[0] for request in server.requests] == ["HEAD", "GET"]
    assert fetch(TAG) == path and len(server.requests) == 2


def test_progress_is_shown(server, cache, monkeypatch, capfd):
    monkeypatch.setenv("TQDM_POSITION", "-1")  # in a terminal it is shown of itself
    fetch(TAG)
    assert "100%" in capfd.readouterr().err


def test_the_commit_of_the_first_use_is_kept(server, cache):
    """The publisher moves `main`, another program fetches it: this machine's results stay the same."""
    path = fetch(TAG)
    server.main = COMMITS["second"]
    assert fetch(TAG) == path
    (cache / "models--timm--some.tag/refs/main").write_text(COMMITS["second"])
    assert fetch(TAG) == path and value(path) == 0
    assert value(fetch(TAG, revision=COMMITS["second"])) == 1


def test_a_file_that_another_program_fetched_is_used_and_recorded(server, cache):
    import huggingface_hub

    path = huggingface_hub.hf_hub_download(TAG, "model.safetensors")
    assert str(fetch(TAG)) == path and len(server.requests) == 2
    assert (cache / "models--timm--some.tag/refs/kvision").read_text() == COMMITS["first"]


def test_offline(server, cache, monkeypatch):
    path = fetch(TAG)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(TAG) == path
    with pytest.raises(FileNotFoundError, match="not on this machine and cannot be fetched: HF_HUB_OFFLINE is set"):
        fetch("timm/other.tag")


def test_a_broken_connection_is_taken_up_where_it_broke(server, cache):
    server.breaks = [50_000, 20_000]
    assert value(fetch(TAG)) == 0
    assert [request[2] for request in server.requests if request[0] == "GET"] == [None, "bytes=50000-", "bytes=70000-"]


def test_a_download_that_ends_early_leaves_no_file(server, cache):
    server.breaks = [50_000] + 10 * [0]
    with pytest.raises(FileNotFoundError, match="cannot be fetched: the download failed"):
        fetch(TAG)
    assert [name for name in files(cache) if not name.endswith((".lock", "CACHEDIR.TAG"))] == []
    server.breaks = []
    assert value(fetch(TAG)) == 0


def test_a_killed_download_leaves_no_file(server, cache):
    """Another process, killed when it has half of the file; the next one starts anew."""
    commit = COMMITS["first"]
    server.files[commit] = save({"a": np.zeros(20_000_000, "float32")})
    server.breaks = [40_000_000, 10**9]
    code = f"import runpy; runpy.run_path({hub.__file__!r})['fetch']({TAG!r})"
    settings = dict(HF_ENDPOINT=server.url, HF_HUB_CACHE=str(cache), HF_HUB_OFFLINE="0")
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **settings})
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in cache.rglob("*.incomplete")) and time.monotonic() < deadline:
        pass
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    assert not list(cache.rglob("model.safetensors"))
    server.breaks = []
    assert value(fetch(TAG)) == 0


def test_a_file_that_is_not_the_published_one(server, cache):
    """Of the right length, so that only its SHA-256 tells."""
    content = server.files[COMMITS["first"]]
    server.sends = content[:-1] + b"x"
    with pytest.raises(ValueError, match="'timm/some.tag' is corrupt: its SHA-256 .* asking again fetches it again"):
        fetch(TAG)
    assert not list(cache.rglob("model.safetensors"))
    server.sends = None
    assert value(fetch(TAG)) == 0


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda content: b"x" + content[1:]])
def test_a_file_that_is_damaged_in_the_cache(server, cache, damage):
    path = fetch(TAG)
    path.resolve().write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="is corrupt"):
        fetch(TAG)
    server.main = COMMITS["second"]
    assert value(fetch(TAG)) == 0  # the commit of the first use, again


def test_a_row_may_pin_the_hash(server, cache):
    expected = hashlib.sha256(server.files[COMMITS["first"]]).hexdigest()
    fetch(TAG, COMMITS["first"], expected)
    with pytest.raises(ValueError, match=f"the published one {'0' * 64}"):
        fetch(TAG, COMMITS["first"], "0" * 64)


@pytest.mark.parametrize(
    ("tag", "revision", "message"),
    [
        ("nobody/some.tag", None, "nobody/some.tag does not exist, or only for those who log in"),
        (TAG, "0" * 40, f"has no revision '{'0' * 40}' of it. .*/blob/{'0' * 40}/"),
        ("timm/empty", None, "there is no model.safetensors in"),
        ("down/some.tag", None, "there is no connection to"),
    ],
)
def test_what_a_hub_refuses(server, cache, tag, revision, message):
    with pytest.raises(FileNotFoundError, match=f"^The weights '{tag}' are not on this machine.*{message}"):
        fetch(tag, revision)


def test_no_network(server, cache):
    server.__exit__()
    with pytest.raises(FileNotFoundError, match="there is no connection to http://127.*Remedy that, or get model"):
        fetch(TAG)


def test_a_network_starts_from_its_published_weights(server, cache):
    """Arguments are checked before anything is asked for; what was loaded, and from where, stays with the model."""
    from tests.weights.test_loader import state_dict

    arrays = state_dict(applications.ResNet50(stride_first=False, **TINY))
    server.files = {COMMITS["first"]: save(arrays)}
    with pytest.raises(ValueError, match="`classes` should be 1000. Received classes=7"):
        applications.ResNet50(weights="imagenet", classes=7, **TINY)
    assert server.requests == []
    model = applications.ResNet50(weights="imagenet", **TINY)
    for name, array in state_dict(model).items():
        np.testing.assert_array_equal(array, arrays[name])
    assert model.origin.weights == "timm/resnet50.a1_in1k" and model.origin.revision == COMMITS["first"]
    assert model.origin.preprocess.size == (288, 288)


def test_a_failed_download_gives_no_model(server, cache):
    server.files = {}
    with pytest.raises(FileNotFoundError, match="has no revision.*lineage='timm/resnet50.a1_in1k'"):
        applications.ResNet50(weights="imagenet", **TINY)


@pytest.mark.parametrize("row", [applications.GoogLeNet, applications.AlexNetOWT, applications.SEResNet18])
def test_weights_that_are_published_as_a_pickle_only(server, cache, row):
    with pytest.raises(FileNotFoundError) as error:
        row(weights="imagenet")
    address = row.weights[0].address
    assert f"{address}, and pickles are never read" in str(error.value) and conversion(address) in str(error.value)
    assert f"lineage={row.weights[0].source!r}" in str(error.value) and server.requests == []


def test_the_command_that_converts_a_pickle(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    tensors = {"a": torch.arange(6.0).reshape(2, 3)}
    torch.save(tensors, tmp_path / "pickle")
    digest = hashlib.sha256((tmp_path / "pickle").read_bytes()).hexdigest()[:8]
    (tmp_path / "pickle").rename(tmp_path / f"net-{digest}.pth")
    command = conversion((tmp_path / f"net-{digest}.pth").as_uri()).replace("python", sys.executable, 1)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    subprocess.run(command, shell=True, check=True, cwd=tmp_path, capture_output=True)
    np.testing.assert_array_equal(read(tmp_path / "model.safetensors")["a"], tensors["a"].numpy())
