"""Plots with matplotlib: each takes an explanation or interactions, and returns the axes it drew on."""

from interplay._public import publish
from interplay.plots._curve import curve
from interplay.plots._grid import grid
from interplay.plots._matrix import matrix
from interplay.plots._network import network
from interplay.plots._ranking import ranking
from interplay.plots._text import text
from interplay.plots._training import training
from interplay.plots._upset import upset
from interplay.plots._waterfall import waterfall

__all__ = ["curve", "grid", "matrix", "network", "ranking", "text", "training", "upset", "waterfall"]

publish(__name__)
