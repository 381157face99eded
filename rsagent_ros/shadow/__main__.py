"""`python -m rsagent_ros.shadow`: see `worker`."""

import sys

from rsagent_ros.shadow.worker import main

if __name__ == "__main__":
    sys.exit(main())
