# Set-up: find the course in this folder or above; on Colab, unpack gnet-course.zip first.
import sys
from pathlib import Path
from shutil import unpack_archive

places = [Path("gnet-course").resolve(), *Path("_").resolve().parents]
if "google.colab" in sys.modules and not any((place / "gnet_utils").is_dir() for place in places):
    unpack_archive("gnet-course.zip")  # must have this name, and its upload must have ended
sys.path[:0] = [str(place) for place in places if (place / "gnet_utils").is_dir()]
__import__("gnet_utils").check_kernel()  # no such module? Open this in the course folder
