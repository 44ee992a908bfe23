"""`python -m scriptix_simulator`."""

import sys

from .cli import main

sys.exit(main())
