"""Using calibrations: raw exposures to calibrated images, each naming every product that was applied to it."""
