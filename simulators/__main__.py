"""`python -m simulators`: a server with simulated machines."""

import sys

from simulators.process import main

sys.exit(main())
