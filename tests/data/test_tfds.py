import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from kvision.data import load, training_batches

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
