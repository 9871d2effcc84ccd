"""Pictures of training and of its results. Each is a `matplotlib.figure.Figure`: no display, no global state."""

from kvision.visualize.confusion import confusion
from kvision.visualize.curves import curves
from kvision.visualize.figure import save
from kvision.visualize.mistakes import mistakes
from kvision.visualize.perturbations import perturbations

__all__ = ["confusion", "curves", "mistakes", "perturbations", "save"]
