"""A real ztunnel is not everywhere: its tests are there where ZTUNNEL_BIN names one."""

import os

collect_ignore = [] if os.environ.get("ZTUNNEL_BIN") else ["test_ztunnel.py", "test_ztunnel_identity.py"]
