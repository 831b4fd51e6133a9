"""Settings of the server behind JupyterLab when `python -m gnet_utils lab` starts it.

Jupyter reads this file before the reader's own settings, so those win.
"""

c = get_config()  # noqa: F821 - Jupyter puts it here
# The course needs no language server. To look for them JupyterLab runs npm, which is left behind
# when the lab ends.
c.LanguageServerManager.autodetect = False
# A photo comes to an explorer in one message. Above the usual 10 MB the connection to the kernel
# would end without a word; so the explorer itself can say what is too large (100 MB).
c.ServerApp.tornado_settings = {"websocket_max_message_size": 150_000_000}
