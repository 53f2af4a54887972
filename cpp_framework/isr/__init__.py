"""Instrument-signature removal: correctors applied in stage order."""
