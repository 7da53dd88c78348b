"""Advice that follows from the findings of the probe: about pixels, groups, slots, threads and kept features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cli.benchmark.stages.probe_task import Findings, Measured

#: A gain below this share is within what two runs differ by.
_NOTICEABLE = 0.05
#: Shares of the time from which on something is worth a sentence.
_WORTH_WAITING, _WORTH_VISION = 0.03, 0.2


def advise(findings: Findings, shares: Mapping[str, float]) -> list[str]:
    """Return the sentences. `shares`: of the time of an image, by stage, with captionq as a whole."""
    return [*_on_pixels(findings), *_on_groups(findings), *_on_slots(findings, shares), *_on_the_rest(shares)]


def _on_pixels(findings: Findings) -> Iterator[str]:
    half = findings["half_pixels"]
    if half is None:
        return
    now, then = _each(findings["as_set"]), _each(half)
    pixels = findings["max_pixels"] // 2
    if then < now * (1 - _NOTICEABLE):
        yield (
            f"Pixels: with half of them (CAPTIONQ_MAX_PIXELS={pixels}) the model takes {_ms(then)} an image instead of "
            f"{_ms(now)}, {now / then:.2f} times as many images. Compare some captions before you keep that."
        )
    else:
        yield f"Pixels: half of them (CAPTIONQ_MAX_PIXELS={pixels}) gains nothing: {_ms(then)} an image, {_ms(now)} now."


def _on_groups(findings: Findings) -> Iterator[str]:
    single, group = findings["single"], findings["group"]
    if single is None:
        return
    now, then = (_each(one, "vision", "prefill") for one in (findings["as_set"], single))
    if now < then * (1 - _NOTICEABLE):
        yield (
            f"Groups: {group} images at a time take {_ms(now)} each for vision and prefill, one at a time {_ms(then)}. "
            f"Keep CAPTIONQ_PREFILL_GROUP at {group}."
        )
    else:
        yield (
            f"Groups: {group} images at a time take {_ms(now)} each for vision and prefill, one at a time {_ms(then)}: "
            "groups gain nothing here. CAPTIONQ_PREFILL_GROUP=1 takes less memory."
        )


def _on_slots(findings: Findings, shares: Mapping[str, float]) -> Iterator[str]:
    each = {int(sequences): seconds / int(sequences) for sequences, seconds in findings["step_seconds"].items()}
    if len(each) < 2:
        return
    slots, best = max(each), min(each.values())
    enough = min(sequences for sequences, seconds in each.items() if seconds <= best * (1 + _NOTICEABLE))
    said = f"Slots: a token takes {_ms(each[1])} alone and {_ms(each[slots])} in a batch of {slots}"
    if enough < slots:
        yield f"{said}; CAPTIONQ_SLOTS={enough} is as fast ({_ms(each[enough])}), and takes less memory."
        return
    before = max(sequences for sequences in each if sequences < slots)
    share = shares.get("decode", 0.0)
    gain = share * (1 - each[slots] / each[before])
    if gain > _NOTICEABLE:
        yield (
            f"{said}, where it still falls. Decoding is {share:.0%} of the time, so CAPTIONQ_SLOTS={2 * slots} may gain up to "
            f"{gain:.0%}, if the memory holds it."
        )
    else:
        yield f"{said}. Decoding is {share:.0%} of the time: more slots would gain at most {max(gain, 0):.0%}."


def _on_the_rest(shares: Mapping[str, float]) -> Iterator[str]:
    if shares.get("wait", 0.0) > _WORTH_WAITING:
        yield (
            f"Pictures: the model waits {shares['wait']:.0%} of the time until they are decoded. Try a higher "
            "CAPTIONQ_PREPROCESS_THREADS."
        )
    if shares.get("vision", 0.0) > _WORTH_VISION:
        yield (
            f"Questions: vision is {shares['vision']:.0%} of the time. With CAPTIONQ_FEATURE_CACHE=10GB, further questions about "
            "the same pictures leave it out."
        )


def _each(measured: Measured, *stages: str) -> float:
    """Return the seconds of an image, in these stages or in all."""
    counted = [measured["stages"][stage]["seconds"] for stage in stages] or [measured["seconds"]]
    return sum(counted) / measured["images"]


def _ms(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:,.0f} ms" if milliseconds >= 100 else f"{milliseconds:.3g} ms"
