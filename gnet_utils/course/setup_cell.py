# Set-up: find the course in this folder or above; on Colab, unpack gnet-course.zip first.
import sys
from importlib import import_module
from pathlib import Path

places = [Path("gnet-course").resolve(), *Path("_").resolve().parents]
if "google.colab" in sys.modules and not any((place / "gnet_utils").is_dir() for place in places):
    import_module("shutil").unpack_archive("gnet-course.zip")  # with this name, upload ended
sys.path[:0] = [str(place) for place in places if (place / "gnet_utils").is_dir()]
import_module("gnet_utils").check_kernel()  # no such module? Open this in the course folder
