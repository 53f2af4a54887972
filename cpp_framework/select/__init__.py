"""Selection of exposures with the reason for every refusal."""
