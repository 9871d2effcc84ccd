"""The rows of published weights: what "imagenet" means, and that timm and torchvision say the same."""

import sys
import types

import pytest

from kvision import applications

GENERAL_USE = ("apache-2.0", "bsd-3-clause", "mit")
ROWS = [applications.get_model(name) for name in applications.list_models(weights=True)]
ALL = [(row, weights) for row in map(applications.get_model, applications.list_models()) for weights in row.weights]


def test_there_are_many():
    assert len(ROWS) == 69 and len({weights.source for _, weights in ALL}) == len(ALL)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_imagenet_is_the_best_that_may_be_used(row):
    """Of those that a hub has, with a classification layer, at the row's size where that is fixed; and by the figures
    of the source that measured it, since two sources do not measure alike."""

    def usable(weights):
        return weights.license in GENERAL_USE and weights.classes is None and not weights.address

    first = row.weights[0]
    others = [weights for weights in row.weights if usable(weights)]
    if row.architecture.fixed_size:
        size = row.input_shape[:2]
        others = [weights for weights in others if weights.preprocess.size == size] or others
    if not others:  # published as a pickle, or without a classification layer
        assert first.license in GENERAL_USE
        return
    assert first in others
    top1, source = first.publisher_top1 or (0, None)
    assert top1 == max(
        [weights.publisher_top1[0] for weights in others if (weights.publisher_top1 or (0, 0))[1] == source] or [0]
    )
    assert top1 or not any(weights.publisher_top1 for weights in others)


def test_figures_name_their_source():
    for _, weights in ALL:
        assert weights.publisher_top1 is None or (weights.publisher_top1[0] < 100 and weights.publisher_top1[1])
        assert weights.sha256 is None and weights.revision is None  # no publisher states them


def test_weights_without_a_classification_layer(without_values):
    with pytest.raises(ValueError, match="ViT_H14 have no classification layer. Pass include_top=False, or new_head"):
        applications.ViT_H14(weights="imagenet", depth=1)


def test_weights_of_other_classes():
    """ImageNet-21k's 21,843: that many unless `classes` says otherwise, which is an error."""
    with pytest.raises(ValueError, match="`classes` should be 21843. Received classes=37; new_head=True"):
        applications.ViT_Ti16(weights="vit_tiny_patch16_224.augreg_in21k", classes=37)


def test_a_lineage_without_weights_is_for_local_files(without_values):
    with pytest.raises(ValueError, match="has no published tags"):
        applications.Mixer_S32(weights="imagenet")
    model = applications.Mixer_S32(lineage="mixer_s32_224.untrained", depth=1)
    assert model.origin.lineage["source"] == "timm/mixer_s32_224.untrained"
    assert "lineage of local files: google/mixer" in str(applications.Mixer_S32)


@pytest.fixture(scope="module")
def timm():
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    return pytest.importorskip("timm")


def test_as_timm_states_it(timm):
    for row in map(applications.get_model, applications.list_models()):
        for weights in row.weights + row.lineages:
            publisher, _, tag = weights.source.partition("/")
            if publisher != "timm":
                continue
            config = timm.models.get_pretrained_cfg(tag)
            preprocess = weights.preprocess
            mine = [preprocess.size, preprocess.crop_fraction, preprocess.interpolation, weights.license]
            size, crop = config.test_input_size or config.input_size, config.test_crop_pct or config.crop_pct
            if tag == "resnext101_64x4d.tv_in1k":
                crop = 0.965  # of torchvision's own 232 pixels, at which it measured
            assert mine == [size[1:], crop, config.interpolation, config.license], tag
            assert preprocess.mean == pytest.approx(config.mean) and preprocess.std == pytest.approx(config.std), tag
            assert preprocess.squash == (config.crop_mode == "squash"), tag
            assert config.num_classes == (1000 if weights.classes is None else weights.classes), tag
            assert bool(config.hf_hub_id) == (weights in row.weights and not weights.address), tag
            assert not weights.address or weights.address == config.url, tag


def test_as_torchvision_states_it(timm):
    import torchvision

    found = {}
    for name in torchvision.models.list_models(torchvision.models):
        for weights in torchvision.models.get_model_weights(name):
            found[weights.url] = weights
    for _, weights in ALL:
        if weights.publisher_top1 and weights.publisher_top1[1].startswith("torchvision"):
            address = weights.address or timm.models.get_pretrained_cfg(weights.source.partition("/")[2]).url
            if not address:
                continue  # by name
            top1 = found[address].meta["_metrics"]["ImageNet-1K"]["acc@1"]
            assert weights.publisher_top1[0] == top1, weights.source
            (size,) = found[address].transforms().resize_size
            assert weights.preprocess.crop_fraction == pytest.approx(224 / size, abs=1e-3), weights.source
