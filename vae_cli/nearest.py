"""The valid spelling nearest to a wrong one."""

from collections.abc import Sequence
from difflib import get_close_matches


def nearest(word: str, words: Sequence[str], count: int = 2) -> list[str]:
    """At most `count` of the words that resemble this one; where none does, the one that is least unlike.

    >>> nearest("objectve", ["model", "objective", "posterior"])
    ['objective']
    """
    begun = [other for other in words if word and other.startswith(word)]
    alike = get_close_matches(word, words, count)
    return list(dict.fromkeys([*begun, *alike]))[:count] or get_close_matches(word, words, 1, 0)
