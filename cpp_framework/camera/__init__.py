"""Cameras: geometry, header translation and raw files."""
