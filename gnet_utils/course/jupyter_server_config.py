"""Jupyter runs this file when `python -m gnet_utils lab` starts it; the reader's own settings stay.

But one: an empty token, which many have copied from somewhere. With it everybody who uses the same
machine could run code as the reader, through a port that is open to all of them.
"""

import secrets

from jupyter_server.auth.identity import PasswordIdentityProvider
from traitlets import default, validate


class TokenOrPassword(PasswordIdentityProvider):
    """Jupyter's own login, with a token made where the settings give neither token nor password."""

    @default("token")
    def _token_default(self) -> str:  # traitlets does not validate what is not set: an empty file
        return self._token_where_no_password({"value": super()._token_default()})

    @validate("token")
    def _token_where_no_password(self, proposal: dict) -> str:
        if proposal["value"] or self.hashed_password:
            return proposal["value"]
        self.token_generated = True  # so it is part of the address that is printed and opened
        return secrets.token_hex(24)


c = get_config()  # noqa: F821 - Jupyter puts it here
c.ServerApp.identity_provider_class = TokenOrPassword
# The course needs no language server. To look for them JupyterLab runs npm, which works for ever
# where the home cannot be written, and is left behind when the lab ends.
c.LanguageServerManager.autodetect = False
# A photo comes to an explorer in one message. Above the usual 10 MB the connection to the kernel
# would end without a word; so the explorer itself can say what is too large (100 MB).
c.ServerApp.tornado_settings = {"websocket_max_message_size": 150_000_000}
