"""`python -m rsagent_ros.model_server RECIPE`."""

import sys

from rsagent_ros.model_server.program import main

sys.exit(main())
