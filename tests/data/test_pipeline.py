import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.data import (
    Mixup,
    RandomCropWithPadding,
    RandomFlip,
    RandomSimilarity,
    TenCrops,
    Whole,
    evaluation_batches,
    load,
    resize_for_evaluation,
    steps,
    training_batches,
)
from tests.data.sources.test_folder import BAD, numbered, write

AUGMENT = [RandomFlip(), RandomCropWithPadding(1)]


def batches(dataset, count=None):
    images, labels = zip(*(dataset if count is None else dataset.take(count)).as_numpy_iterator(), strict=True)
    return np.stack(images), np.stack(labels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    files = numbered("a", "b") | {f"b/{name}": contents for name, contents in BAD.items()}
    return write(tmp_path_factory.mktemp("folder"), files)


@pytest.mark.parametrize("source", ["digits", "folder"])
def test_a_resumed_run_sees_exactly_the_batches_of_an_uninterrupted_one(source, folder):
    split = load(folder if source == "folder" else "digits", "test" if source == "digits" else "train")
    options = {"augment": AUGMENT, "seed": 5, "size": (7, 6) if source == "folder" else None}
    length = steps(split, 6)
    images, labels = batches(training_batches(split, 6, **options), 4 * length)
    resumed_images, resumed_labels = batches(training_batches(split, 6, first_epoch=2, **options), 2 * length)
    np.testing.assert_array_equal(resumed_images, images[2 * length :])
    np.testing.assert_array_equal(resumed_labels, labels[2 * length :])
    assert not np.array_equal(images[:length], images[length : 2 * length])
    others, _ = batches(training_batches(split, 6, **(options | {"seed": 6})), length)
    assert not np.array_equal(others, images[:length])


def test_an_epoch_has_each_image_at_most_once():
    split = load("digits", "validation")
    assert steps(split, 32) == 5
    images, labels = batches(training_batches(split, 32), 5)
    rows = [image.tobytes() for batch in images for image in batch]
    assert (images.dtype, labels.dtype) == (np.float32, np.int32)
    assert len(set(rows)) == 160
    assert set(rows) <= {image.astype(np.float32).tobytes() for image, _ in split.dataset.as_numpy_iterator()}


def test_a_split_smaller_than_a_batch_is_the_batch():
    split = load("digits", "validation")
    dataset = training_batches(split, 1000)
    assert steps(split, 1000) == 1
    assert dataset.element_spec[0] == tf.TensorSpec((179, 8, 8, 1), tf.float32)
    _, labels = batches(dataset, 1)
    expected = [label for _, label in split.dataset.as_numpy_iterator()]
    np.testing.assert_array_equal(np.sort(labels[0]), np.sort(expected))


def test_epochs_keep_their_length_when_images_are_unreadable(folder):
    split = load(folder, validation=0, test=0)
    assert (split.size, steps(split, 8)) == (24, 3)
    images, _ = batches(training_batches(split, 8, size=4), 6)
    for epoch, shown in enumerate(images.max((2, 3, 4)).reshape(2, 24).round()):
        order = [int(image.max()) for image, _ in split.shuffled((0, epoch)).as_numpy_iterator()]
        assert list(shown) == order + order[:4]
    assert len(split.unreadable) == len(BAD)


def test_a_split_without_a_readable_image_stops(tmp_path):
    write(tmp_path, numbered("a", count=5))
    split = load(tmp_path)
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(tf.errors.FailedPreconditionError, match="contained only 0"):
        next(iter(training_batches(split, 2, size=4)))


def test_layers_have_random_numbers_of_their_own_and_transform_is_last():
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1)
    split = load((np.tile(image, (400, 1, 1, 1)), np.zeros(400, int)), validation=0, test=0)
    rescale = keras.layers.Rescaling(1 / 255)
    images, _ = batches(training_batches(split, 400, augment=[RandomFlip(), RandomFlip()], transform=rescale), 1)
    once = np.isclose(images[0], image[:, :, ::-1] / 255).all((1, 2, 3))
    assert 140 < once.sum() < 260  # two flips with the same numbers would cancel
    np.testing.assert_allclose(images[0][~once], np.tile(image / 255, (400 - once.sum(), 1, 1, 1)), rtol=1e-6)


