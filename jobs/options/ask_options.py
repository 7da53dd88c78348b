"""The options of `captionq ask` that it shares with caption runs."""

from __future__ import annotations

from jobs.options.adapter import AdapterOptions
from jobs.options.pixels import PixelOptions
from jobs.options.reuse import ReuseOptions
from jobs.options.sampling import SamplingOptions
from jobs.options.selection import SelectionOptions
from jobs.options.turn import TurnOptions


class AskOptions(ReuseOptions, SamplingOptions, PixelOptions, AdapterOptions, SelectionOptions, TurnOptions):
    """Options of a question, or of a table of questions about the images of folders."""
