"""`python -m service` is `slipway`."""

import sys

from service.cli import main

sys.exit(main())
