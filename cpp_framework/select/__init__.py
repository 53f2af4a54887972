"""Selection of exposures; whatever is refused is kept with the reason."""

from cpp_framework.select.filters import Filter, last_filter, matches, night_filter, parse_filter, parse_filters
from cpp_framework.select.selection import Group, Refused, Selection, select

__all__ = [
    "Filter",
    "Group",
    "Refused",
    "Selection",
    "last_filter",
    "matches",
    "night_filter",
    "parse_filter",
    "parse_filters",
    "select",
]
