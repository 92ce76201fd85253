"""`python -m simulators.load`: OPC UA servers that are only a load."""

import sys

from simulators.load.process import main

sys.exit(main())
