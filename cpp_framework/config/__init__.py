"""Settings of calibration types: layers with origins, descriptions, and what enters a recipe."""

from cpp_framework.config.describe import SettingRow, describe, recipe_settings
from cpp_framework.config.layers import DEFAULT, Layer, Resolved, resolve, resolve_config
from cpp_framework.config.suggest import did_you_mean
from cpp_framework.config.yaml_layer import parse_assignment, read_settings

__all__ = [
    "DEFAULT",
    "Layer",
    "Resolved",
    "SettingRow",
    "describe",
    "did_you_mean",
    "parse_assignment",
    "read_settings",
    "recipe_settings",
    "resolve",
    "resolve_config",
]
