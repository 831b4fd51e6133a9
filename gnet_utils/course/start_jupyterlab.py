"""JupyterLab as `python -m gnet_utils lab` starts it: never without a login.

With `token = ''`, which many have copied into their settings, everybody who uses the same machine
could run code as the reader, through a port that is open to all of them.
"""

import sys

from jupyterlab.labapp import LabApp

if __name__ == "__main__":
    server = LabApp.initialize_server(sys.argv[1:])
    if not server.identity_provider.auth_enabled:
        sys.exit(
            "error: your settings of Jupyter switch its token off, so that others on this machine "
            "could run code as you: take it out of the files in "
            f"{server.config_dir}, or set a password with `jupyter server password`"
        )
    server.start()
