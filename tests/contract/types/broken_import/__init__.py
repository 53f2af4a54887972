"""A plugin whose package loads numpy when it is listed."""

import numpy as np

solve = np.mean
