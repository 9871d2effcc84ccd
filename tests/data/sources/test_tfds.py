import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from kvision.data import evaluation_batches, load, steps, training_batches
from tests.data.sources.test_folder import numbered, write

GREY_LEVELS = np.arange(20)


class KvisionTiny(tfds.core.GeneratorBasedBuilder):
    """Images with one grey level each, PNG inside; the label tells whether it is odd."""

    VERSION = tfds.core.Version("1.0.0")
    SPLITS = {"train": GREY_LEVELS, "test": GREY_LEVELS + 100}

    def _info(self):
        label = tfds.features.ClassLabel(names=["even", "odd"])
        features = {"image": tfds.features.Image(shape=(6, 5, 1)), "label": label}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(levels) for name, levels in self.SPLITS.items()}

    def _generate_examples(self, levels):
        for level in levels:
            yield int(level), {"image": np.full((6, 5, 1), level, np.uint8), "label": int(level % 2)}


class KvisionText(KvisionTiny):
    def _info(self):
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict({"image": tf.int64}))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("tfds")
    KvisionTiny(data_dir=data_dir).download_and_prepare()
    return data_dir


def levels(dataset):
    return [(int(image.max()), int(label)) for image, label in dataset.as_numpy_iterator()]


def test_official_splits_are_used_and_missing_ones_carved(prepared):
    train, validation, test = (
        load("kvision_tiny", name, data_dir=prepared) for name in ("train", "validation", "test")
    )
    assert [split.size for split in (train, validation, test)] == [18, 2, 20]
    assert sorted(levels(test.dataset)) == [(level, level % 2) for level in GREY_LEVELS + 100]
    assert sorted(levels(train.dataset) + levels(validation.dataset)) == [(level, level % 2) for level in GREY_LEVELS]
    for split in (train, validation, test):
        assert (split.class_names, split.image_shape) == (("even", "odd"), (6, 5, 1))
        assert split.dataset.element_spec[0] == tf.TensorSpec((6, 5, 1), tf.uint8)


def test_shuffled_depends_on_the_seed(prepared):
    split = load("kvision_tiny", data_dir=prepared)
    first = levels(split.shuffled((0, 0)))
    assert sorted(first) == sorted(levels(split.dataset))
    assert first == levels(split.shuffled((0, 0))) != levels(split.shuffled((0, 1)))
    tf.random.set_seed(1)
    assert first == levels(split.shuffled((0, 0)))
    assert first == levels(tf.data.Dataset.from_tensors([0, 0]).flat_map(split.shuffled))


def test_training_resumes_exactly(prepared):
    split = load("kvision_tiny", data_dir=prepared)
    whole = list(training_batches(split, 6).skip(2 * 3).take(3))
    resumed = list(training_batches(split, 6, first_epoch=2).take(3))
    for (images, labels), (others, other_labels) in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(labels, other_labels)


def test_unknown_names_list_what_is_possible():
    message = '"digits".*folder.*TensorFlow Datasets.*Did you mean: mnistt -> mnist'
    with pytest.raises(ValueError, match=message) as caught:
        load("mnistt")
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("name", "split", "options", "message"),
    [
        ("kvision_text", "train", {}, "not a classification of images"),
        ("kvision_tiny", "validation", {"validation": 0}, "the validation split is empty"),
    ],
)
def test_data_sets_that_do_not_fit(prepared, name, split, options, message):
    with pytest.raises(ValueError, match=message):
        load(name, split, data_dir=prepared, **options)


class KvisionFiles(KvisionTiny):
    """Twenty files of ten or so."""

    SPLITS = {"train": np.arange(203)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    builder = KvisionFiles(data_dir=tmp_path_factory.mktemp("files"))
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=20))
    return builder


def test_a_builder_and_its_folder_are_the_name(files):
    for split in ("train", "test"):
        by_name = load("kvision_files", split, data_dir=files.data_dir_root)
        for source in (files, files.data_dir, str(files.data_dir)):
            other = load(source, split)
            assert (other.size, other.class_names) == (by_name.size, ("even", "odd"))
            assert other.fingerprint == by_name.fingerprint != load(source, split, seed=1).fingerprint
            assert levels(other.dataset) == levels(by_name.dataset)


def test_the_fixed_order_is_that_of_tfds(files):
    assert files.info.splits["train"].num_shards == 20
    theirs = levels(files.as_dataset("train", as_supervised=True))
    assert levels(load(files, validation=0, test=0).dataset) == theirs
    carved = levels(load(files, "validation").dataset)
    assert carved == [example for example in theirs if example in carved] and len(carved) == 20