def test_threads_do_not_change_the_batches(folder):
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    dataset = training_batches(load(folder), 4, size=5, augment=AUGMENT)
    expected = batches(dataset, 6)
    for threaded in (dataset, dataset.with_options(options)):
        for ours, theirs in zip(batches(threaded, 6), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_evaluation_sees_every_image_once_in_order(folder):
    split = load(folder, validation=0, test=0)
    for _ in range(2):
        shown = list(evaluation_batches(split, 8, size=6, crop_fraction=0.8, interpolation="bicubic"))
        assert [images.shape for images, _ in shown] == [(8, 6, 6, 3), (8, 6, 6, 3), (4, 6, 6, 3)]
        for ours, (image, label) in zip(
            zip(*(tf.concat(part, 0) for part in zip(*shown, strict=True)), strict=True), split.dataset, strict=True
        ):
            np.testing.assert_array_equal(ours[0], resize_for_evaluation(image, 6, 0.8, "bicubic"))
            assert ours[1] == label
    plain, _ = next(iter(evaluation_batches(load("digits"), 4, transform=lambda images: images / 2)))
    first, _ = next(iter(load("digits").dataset))
    np.testing.assert_array_equal(plain[0], tf.cast(first, tf.float32) / 2)


def test_fit_and_evaluate_take_the_batches():
    split = load("digits", "validation")
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(
        training_batches(split, 16), steps_per_epoch=steps(split, 16), epochs=2, verbose=0, shuffle=False
    )
    assert len(history.history["loss"]) == 2
    assert np.isfinite(model.evaluate(evaluation_batches(split, 50), verbose=0))


@pytest.mark.parametrize(
    ("make", "source", "options", "message"),
    [
        (training_batches, "digits", {"batch_size": 0}, "batch_size must be 1 or more, got 0"),
        (evaluation_batches, "digits", {"batch_size": -2}, "batch_size must be 1 or more, got -2"),
        (training_batches, "folder", {}, r"differ in size: give size=\(height, width\)"),
        (evaluation_batches, "folder", {}, r"differ in size: give size=\(height, width\)"),
        (training_batches, "digits", {"shard": (2, 2)}, r"shard must be \(worker, workers\).*got \(2, 2\)"),
        (evaluation_batches, "digits", {"shard": (-1, 2)}, r"shard must be .*got \(-1, 2\)"),
        (training_batches, "digits", {"shard": (0, 5000)}, "more workers than images, 1439"),
        (evaluation_batches, "digits", {"crop_fraction": 0.9}, "crop_fraction needs the size .*got 0.9"),
        (evaluation_batches, "folder", {"size": 8, "views": TenCrops(4, 5)}, r"give one of them, got TenCrops\(size=4"),
    ],
)
def test_bad_arguments_are_named(make, source, options, message, folder):
    with pytest.raises(ValueError, match=message):
        make(load(folder if source == "folder" else source), **{"batch_size": 4, **options})


def test_layers_may_mix_labels():
    split = load("digits", "validation")
    layers = [Mixup(1.0, classes=10), RandomFlip(1.0), Mixup(1.0)]
    images, labels = batches(training_batches(split, 20, augment=layers, seed=4), 3)
    assert images.shape == (3, 20, 8, 8, 1) and labels.shape == (3, 20, 10)
    assert labels.dtype == "float32" and (labels > 0).sum(-1).max() > 2
    np.testing.assert_allclose(labels.sum(-1), 1, atol=1e-5)


def test_a_crop_brings_images_of_a_folder_to_one_size(folder):
    """Each image has a seed of its own, each epoch others, and a resumed run the same."""
    split = load(folder)
    crop = RandomSimilarity(size=(9, 9))
    images, _ = batches(training_batches(split, 6, crop=crop, seed=1), 2 * steps(split, 6))
    again, _ = batches(training_batches(split, 6, crop=crop, seed=1, first_epoch=1), steps(split, 6))
    assert images.shape[1:] == (6, 9, 9, 3)
    np.testing.assert_array_equal(images[steps(split, 6) :], again)
    with pytest.raises(ValueError, match="give one of them"):
        training_batches(split, 6, crop=crop, size=4)


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_workers_share_an_epoch(workers):
    """Their batches of a step are those of one worker with as many images at once."""
    split = load("digits", "validation")
    count = steps(split, 8, (0, workers))
    assert count == 179 // (8 * workers) == steps(split, 8 * workers)
    shards = [(worker, workers) for worker in range(workers)]
    shared = [batches(training_batches(split, 8, shard=shard, seed=2), 2 * count) for shard in shards]
    whole = batches(training_batches(split, 8 * workers, seed=2), 2 * count)
    together, labels = (np.concatenate(parts, axis=1) for parts in zip(*shared, strict=True))
    for ours, theirs in zip(together, whole[0], strict=True):
        assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs))
    np.testing.assert_array_equal(np.sort(labels), np.sort(whole[1]))
    resumed, _ = batches(training_batches(split, 8, shard=shards[1], seed=2, first_epoch=1), count)
    np.testing.assert_array_equal(resumed, shared[1][0][count:])


def test_workers_have_random_numbers_of_their_own():
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1)
    split = load((np.tile(image, (400, 1, 1, 1)), np.zeros(400, int)), validation=0, test=0)
    first, second = (
        next(training_batches(split, 200, augment=[RandomFlip()], shard=(worker, 2)).as_numpy_iterator())[0]
        for worker in (0, 1)
    )
    agree = (first == second).all((1, 2, 3)).sum()
    assert 60 < agree < 140


