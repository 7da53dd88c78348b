"""The quarantine: how long sequences of a broken group or step run by themselves."""

from __future__ import annotations

from jobs.sampling import Sampling
from worker.engine.quarantine import Quarantine
from worker.engine.sequences import LiveSequence
from worker.models.inputs import Prepared
from worker.sampling.tokens import Token


def sequence(key: str, tokens: int = 0) -> LiveSequence:
    """Make a sequence of up to 20 tokens that has generated `tokens` of them."""
    return LiveSequence(key, Prepared([1], 0, Sampling(max_tokens=20)), tokens=[Token(7)] * tokens)


def test_a_sequence_is_released_after_its_probation() -> None:
    """Tokens that it had generated before the fault do not count."""
    quarantine = Quarantine()
    one, other = sequence("one", tokens=5), sequence("other")
    quarantine.isolate([one, other], tokens=3)
    one.tokens += [Token(7)] * 2
    assert quarantine.release([one]) == []
    one.tokens.append(Token(7))
    assert quarantine.release([one]) == [one]
    assert not quarantine.holds(one)
    assert quarantine.holds(other)


def test_after_a_second_fault_a_sequence_runs_by_itself_to_its_end() -> None:
    """Otherwise a group that always breaks would be tried again for each token."""
    quarantine = Quarantine()
    one = sequence("one", tokens=1)
    quarantine.isolate([one], tokens=1)
    one.tokens.append(Token(7))
    assert quarantine.release([one]) == [one]
    quarantine.isolate([one], tokens=1)
    one.tokens += [Token(7)] * 10
    assert quarantine.release([one]) == []


def test_faults_of_an_ended_sequence_are_forgotten() -> None:
    """A later sequence with the same key, such as the job's next attempt, begins without faults."""
    quarantine = Quarantine()
    quarantine.isolate([sequence("one")], tokens=1)
    quarantine.forget("one")
    again = sequence("one")
    assert not quarantine.holds(again)
    quarantine.isolate([again], tokens=1)
    again.tokens.append(Token(7))
    assert quarantine.release([again]) == [again]