def test_a_carved_split_is_seeded_and_in_proportion(files):
    def parts(seed):
        return [set(levels(load(files, name, seed=seed).dataset)) for name in ("train", "validation", "test")]

    train, validation, test = first = parts(seed=0)
    assert len(train | validation | test) == 203 == len(train) + len(validation) + len(test)
    for part in (validation, test):
        assert sum(label for _, label in part) == 10 == len(part) / 2  # 102 even and 101 odd levels
    assert parts(seed=0) == first != parts(seed=1)


class KvisionCopies(KvisionTiny):
    """Each image twice, once with the wrong label: TFDS tells them apart by their keys alone."""

    SPLITS = {"train": np.arange(60)}

    def _generate_examples(self, levels):
        for key in levels:
            level = int(key) // 2
            yield int(key), {"image": np.full((6, 5, 1), level, np.uint8), "label": int(level + key) % 2}


@pytest.mark.parametrize("seed", range(3))
def test_copies_are_never_in_two_splits(tmp_path_factory, seed):
    data_dir = tmp_path_factory.getbasetemp() / "copies"
    found = [
        {level for level, _ in levels(load("kvision_copies", name, seed=seed, data_dir=data_dir).dataset)}
        for name in ("train", "validation", "test")
    ]
    assert all(found) and sum(map(len, found)) == len(set().union(*found)) == 30


def test_reading_for_the_division_shows_progress(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("kvision.data.sources.tfds.LONG", 60)
    load("kvision_copies", data_dir=tmp_path)
    told = capfd.readouterr().out
    assert "kvision_copies: reading the labels of 60 images" in told and "60/60" in told


def test_files_are_mixed_by_the_seed_on_any_number_of_threads(files, monkeypatch):
    monkeypatch.setattr("kvision.data.sources.tfds.SHUFFLE_BUFFER", 1)  # the order of the files alone
    split = load(files, validation=0, test=0)
    first = levels(split.shuffled((0, 0)))
    assert sorted(first) == sorted(levels(split.dataset)) and first != levels(split.dataset)
    stored = [level for level, _ in levels(files.as_dataset("train", as_supervised=True, read_config=ORDERED))]
    opened = {stored.index(level) // 10 for level, _ in first[:160:16]}
    assert len(opened) >= 9  # ten turns, of ten files
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    assert levels(split.shuffled((0, 0)).with_options(options)) == first != levels(split.shuffled((0, 1)))


ORDERED = tfds.ReadConfig(interleave_cycle_length=1)


def seen(dataset):
    return [int(image.max()) for images, _ in dataset.as_numpy_iterator() for image in images]


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_share_the_files(files, workers):
    split = load(files, validation=0, test=0)
    count = steps(split, 8, (0, workers))
    shards = [(worker, workers) for worker in range(workers)]
    epochs = [seen(training_batches(split, 8, shard=shard, first_epoch=3).take(count)) for shard in shards]
    assert sum(map(len, epochs)) == len(set(sum(epochs, []))) == count * 8 * workers
    assert sorted(sum((seen(evaluation_batches(split, 8, shard=shard)) for shard in shards), [])) == list(range(203))


def test_a_cache_changes_nothing(files):
    split = load(files)
    for shard in ((0, 1), (1, 3)):
        plain, cached = (training_batches(split, 5, shard=shard, cache=cache) for cache in (0, 10**6))
        assert seen(plain.take(40)) == seen(cached.take(40))
    assert seen(evaluation_batches(split, 5, cache=10**6)) == seen(evaluation_batches(split, 5))


def test_an_image_folder_is_read_as_a_folder(tmp_path):
    write(tmp_path, {f"train/{name}": content for name, content in numbered("cat", "dog").items()})
    parts = [load(tfds.ImageFolder(str(tmp_path)), name) for name in ("train", "validation", "test")]
    assert [part.size for part in parts] == [16, 2, 2]
    assert {part.class_names for part in parts} == {("cat", "dog")}
    assert sorted(level for part in parts for level, _ in levels(part.dataset)) == list(range(20))
    with pytest.raises(ValueError, match=r"give it no shape, got \(4, 5, 1\)"):
        load(tfds.ImageFolder(str(tmp_path), shape=(4, 5, 1)))
