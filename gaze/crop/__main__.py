"""`python -m gaze.crop`."""

import sys

from gaze.crop.cli import main

sys.exit(main())
