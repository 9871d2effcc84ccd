"""Pictures of training and of its results. Each is a `matplotlib.figure.Figure`: no display, no global state."""

from kvision.visualize.confusion import confusion
from kvision.visualize.curves import curves
from kvision.visualize.figure import save
from kvision.visualize.gallery import gallery
from kvision.visualize.mistakes import mistakes
from kvision.visualize.overlaps import overlaps
from kvision.visualize.perturbations import perturbations
from kvision.visualize.reliability import reliability
from kvision.visualize.rollout import attention_rollout, rollout
from kvision.visualize.sheet import sheet
from kvision.visualize.spread import spread

__all__ = [
    "attention_rollout",
    "confusion",
    "curves",
    "gallery",
    "mistakes",
    "overlaps",
    "perturbations",
    "reliability",
    "rollout",
    "save",
    "sheet",
    "spread",
]
