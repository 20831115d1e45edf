"""Words of findings: lists, names of arms, singular and plural, sentences with numbers in them."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from fleet.report.html.answers import Row
from fleet.report.html.arms import Arm

NOUNS = {"probe": ("probe", "probes"), "removal": ("removal", "removals"),
         "all": ("request", "requests")}  # fmt: skip


def say(sentence: str, *values: object) -> Markup:
    """Return a sentence with ``{}`` filled in; what is not markup is escaped."""
    return Markup(sentence).format(*values)


def listed(texts: Sequence[str]) -> Markup:
    """Return ``A, B and C``."""
    parts = [escape(text) for text in texts]
    if len(parts) < 2:
        return Markup("").join(parts)
    return Markup(", ").join(parts[:-1]) + Markup(" and ") + parts[-1]


def named(arms: Sequence[Arm], of: Sequence[Arm]) -> Markup:
    """Name some arms among all: alone with its name, several by letter, all as every arm."""
    if len(arms) == 1:
        name = say('<span class="name">{}</span>', arms[0].short)
        return name if len(of) == 1 else say("{} ({})", name, arms[0].letter)
    if len(arms) == len(of):
        return Markup("both arms" if len(of) == 2 else "every arm")
    return listed([arm.letter for arm in arms])


def alike(pairs: Sequence[tuple[Arm, Row]], key: str, row: Row) -> list[Arm]:
    """Return the arms whose ``key`` is that of ``row``."""
    return [arm for arm, other in pairs if other[key] == row[key]]


def capital(sentence: Markup) -> Markup:
    """Begin with a capital letter, unless the sentence begins with a name or a number."""
    for word in ("every arm", "both arms", "nothing", "no "):
        if sentence.startswith(word):
            return Markup(sentence[0].upper()) + sentence[1:]
    return sentence
