"""Examples that are not what they should be."""

from plain_mean.examples import EXAMPLES as GOOD

NONE: dict[str, object] = {}
STRANGERS = {**GOOD, "unheard_of": GOOD["level"]}


class HalfExample:
    """Has no failing example."""

    passing = GOOD["level"].passing


HALF = {"level": HalfExample()}