def test_workers_evaluate_every_image_once(folder):
    split = load(folder, validation=0, test=0)
    found = [
        int(image.max().round())
        for worker in range(3)
        for images, _ in evaluation_batches(split, 4, size=5, shard=(worker, 3)).as_numpy_iterator()
        for image in images
    ]
    assert sorted(found) == list(range(20))


@pytest.mark.parametrize("size, batch_size, workers", [(21, 5, 2), (20, 4, 3), (7, 2, 2), (5, 1, 2), (16, 4, 2)])
def test_workers_evaluate_equally_many_batches(size, batch_size, workers):
    split = load((np.zeros((size, 2, 2, 1), "uint8"), np.arange(size) % 2), validation=0, test=0)
    shards = [evaluation_batches(split, batch_size, shard=(worker, workers)) for worker in range(workers)]
    sizes = [[len(images) for images, _ in shard.as_numpy_iterator()] for shard in shards]
    assert sum(map(sum, sizes)) == size and {len(own) for own in sizes} == {int(shards[0].cardinality())}
    assert all(0 < images <= max(batch_size, 2) and images >= max(own) - 1 for own in sizes for images in own)


@pytest.mark.parametrize("sized", [{"size": (7, 6)}, {"crop": RandomSimilarity(size=(9, 9))}])
def test_a_cache_changes_nothing(folder, sized):
    plain, kept = load(folder), load(folder)
    options = dict(seed=3, augment=AUGMENT, shard=(1, 2), **sized)
    cached = training_batches(kept, 4, cache=10**6, **options)
    assert {name for name, _ in kept.unreadable} <= {str(folder / "b" / name) for name in BAD}
    ours, theirs = (
        batches(dataset, 3 * steps(plain, 4, (1, 2))) for dataset in (cached, training_batches(plain, 4, **options))
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert kept.unreadable == plain.unreadable != []


def test_a_cache_reads_once_and_no_more_than_it_may(tmp_path):
    split = load(write(tmp_path, numbered("a", "b")), validation=0, test=0)
    options = {"size": 8, "crop_fraction": 0.5}
    expected = list(evaluation_batches(split, 32, **options).as_numpy_iterator())
    bytes_needed = 20 * 8 * 8 * 3 * 4
    cached = evaluation_batches(split, 32, cache=bytes_needed, **options)
    with pytest.warns(UserWarning, match="the images of the train split take more than 15,359 bytes"):
        evaluation_batches(split, 32, cache=bytes_needed - 1, **options)
    with pytest.warns(UserWarning, match="take more than 300 bytes"):  # known only while they are read
        training_batches(split, 4, cache=300, crop=RandomSimilarity(size=(9, 9)))
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    for _ in range(2):
        for ours, theirs in zip(cached.as_numpy_iterator(), expected, strict=True):
            np.testing.assert_array_equal(ours[0], theirs[0])
            np.testing.assert_array_equal(ours[1], theirs[1])
    assert not split.unreadable


@pytest.mark.parametrize("cache", [0, 10**6])
def test_views_of_images_of_any_size(cache, folder):
    """The transform sees a batch of images; the cache keeps the images as they are stored."""
    split, shapes, views = load(folder, validation=0, test=0), [], TenCrops(6, 7)

    def transform(images):
        shapes.append(images.shape.as_list())
        return images / 2

    dataset = evaluation_batches(split, 8, views=views, transform=transform, cache=cache)
    assert shapes == [[None, 6, 6, 3]]
    assert dataset.element_spec[0] == tf.TensorSpec((None, 10, 6, 6, 3), tf.float32)
    shown = list(dataset.as_numpy_iterator())
    assert [images.shape for images, _ in shown] == [(8, 10, 6, 6, 3), (8, 10, 6, 6, 3), (4, 10, 6, 6, 3)]
    images, labels = (np.concatenate(part) for part in zip(*shown, strict=True))
    for ours, label, (image, truth) in zip(images, labels, split.dataset, strict=True):
        np.testing.assert_allclose(ours, views(image) / 2, atol=1e-4)
        assert label == truth


def test_several_protocols_make_a_tuple_of_their_views(folder):
    split = load(folder, validation=0, test=0)
    protocols = TenCrops(6, 7), Whole(9)
    dataset = evaluation_batches(split, 1, views=protocols, transform=lambda images: images / 2)
    assert [spec.shape.as_list() for spec in dataset.element_spec[0]] == [[None, 10, 6, 6, 3], [None, 2, None, None, 3]]
    for (views, _), (image, _) in zip(dataset, split.dataset, strict=True):
        for ours, protocol in zip(views, protocols, strict=True):
            np.testing.assert_allclose(ours[0], protocol(image) / 2, atol=1e-4)
    with pytest.raises(ValueError, match="a sequence of at least one, got none"):
        evaluation_batches(split, 1, views=())
