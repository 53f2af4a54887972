"""From a request to units of work: inputs, needs, recipe."""
