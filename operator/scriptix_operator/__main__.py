"""`python -m scriptix_operator` is `scriptix-operator`."""

import sys

from scriptix_operator.cli import main

sys.exit(main())
