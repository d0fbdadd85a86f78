"""Frames of a section of speech, heard with the real sound around it."""

import math

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.errors import InputError
from earmark.training.sequences.frames.source import Floats, FrameSource, times_s

_ROUNDING_S = 1e-6


class ContextSettings(BaseModel):
    """How much is heard at a time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context_s: float = Field(5.0, ge=0, description="seconds of the recording that are heard on each side of a section")
    longest_s: float = Field(20.0, gt=0, description="longer sections are heard in pieces of so many seconds")
    shortest_s: float = Field(0.04, ge=0, description="shorter sections, in seconds, are left out: they have no frames")


def section_frames(
    source: FrameSource, wave: Wave, start_s: float, end_s: float, settings: ContextSettings
) -> tuple[Floats, float]:
    """Frames whose instants lie in a section, as Algayres et al. (2022) make them.

    Every frame of a recording stands on one grid, first · hop from its start, whatever section it is asked for: the
    pieces of a long section fit together, and equal instants of overlapping sections have equal times.

    Args:
        source: what makes the frames.
        wave: the whole recording, shape (n,).
        start_s: where the section starts in it.
        end_s: where it ends.
        settings: how much is heard at a time.

    Returns:
        Frames, shape (t, width), and the time of the first of them in the recording; the others follow a hop apart.

    Raises:
        InputError: the section starts after the recording's end.
    """
    made = [np.zeros((0, source.width), np.float32)]
    first_s = start_s
    if end_s - start_s < settings.shortest_s:
        return made[0], first_s
    if start_s * SAMPLE_RATE >= len(wave):
        raise InputError(
            f"a section starts at {start_s:g} s, but its recording ends at {len(wave) / SAMPLE_RATE:.2f} s"
        )
    context_s = min(settings.context_s, source.reach_s)
    # Rounding must not make one piece more, of nothing.
    pieces = max(1, math.ceil((end_s - start_s) / settings.longest_s - 1e-6))
    for piece in range(pieces):
        is_last = piece == pieces - 1
        from_s = start_s + piece * settings.longest_s
        to_s = end_s if is_last else from_s + settings.longest_s
        begin = max(0, math.floor((from_s - context_s) * SAMPLE_RATE / source.hop)) * source.hop
        frames = source.frames(wave[begin : math.ceil((to_s + context_s) * SAMPLE_RATE)])
        # Times in lists are decimals, these are sums of hops.
        at_s = begin / SAMPLE_RATE + times_s(source, len(frames)) + _ROUNDING_S
        kept = (at_s >= from_s) & ((at_s <= to_s + 2 * _ROUNDING_S) if is_last else (at_s < to_s))
        if kept.any() and not sum(map(len, made)):
            first_s = float(at_s[kept][0]) - _ROUNDING_S
        made.append(frames[kept])
    return np.concatenate(made), first_s
