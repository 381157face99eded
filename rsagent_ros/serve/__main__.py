"""`python -m rsagent_ros.serve RECIPE`."""

import sys

from rsagent_ros.serve.program import main

sys.exit(main())
