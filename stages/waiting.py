"""How long a thread spins at a barrier before it sleeps: short, so that a busy neighbour does not stop two threads.

OpenMP reads it as torch is loaded, so that this comes first. It changes no result. What the user has set holds.
"""

import os

VARIABLE, SPINS = "GOMP_SPINCOUNT", "2000"
USERS = (VARIABLE, "OMP_WAIT_POLICY")

if not any(name in os.environ for name in USERS):
    os.environ[VARIABLE] = SPINS
