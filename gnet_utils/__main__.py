"""`python -m gnet_utils COMMAND`; gnet_utils/course/commands.py says which there are."""

import sys

from gnet_utils.course.commands import main  # all that runs the course is in its folder

if __name__ == "__main__":
    sys.exit(main())
